"""Who does something by hand, and why: the same two fields of every request of an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from quarterdeck.v1 import audit_pb2
from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck_server.engine.commands import Audit
from quarterdeck_server.engine.ids import encode_audit_id
from quarterdeck_server.engine.model import AuditEntry
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.pages import Call, read_page
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.store.base import Page

MAX_REASON = 1024
MAX_ACTOR = 256


class Who(NamedTuple):
    """An operator in his own words."""

    actor: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """Both in one line, `ann: lunch`, for whoever sees what was done."""
        return ": ".join(filter(None, self))

    def audit(self, action: str, targets: Sequence[str] = ()) -> Audit:
        """Say what the audit log is told.

        Args:
            action: The name of the RPC.
            targets: What it is done to, in the words of the request.
        """
        target = targets[0] if len(targets) == 1 else ""
        return Audit(self.actor, action, self.reason, target, matched=len(targets))


def read_who(request: Any, out: Violations) -> Who:
    """Check who asks, and why; the reason of two older requests may stand in `note`.

    Blanks around them are left out: a blank actor is one that is not said.
    """
    field = "note" if hasattr(request, "note") and not request.reason.strip() else "reason"
    return Who(
        validate.text(request.actor, "actor", MAX_ACTOR, out).strip(),
        validate.text(getattr(request, field), field, MAX_REASON, out).strip(),
    )


def to_proto(row: AuditEntry) -> audit_pb2.AuditEntry:
    """An entry of the audit log."""
    out = audit_pb2.AuditEntry(
        id=encode_audit_id(row.id),
        namespace=row.namespace,
        actor=row.actor,
        action=row.action,
        reason=row.reason,
        target=row.target,
        filter=row.filter,
        matched=row.matched,
        done=row.done,
        change=row.change,
    )
    convert.set_time(out.time, row.time)
    return out


async def list_entries(
    core: Core, request: pb.ListAuditEntriesRequest
) -> pb.ListAuditEntriesResponse:
    """A page of the audit log, the newest first."""
    namespace = validate.namespace_of(request.namespace)

    async def read(limit: int, after: list[Any] | None) -> Page[AuditEntry]:
        return await core.store.list_audit(namespace, limit, after)

    call = Call("audit", namespace, None, request.page_size, request.page_token, (int,))
    page = await read_page(call, read, to_proto)
    return pb.ListAuditEntriesResponse(entries=page.items, next_page_token=page.next_token)
