"""What may be asked of the engine, and what it answers. All values are validated at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quarterdeck_server.engine.limits import QueueLimits
from quarterdeck_server.engine.model import Agent, Failure, Payload, Progress, Task
from quarterdeck_server.engine.namespaces import QuarantineRules, Retention
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedules import Schedule


class Refusal(NamedTuple):
    """An expected no. `reason` is a name of `quarterdeck.v1.ErrorReason` without its prefix."""

    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...] = ()


class RequestKey(NamedTuple):
    """Identity of a call that its client may repeat."""

    namespace: str
    method: str
    request_id: str
    body_hash: bytes


class Unique(NamedTuple):
    """At most one task of a name has the key at a time; the numbers are those of the API's enums."""

    key: str
    scope: int
    policy: int
    period: int


class Debounce(NamedTuple):
    """Submits with the key are folded into one waiting task. Spans are microseconds."""

    key: str
    delay: int
    max_wait: int | None


class Throttle(NamedTuple):
    """At most `limit` submits with the key are let through in a period (microseconds)."""

    key: str
    limit: int
    period: int


class Audit(NamedTuple):
    """Who does something by hand, and why: what the audit log is told."""

    actor: str
    action: str
    reason: str = ""
    target: str = ""
    filter: str = ""
    matched: int = 1
    entry_id: int | None = None
    """The entry that this command goes on with, of an act on all that matches a filter; None begins one."""


class Spec(NamedTuple):
    """One task to create. Exactly the columns of the row that a producer decides, plus what stands beside it."""

    queue: str
    name: str
    priority: int
    run_at: int | None
    delay: int
    policy: str | None
    labels: str | None
    attributes: str | None
    lane: str | None
    parent_id: int | None
    idempotency_key: str | None
    content_hash: bytes | None
    """Set together with `idempotency_key`."""
    depends_on: tuple[int, ...]
    """Task ids; a negative -n means item n - 1 of the same command."""
    input: Payload | None
    admission: Unique | Debounce | Throttle | None = None
    key_ttl: int | None = None
    """How long the idempotency key is kept; None means for as long as the task is."""


@dataclass(slots=True, frozen=True)
class Submit:
    """Create tasks. Answered with a list of Submitted."""

    namespace: str
    specs: Sequence[Spec]
    request: RequestKey | None = None


class Submitted(NamedTuple):
    """What became of one spec."""

    task_id: int
    existed: bool = False
    refusal: Refusal | None = None


class Succeed(NamedTuple):
    """The attempt succeeded."""

    result: Payload | None


class Fail(NamedTuple):
    """The attempt failed. `retry_delay` (microseconds) replaces the policy's backoff."""

    failure: Failure
    retry_delay: int | None = None
    back_off: int | None = None
    """For how long (microseconds) nothing is handed out from the task's queue."""
    key_only: bool = False
    """Nothing of the task's group key, rather."""


class StopCancelled(NamedTuple):
    """The attempt stopped because of a cancel, or its handler gave the task up."""

    message: str


class Release(NamedTuple):
    """The attempt is given back and consumes nothing."""

    message: str


class ReportItem(NamedTuple):
    """How one attempt ended, with the proof that it is the caller's."""

    task_id: int
    token: int
    outcome: Succeed | Fail | StopCancelled | Release


@dataclass(slots=True, frozen=True)
class Report:
    """End attempts. Answered with a list of ItemResult."""

    namespace: str
    agent_id: str
    items: Sequence[ReportItem]


class ItemResult(NamedTuple):
    """The state of a task after a command's item, or why the item was refused."""

    state: int
    refusal: Refusal | None = None


@dataclass(slots=True, frozen=True)
class Cancel:
    """Request cancels. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    reason: str
    actor: str
    keep_children: bool = False
    request: RequestKey | None = None
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class CancelTrees:
    """Go on with the cancels of large trees for a bounded step. Answered with whether there is more to do."""

    limit: int = 1000


@dataclass(slots=True, frozen=True)
class Retry:
    """Put ended tasks back. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    request: RequestKey | None = None
    audit: Audit | None = None


