"""The part of FleetService about the settings of namespaces."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck.v1 import namespace_pb2
from quarterdeck_server.config import Settings
from quarterdeck_server.engine.commands import UpdateNamespace
from quarterdeck_server.engine.etags import namespace_etag
from quarterdeck_server.engine.namespaces import NamespaceSettings, QuarantineRules, Retention
from quarterdeck_server.engine.timeunits import DAY, SECOND
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.audit import read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.masks import meant, read_mask
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.requests import execute
from quarterdeck_server.rpc.validate import Violations

MAX_RETENTION: Final = 3650 * DAY
MAX_FAILURES: Final = 1_000_000
_FIELDS: Final = {"retention": Retention._fields, "quarantine": QuarantineRules._fields}


class NamespaceCalls:
    """Answers operators about namespaces."""

    _core: Core

    async def get_namespace(
        self, request: pb.GetNamespaceRequest, context: Context
    ) -> pb.GetNamespaceResponse:
        """The settings of a namespace."""
        namespace = validate.namespace_of(request.namespace)
        settings = await self._core.store.get_namespace(namespace)
        return pb.GetNamespaceResponse(namespace=to_proto(namespace, settings, self._core.settings))

    async def update_namespace(
        self, request: pb.UpdateNamespaceRequest, context: Context
    ) -> pb.UpdateNamespaceResponse:
        """Change the settings of a namespace."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        mask = read_mask(request.update_mask, _FIELDS, out)
        said = request if mask is None else meant(request, mask)
        named = _FIELDS if mask is None else mask
        retention = rules = None
        if said.HasField("retention") or (mask and "retention" in mask):
            retention = _read_retention(said.retention, out)
        if said.HasField("quarantine") or (mask and "quarantine" in mask):
            rules = _read_rules(said.quarantine, out)
        who = read_who(request, out)
        validate.refuse(out)
        command = UpdateNamespace(
            namespace,
            retention,
            rules,
            who.audit("UpdateNamespace", [namespace]),
            named.get("retention", ()),
            named.get("quarantine", ()),
            request.etag,
        )
        settings: NamespaceSettings = await execute(self._core, command)
        return pb.UpdateNamespaceResponse(
            namespace=to_proto(namespace, settings, self._core.settings)
        )


def to_proto(name: str, settings: NamespaceSettings, server: Settings) -> namespace_pb2.Namespace:
    """A namespace: its own settings, and what is in force with those of the server."""
    out = namespace_pb2.Namespace(name=name, etag=namespace_etag(settings))
    for state, span in settings.retention._asdict().items():
        convert.set_span(getattr(out.retention, state), span)
        seconds = server.retention_failed if state == "failed" else server.retention_finished
        kept = round(seconds * SECOND) if span is None else span
        convert.set_span(getattr(out.effective_retention, state), kept)
    rules = settings.quarantine
    out.quarantine.task_name = rules.task_name
    out.quarantine.agent = rules.agent
    out.quarantine.agent_version = rules.agent_version
    return out


def _read_retention(message: namespace_pb2.Retention, out: Violations) -> Retention:
    return Retention(
        *(
            _read_span(getattr(message, state), f"retention.{state}", out)
            if message.HasField(state)
            else None
            for state in ("succeeded", "failed", "cancelled", "expired")
        )
    )


def _read_span(value: Duration, field: str, out: Violations) -> int:
    span = validate.span(value, field, out)
    if span > MAX_RETENTION:
        rule = f"expected at most {MAX_RETENTION // DAY} days, got {span // DAY}"
        out.append(Violation(field, rule))
    return span


def _read_rules(message: namespace_pb2.QuarantineRules, out: Violations) -> QuarantineRules:
    return QuarantineRules(
        *(
            validate.number(getattr(message, kind), f"quarantine.{kind}", 0, MAX_FAILURES, out)
            for kind in ("task_name", "agent", "agent_version")
        )
    )
