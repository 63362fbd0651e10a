"""What is held: freezes, paused names, quarantines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quarterdeck.v1 import hold_pb2, queue_pb2
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.text import sanitize

NAMESPACE = hold_pb2.HOLD_KIND_NAMESPACE
TASK_NAME = hold_pb2.HOLD_KIND_TASK_NAME
AGENT = hold_pb2.HOLD_KIND_AGENT
AGENT_VERSION = hold_pb2.HOLD_KIND_AGENT_VERSION

KINDS: dict[int, str] = {
    NAMESPACE: "namespace",
    TASK_NAME: "task name",
    AGENT: "agent",
    AGENT_VERSION: "agent version",
}


def hold_id(kind: int, subject: str) -> str:
    """The identity of a hold."""
    return f"{kind}:{subject}"


@dataclass(frozen=True, slots=True)
class HoldRow:
    """Something that keeps tasks from being handed out.

    Attributes:
        subject: What is held, as the server wants it named.
        drops: True when tasks that arrive meanwhile are cancelled at once.
    """

    id: str
    revision: int
    kind: hold_pb2.HoldKind.ValueType
    subject: str
    quarantined: bool
    actor: str
    reason: str
    created: float
    drops: bool

    @classmethod
    def of(cls, hold: hold_pb2.Hold) -> HoldRow:
        """From the wire."""
        subject = sanitize(hold.subject, 600)
        return cls(
            id=hold_id(hold.kind, subject),
            revision=hold.revision,
            kind=hold.kind,
            subject=subject,
            quarantined=hold.quarantined,
            actor=sanitize(hold.actor),
            reason=sanitize(hold.reason, 1_024),
            created=seconds(hold.create_time),
            drops=hold.arrivals == queue_pb2.ARRIVAL_POLICY_DROP,
        )

    @property
    def what(self) -> str:
        """Its kind and subject in words."""
        return f"{KINDS.get(self.kind, f'kind {self.kind}')} {self.subject}".strip()

    @property
    def how(self) -> str:
        """Frozen, held by hand, or in quarantine by rule."""
        if self.kind == NAMESPACE:
            return "frozen"
        return "quarantine" if self.quarantined else "held"


def freeze_of(holds: Iterable[HoldRow]) -> HoldRow | None:
    """The freeze of the namespace, or None."""
    return next((hold for hold in holds if hold.kind == NAMESPACE), None)