class TaskChange(NamedTuple):
    """What to change of a task. What is None stays."""

    priority: int | None = None
    run_at: int | None = None
    delay: int | None = None
    """From now; not together with `run_at`."""
    queue: str | None = None
    retry: Policy | None = None
    """How failed attempts are retried; nothing else of it is looked at."""
    timeouts: Policy | None = None
    """The time limits; nothing else of it is looked at."""
    labels: tuple[tuple[str, str], ...] = ()
    """Those to set; an empty value removes."""


@dataclass(slots=True, frozen=True)
class UpdateTasks:
    """Change tasks that have not ended. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    change: TaskChange
    request: RequestKey | None = None
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class Rerun:
    """Run ended tasks again as new ones. Answered with a list of Rerunning."""

    namespace: str
    task_ids: Sequence[int]
    input: Payload | None = None
    """Instead of the old one, of exactly one task."""
    with_dependents: bool = False
    request: RequestKey | None = None
    audit: Audit | None = None


class Rerunning(NamedTuple):
    """What became of one rerun: the new task and the copies of what depended on the old one."""

    task_id: int
    dependents: tuple[int, ...] = ()
    refusal: Refusal | None = None


@dataclass(slots=True, frozen=True)
class PauseTasks:
    """Ask that running tasks stand still. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    reason: str
    actor: str
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class ResumeTasks:
    """Let paused tasks go on. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    audit: Audit | None = None


class Line(NamedTuple):
    """One log line."""

    time: int | None
    level: str
    stream: str
    text: str


class LogItem(NamedTuple):
    """Lines of one attempt; `offset` is the position of the first, counted by the agent."""

    task_id: int
    token: int
    offset: int
    lines: Sequence[Line]


@dataclass(slots=True, frozen=True)
class AppendLogs:
    """Append to logs. Answered with a list of `Refusal | None`."""

    namespace: str
    items: Sequence[LogItem]


class Beat(NamedTuple):
    """What a heartbeat says of one lease beyond that it is alive."""

    task_id: int
    token: int
    progress: Progress | None = None
    delivered: bool = False
    acknowledged: bool = False
    pause_delivered: bool = False
    pause_acknowledged: bool = False
    details: Payload | None = None
    """What the next attempt is to be given."""
    late: bool = False
    """It came under a lease that had ended, and was refused."""


@dataclass(slots=True, frozen=True)
class RecordBeats:
    """Record progress, details, deliveries and acknowledgements. Answered with None.

    Of stale ones those that are `late` are counted on their attempt, if the server took its lease away; nothing else.
    """

    beats: Sequence[Beat]


@dataclass(slots=True, frozen=True)
class Expire:
    """End the leases named by (task id, token): nobody renewed them. Answered with None."""

    leases: Sequence[tuple[int, int]]


@dataclass(slots=True, frozen=True)
class Sweep:
    """Do what time alone brings: promotions, timeouts, schedules. Answered with the next instant, or None."""

    limit: int = 1000


@dataclass(slots=True, frozen=True)
class Prune:
    """Remove a bounded number of each kind of what is older than its retention.

    Answered with how many were removed of the kind of which most were: `limit` means that there may be more.
    """

    ended_before: int
    failed_before: int
    changes_before: int
    keep_changes: int
    limit: int = 500
    audit_before: int = 0


@dataclass(slots=True, frozen=True)
class PutAgents:
    """Create or update agents as they are now. Answered with None."""

    agents: Sequence[Agent]


@dataclass(slots=True, frozen=True)
class SetAgentState:
    """Move agents to a state. Answered with a list of `Agent | Refusal`."""

    namespace: str
    agent_ids: Sequence[str]
    state: int
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class UpdateQueue:
    """Change a queue, creating it if need be. What is None stays as it is. Answered with the Queue."""

    namespace: str
    queue: str
    paused: bool | None
    note: str
    audit: Audit | None = None
    limits: QueueLimits | None = None
    """All of them but `drop_while_paused`, which stands below."""
    drop_while_paused: bool | None = None


@dataclass(slots=True, frozen=True)
class PutSchedule:
    """Create or replace a schedule. Answered with (Schedule, created)."""

    schedule: Schedule
    request: RequestKey | None = None
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class PauseSchedule:
    """Pause or resume a schedule. Answered with `Schedule | Refusal`."""

    namespace: str
    schedule_id: str
    paused: bool
    note: str = ""
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class TriggerSchedule:
    """Create one task of a schedule now. Answered with `Submitted`."""

    namespace: str
    schedule_id: str
    request: RequestKey | None = None
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class DeleteSchedule:
    """Remove a schedule. Answered with `None | Refusal`."""

    namespace: str
    schedule_id: str
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class PutHold:
    """Hold something. Answered with `Hold | Refusal`."""

    namespace: str
    kind: int
    subject: str
    actor: str
    reason: str
    drops: bool = False
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class ReleaseHold:
    """End a hold. Answered with `Hold | Refusal`."""

    namespace: str
    kind: int
    subject: str
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class UpdateNamespace:
    """Change the settings of a namespace; None leaves a part as it is. Answered with NamespaceSettings."""

    namespace: str
    retention: Retention | None = None
    quarantine: QuarantineRules | None = None
    audit: Audit | None = None


@dataclass(slots=True, frozen=True)
class BeginAct:
    """Enter an act on all that matches a filter before its first page. Answered with the id of its audit entry."""

    namespace: str
    audit: Audit


@dataclass(slots=True, frozen=True)
class PutInstance:
    """Record what became of an instance of a pool. Answered with None."""

    instance: Instance


@dataclass(slots=True, frozen=True)
class PutPools:
    """Record the pools of the settings and what they do. Answered with None."""

    pools: Sequence[PoolStatus]
    replace: bool = False
    """Remove the pools that are not named."""


class Batch(NamedTuple):
    """Tasks to be given together, of one queue, one name and one group key."""

    size: int
    """How many at most."""
    linger: int
    """How long the oldest may wait for the others once it is ready, in microseconds."""


class Profile(NamedTuple):
    """What a claim may be given: all claims of one profile are alike but for their place and size."""

    namespace: str
    queues: tuple[str, ...]
    names: frozenset[str] | None
    """None means any name."""
    batch: Batch | None = None
    """Set when a claim wants tasks to be worked on together; its `max_tasks` is not looked at then."""


@dataclass(slots=True, eq=False)
class Claim:
    """A waiting request for work, up to `max_tasks`. Being given nothing is not an answer but a wait."""

    profile: Profile
    agent_id: str
    max_tasks: int
    place: int = 0
    """Rises with every claim: its place in the waiting line."""
    agent_version: str = ""
    """`name@version` of the agent's code."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """The agent's."""
    taken: list[Task] = field(default_factory=list)
    details: dict[int, Payload] = field(default_factory=dict)
    """What earlier attempts of the taken tasks have saved."""


class Claimed(NamedTuple):
    """A leased task with its input."""

    task_id: int
    token: int
    input: Payload | None
    details: Payload | None = None
    """What an earlier attempt saved."""


Command = (
    Submit
    | Report
    | Cancel
    | CancelTrees
    | Retry
    | UpdateTasks
    | Rerun
    | PauseTasks
    | ResumeTasks
    | AppendLogs
    | RecordBeats
    | Expire
    | Sweep
    | Prune
    | PutAgents
    | SetAgentState
    | UpdateQueue
    | PutSchedule
    | PauseSchedule
    | TriggerSchedule
    | DeleteSchedule
    | PutHold
    | ReleaseHold
    | UpdateNamespace
    | BeginAct
    | PutInstance
    | PutPools
)
