"""What is held in the namespace, for lists that say of what they show that it is held."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.cli._call import CallError, Connection
from quarterdeck.cli._pages import collect
from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.fleet_service_pb2 import ListHoldsRequest
from quarterdeck.v1.hold_pb2 import Hold, HoldKind


@dataclass(frozen=True)
class Standing:
    """All holds of a namespace, by kind and subject."""

    holds: dict[tuple[int, str], Hold]

    @property
    def freeze(self) -> Hold | None:
        """The freeze of the namespace."""
        return next((h for (kind, _), h in self.holds.items() if kind == _NAMESPACE), None)

    def of_agent(self, agent: AgentInfo) -> Hold | None:
        """What keeps an agent from claiming: its own hold, or that of its version."""
        version = f"{agent.name}@{agent.version}"
        return self.holds.get((_AGENT, agent.agent_id)) or self.holds.get((_VERSION, version))


_NAMESPACE = HoldKind.HOLD_KIND_NAMESPACE
_AGENT = HoldKind.HOLD_KIND_AGENT
_VERSION = HoldKind.HOLD_KIND_AGENT_VERSION


def ask(connection: Connection) -> Standing:
    """What is held now; nothing by a server that is too old to hold anything."""
    request = ListHoldsRequest(namespace=connection.namespace)
    try:
        found = collect(connection, connection.fleet.ListHolds, request, "holds").holds
    except CallError as error:
        if error.error.code != "UNIMPLEMENTED":
            raise
        return Standing({})
    return Standing({(hold.kind, hold.subject): hold for hold in found})


def by(hold: Hold) -> str:
    """Who holds, and why; not yet safe to print."""
    who = f"by {hold.actor}" if hold.actor else ""
    return f"{who}: {hold.reason}".removeprefix(": ") if hold.reason else who
