"""What the server says about tasks and the rest, as plain frozen values.

Field by field the messages of `quarterdeck.v1`, where each is documented, with instants as
aware `datetime` (None when unset), spans as seconds, and enum values as lower-case text
without their prefix, so that a value which a newer server invents is text like any other.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck._limits import QueueLimits
from quarterdeck._policies import Affinity, Retry, Timeouts

Instant = dt.datetime | None


class TaskState(enum.StrEnum):
    """Where a task stands; compares with `Task.state`, which is text."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not succeed."""

    type: str
    message: str
    stack_trace: str
    non_retryable: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has come."""

    message: str
    done: float
    total: float
    update_time: Instant


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A cancel with its proof: each step has its instant once it has happened."""

    request_time: Instant
    actor: str
    reason: str
    deliver_time: Instant
    acknowledge_time: Instant
    stop_time: Instant
    escalate_time: Instant


@dataclass(frozen=True, slots=True)
class TaskPause:
    """A pause of a running task with its proof: each step has its instant once it has happened."""

    request_time: Instant
    actor: str
    reason: str
    deliver_time: Instant
    acknowledge_time: Instant


@dataclass(frozen=True, slots=True)
class Task:
    """One task, without its payloads."""

    id: str
    namespace: str
    queue: str
    name: str
    state: str
    reason: str
    priority: int
    create_time: Instant
    run_time: Instant
    start_time: Instant
    end_time: Instant
    attempt: int
    max_attempts: int
    crashes: int
    agent_id: str
    attempt_deadline: Instant
    task_deadline: Instant
    labels: Mapping[str, str]
    idempotency_key: str
    parent_id: str
    schedule_id: str
    schedule_time: Instant
    pending_dependencies: int
    progress: Progress | None
    cancellation: Cancellation | None
    failure: Failure | None
    late_reports: int
    revision: int
    group_key: str
    attributes: Mapping[str, str | float | bool]
    required_labels: Mapping[str, str]
    preferred_agent_id: str
    pause: TaskPause | None
    rerun_of: str

    @property
    def ended(self) -> bool:
        """True in the four states that a task does not leave by itself."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a task by one agent."""

    attempt: int
    agent_id: str
    start_time: Instant
    end_time: Instant
    outcome: str
    failure: Failure | None
    late_reports: int
    late_heartbeats: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes as they were sent; empty for None."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A key by which a task was let in.

    Attributes:
        kind: `unique`, `debounce` or `throttle`.
        key: The key.
        held: True while it decides about other submits.
        scope: Of a unique key: `pending`, `active` or `period`.
        expire_time: When it ends by itself; None where it does not.
    """

    kind: str
    key: str
    held: bool
    scope: str
    expire_time: Instant


@dataclass(frozen=True, slots=True)
class TaskDetails:
    """One task in full; `details` is what its attempts saved for the next one."""

    task: Task
    input: Payload | None
    result: Payload | None
    attempts: tuple[Attempt, ...]
    depends_on: tuple[str, ...]
    retry: Retry | None
    timeouts: Timeouts | None
    units: int
    affinity: Affinity | None
    details: Payload | None
    keys: tuple[TaskKey, ...]
    dependency_policy: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task's log. The text is the agent's: not safe for a terminal."""

    time: Instant
    level: str
    stream: str
    text: str
    attempt: int
    sequence: int


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many tasks are in one state."""

    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Queue:
    """A named line of tasks."""

    name: str
    namespace: str
    paused: bool
    pause_note: str
    counts: tuple[StateCount, ...]
    succeeded_total: int
    failed_total: int
    create_time: Instant
    revision: int
    limits: QueueLimits | None
    paused_arrivals: str
    submitted_total: int
    cancelled_total: int
    expired_total: int
    back_off_until: Instant
    etag: str


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """An agent as it describes itself."""

    agent_id: str
    name: str
    version: str
    hostname: str
    pid: int
    slots: int
    labels: Mapping[str, str]
    instance_id: str


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent as the server sees it."""

    info: AgentDescription | None
    namespace: str
    state: str
    queues: tuple[str, ...]
    running: int
    create_time: Instant
    last_contact_time: Instant
    pool: str
    revision: int


@dataclass(frozen=True, slots=True)
class CronRule:
    """Times by a cron expression."""

    expression: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """When a schedule creates tasks: one of `cron`, `interval` (seconds) and `once`."""

    cron: CronRule | None
    interval: float | None
    once: Instant
    start_time: Instant
    end_time: Instant


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule that creates tasks at times."""

    id: str
    namespace: str
    spec: ScheduleRule | None
    paused: bool
    pause_note: str
    next_time: Instant
    last_time: Instant
    last_task_id: str
    fired_count: int
    create_time: Instant
    update_time: Instant
    revision: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One piece of compute that a pool started."""

    id: str
    pool: str
    state: str
    agent_id: str
    create_time: Instant
    end_time: Instant
    detail: str
    revision: int
    pid: int


@dataclass(frozen=True, slots=True)
class Pool:
    """A rule that starts and stops compute."""

    name: str
    queue: str
    min: int
    max: int
    slots: int
    idle_timeout: float | None
    launcher: str
    instances: int
    detail: str
    revision: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that keeps tasks from being handed out: a freeze, a pause, a quarantine."""

    namespace: str
    kind: str
    subject: str
    quarantined: bool
    actor: str
    reason: str
    create_time: Instant
    arrivals: str
    revision: int


Resource = Task | AgentStatus | Queue | Schedule | Instance | Pool | Hold


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one resource.

    Attributes:
        type: `snapshot`, `created`, `updated`, `deleted` or `left` (the filter).
        kind: `task`, `agent`, `queue`, `schedule`, `instance`, `pool` or `hold`.
        resource: The whole resource right after; of one that was deleted, its identity.
        revision: Position in the change log; 0 in a snapshot.
        time: When it was committed.
    """

    type: str
    kind: str
    resource: Resource
    revision: int
    time: Instant


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server accepts at most."""

    max_payload_bytes: int
    max_message_bytes: int
    max_batch: int
    max_page_size: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server is."""

    version: str
    capabilities: tuple[str, ...]
    limits: Limits | None
    time: Instant
    start_time: Instant
    store_id: str
