"""The part of FleetService about what is held: freezes, paused names, quarantines."""

from __future__ import annotations

from typing import Any, Final

from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck.v1 import hold_pb2
from quarterdeck_server.engine.commands import PutHold, Refusal, ReleaseHold
from quarterdeck_server.engine.flow.holds import AGENT, AGENT_VERSION, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.model import Hold
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.audit import read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.claims import MAX_AGENT_NAME, MAX_AGENT_VERSION
from quarterdeck_server.rpc.errors import ApiError, Violation
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.pages import Call, read_page
from quarterdeck_server.rpc.queue_limits import read_arrivals
from quarterdeck_server.rpc.requests import execute
from quarterdeck_server.rpc.tokens import watch_token
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.store.base import Page

_KINDS: Final = "expected HOLD_KIND_TASK_NAME, HOLD_KIND_AGENT or HOLD_KIND_AGENT_VERSION"
_MAX_VERSION_SUBJECT: Final = MAX_AGENT_NAME + 1 + MAX_AGENT_VERSION


class HoldCalls:
    """Answers operators about holds."""

    _core: Core

    async def freeze(self, request: pb.FreezeRequest, context: Context) -> pb.FreezeResponse:
        """Stop all claiming in a namespace."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        who = read_who(request, out)
        validate.refuse(out)
        audit = who.audit("Freeze", [namespace])
        command = PutHold(namespace, NAMESPACE, "", who.actor, who.reason, audit=audit)
        hold: Hold = await execute(self._core, command)
        return pb.FreezeResponse(hold=convert.hold(hold))

    async def thaw(self, request: pb.ThawRequest, context: Context) -> pb.ThawResponse:
        """End a freeze."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        who = read_who(request, out)
        validate.refuse(out)
        command = ReleaseHold(namespace, NAMESPACE, "", who.audit("Thaw", [namespace]))
        reply: Hold | Refusal = await self._core.execute(command)
        if isinstance(reply, Refusal) and reply.reason != "HOLD_NOT_FOUND":
            raise ApiError(reply)
        return pb.ThawResponse(thawed=not isinstance(reply, Refusal))

    async def put_hold(self, request: pb.PutHoldRequest, context: Context) -> pb.PutHoldResponse:
        """Pause a task name, or put something in quarantine by hand."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        subject = _subject(request.kind, request.subject, "Freeze", out)
        who = read_who(request, out)
        drops = bool(read_arrivals(request.arrivals, out, "arrivals"))
        if drops and request.kind != TASK_NAME:
            out.append(Violation("arrivals", "only what arrives for a task name can be dropped"))
        validate.refuse(out)
        audit = who.audit("PutHold", [subject])
        command = PutHold(namespace, request.kind, subject, who.actor, who.reason, drops, audit)
        hold: Hold = await execute(self._core, command)
        return pb.PutHoldResponse(hold=convert.hold(hold))

    async def release_hold(
        self, request: pb.ReleaseHoldRequest, context: Context
    ) -> pb.ReleaseHoldResponse:
        """End a pause or a quarantine."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        subject = _subject(request.kind, request.subject, "Thaw", out)
        who = read_who(request, out)
        validate.refuse(out)
        audit = who.audit("ReleaseHold", [subject])
        hold: Hold = await execute(self._core, ReleaseHold(namespace, request.kind, subject, audit))
        return pb.ReleaseHoldResponse(hold=convert.hold(hold))

    async def list_holds(
        self, request: pb.ListHoldsRequest, context: Context
    ) -> pb.ListHoldsResponse:
        """A page of what is held."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)

        async def read(limit: int, after: list[Any] | None) -> Page[Hold]:
            return await core.store.list_holds(namespace, limit, after)

        call = Call("holds", namespace, None, request.page_size, request.page_token, (int, str))
        page = await read_page(call, read, convert.hold)
        return pb.ListHoldsResponse(
            holds=page.items,
            next_page_token=page.next_token,
            watch_token=watch_token(core.store.store_id, page.revision),
        )


def _subject(kind: int, subject: str, instead: str, out: Violations) -> str:
    """Check what is held; `instead` is the call for a namespace."""
    if kind == NAMESPACE:
        out.append(Violation("kind", f"{_KINDS}; for a whole namespace call {instead}"))
    elif kind == TASK_NAME:
        return validate.name(subject, "subject", out)
    elif kind == AGENT:
        return validate.agent_id(subject, "subject", out)
    elif kind == AGENT_VERSION:
        # No agent's name has an @, and a version may: the first one is between them.
        name, at, version = subject.partition("@")
        if not at:
            out.append(Violation("subject", "required: expected `name@version` of an agent's code"))
        elif len(name) > MAX_AGENT_NAME or len(version) > MAX_AGENT_VERSION:
            rule = f"expected at most {MAX_AGENT_NAME} characters before @ and {MAX_AGENT_VERSION} after it"
            out.append(Violation("subject", rule))
        return validate.text(subject, "subject", _MAX_VERSION_SUBJECT, out)
    else:
        told = "required: " if kind == hold_pb2.HOLD_KIND_UNSPECIFIED else ""
        out.append(Violation("kind", told + _KINDS))
    return subject
