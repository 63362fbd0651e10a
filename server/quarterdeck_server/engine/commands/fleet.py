"""What operators and the server ask of all that is no task: agents, queues, schedules, holds, namespaces, pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quarterdeck_server.engine.commands.common import Audit, RequestKey
from quarterdeck_server.engine.flow.limits import QueueLimits
from quarterdeck_server.engine.model import Agent
from quarterdeck_server.engine.namespaces import QuarantineRules, Retention
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule


class PutAgents(NamedTuple):
    """Create or update agents as they are now. Answered with None."""

    agents: Sequence[Agent]


class SetAgentState(NamedTuple):
    """Move agents to a state. Answered with a list of `Agent | Refusal`."""

    namespace: str
    agent_ids: Sequence[str]
    state: int
    audit: Audit | None = None


class UpdateQueue(NamedTuple):
    """Change a queue, creating it if need be. What is None stays as it is. Answered with `Queue | Refusal`."""

    namespace: str
    queue: str
    paused: bool | None
    note: str
    audit: Audit | None = None
    limits: QueueLimits | None = None
    drops: bool | None = None
    """Whether what arrives while it is paused is dropped."""
    limit_parts: Sequence[str] = QueueLimits._fields
    """The limits that are meant; the others stay."""
    etag: str = ""
    """Of the queue as it was seen; empty for whatever it is."""


class PutSchedule(NamedTuple):
    """Create or replace a schedule. Answered with (Schedule, created)."""

    schedule: Schedule
    request: RequestKey | None = None
    audit: Audit | None = None


class PauseSchedule(NamedTuple):
    """Pause or resume a schedule. Answered with `Schedule | Refusal`."""

    namespace: str
    schedule_id: str
    paused: bool
    note: str = ""
    audit: Audit | None = None


class TriggerSchedule(NamedTuple):
    """Create one task of a schedule now. Answered with `Submitted`."""

    namespace: str
    schedule_id: str
    request: RequestKey | None = None
    audit: Audit | None = None


class DeleteSchedule(NamedTuple):
    """Remove a schedule. Answered with `None | Refusal`."""

    namespace: str
    schedule_id: str
    audit: Audit | None = None


class PutHold(NamedTuple):
    """Hold something. Answered with `Hold | Refusal`."""

    namespace: str
    kind: int
    subject: str
    actor: str
    reason: str
    drops: bool = False
    audit: Audit | None = None


class ReleaseHold(NamedTuple):
    """End a hold. Answered with `Hold | Refusal`."""

    namespace: str
    kind: int
    subject: str
    audit: Audit | None = None


class UpdateNamespace(NamedTuple):
    """Change the settings of a namespace; None leaves them as they are. Answered with `NamespaceSettings | Refusal`."""

    namespace: str
    retention: Retention | None = None
    quarantine: QuarantineRules | None = None
    audit: Audit | None = None
    retention_parts: Sequence[str] = Retention._fields
    """The parts of `retention` that are meant; the others stay."""
    quarantine_parts: Sequence[str] = QuarantineRules._fields
    """The same for `quarantine`."""
    etag: str = ""
    """Of the settings as they were seen; empty for whatever they are."""


class PutInstance(NamedTuple):
    """Record what became of an instance of a pool. Answered with None."""

    instance: Instance


class PutPools(NamedTuple):
    """Record the pools of the settings and what they do. Answered with None."""

    pools: Sequence[PoolStatus]
    replace: bool = False
    """Remove the pools that are not named."""
