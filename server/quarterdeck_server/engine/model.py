"""The resources as frozen rows.

A row is at once the engine's state, the store's row and the image in the change log, in one order of fields,
so that nothing is converted on the way from a decision to the disk. Instants are microseconds since the epoch.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple


class Task(NamedTuple):
    """One task without its payloads: the hot row."""

    id: int
    namespace: str
    queue: str
    name: str
    state: int
    priority: int
    run_at: int
    create_time: int
    attempt: int
    max_attempts: int
    """The attempt number after which none is left. Rises when an attempt is given back or the task is retried."""
    crashes: int
    policy: str | None
    labels: str | None
    """A JSON object of strings."""
    attributes: str | None
    """A JSON object of texts, numbers and booleans."""
    lane: str | None
    """Whose task it is and which agents may have it; see `engine.flow.lane`. None for most tasks."""
    parent_id: int | None
    origin_id: int | None
    """The task of which this one is a rerun."""
    schedule_id: str | None
    schedule_time: int | None
    idempotency_key: str | None
    pending: int
    """Dependencies that have not ended as they must."""
    expire_at: int | None
    """The instant past which the task must not be started for the first time."""
    task_deadline: int | None
    agent_id: str | None
    lease_token: int | None
    """Set exactly while RUNNING."""
    claim_time: int | None
    attempt_deadline: int | None
    end_time: int | None
    progress: str | None
    cancel: str | None
    pause: str | None
    """Set while the running attempt is paused, or asked to."""
    reason: str | None
    error_type: str | None
    error_message: str | None
    late_reports: int
    wake_at: int | None
    """The next instant at which time alone may change the task; see `engine.deadlines`."""
    revision: int


class Attempt(NamedTuple):
    """One ended attempt. The running one lives on its task's row."""

    task_id: int
    attempt: int
    agent_id: str
    lease_token: int
    start_time: int
    end_time: int
    outcome: int
    error_type: str | None
    error_message: str | None
    error_stack: str | None
    late_reports: int
    late_heartbeats: int


class Payload(NamedTuple):
    """An opaque value."""

    content_type: str
    data: bytes


class Failure(NamedTuple):
    """Why an attempt did not succeed."""

    type: str
    message: str
    stack: str = ""
    non_retryable: bool = False


class Progress(NamedTuple):
    """How far a running attempt has come."""

    message: str
    done: float
    total: float
    time: int
    held: int = 0
    """For how long the attempt has stood still since, by a pause."""


class Cancellation(NamedTuple):
    """A cancellation with its proof. Each step has its instant once it has happened."""

    request_time: int
    actor: str
    reason: str
    deliver_time: int | None = None
    acknowledge_time: int | None = None
    stop_time: int | None = None
    escalate_time: int | None = None
    keep_children: bool = False
    """It was for this task alone: what it submits from now on is not cancelled."""


class Pause(NamedTuple):
    """A pause of a running attempt with its proof."""

    request_time: int
    actor: str
    reason: str
    deliver_time: int | None = None
    acknowledge_time: int | None = None


class Queue(NamedTuple):
    """A named line of tasks."""

    namespace: str
    name: str
    paused: int
    pause_note: str | None
    drops: int
    """What arrives while it is paused is dropped."""
    limits: str | None
    """See `engine.flow.limits`. None for most queues."""
    back_off_until: int | None
    """Nothing is handed out before: an agent said that its provider wants a rest."""
    submitted_total: int
    succeeded_total: int
    failed_total: int
    cancelled_total: int
    expired_total: int
    create_time: int
    revision: int
    counts: tuple[tuple[str, int, int], ...] = ()
    """(task name, state, how many), only those that are not zero.

    The change log keeps MAX_NAMES names; the tasks of all others stand there under the empty name, which no task has.
    """


def new_queue(namespace: str, name: str, now: int) -> Queue:
    """Return a queue at its first use."""
    return Queue(namespace, name, 0, None, 0, None, None, 0, 0, 0, 0, 0, now, 0)


class Agent(NamedTuple):
    """A process that claims tasks."""

    namespace: str
    id: str
    name: str
    version: str
    hostname: str
    pid: int
    slots: int
    labels: str | None
    queues: str
    """A JSON array of names."""
    instance_id: str | None
    pool: str | None
    state: int
    running: int
    create_time: int
    last_contact_time: int
    revision: int
    drained: int = 0
    """It was told to drain, which holds for as long as it is known: also when it comes back from being LOST."""


class Hold(NamedTuple):
    """Something that keeps tasks from being handed out."""

    namespace: str
    kind: int
    subject: str
    quarantined: int
    """By rule; 0 when somebody did it by hand."""
    actor: str
    reason: str
    drops: int
    """What arrives meanwhile is dropped."""
    create_time: int
    revision: int


class AuditEntry(NamedTuple):
    """What somebody did by hand, or the server by a rule."""

    namespace: str
    id: int
    time: int
    actor: str
    action: str
    reason: str
    target: str
    filter: str
    matched: int
    done: int
    change: str = ""
    """In words, see `engine.differences`; empty where the action says all."""


class AdmissionKey(NamedTuple):
    """A unique, debounce or throttle key; see `engine.admission`."""

    namespace: str
    kind: int
    name: str
    """Of the tasks among which it means something."""
    key: str


class Admission(NamedTuple):
    """Who has such a key."""

    task_id: int
    since: int
    """Of a throttle: when its period began. Of a debounce: the first submit."""
    passed: int
    """Of a throttle: how many were let through in it."""
    expire_at: int | None
    """When the row means nothing any more; None means with its task."""
    scope: int
    """Of a unique key: until when its task has it."""


class LogRow(NamedTuple):
    """One line of a task's log."""

    task_id: int
    sequence: int
    attempt: int
    offset: int
    """Position in the attempt's own log, counted by its agent."""
    time: int
    level: str
    stream: str
    text: str


MAX_NAMES = 100


_to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode(value: Progress | Cancellation | Pause) -> str:
    """Encode a part for its column of the task row."""
    return _encode_shared(value) if isinstance(value, Cancellation) else _to_json(value)


@lru_cache(maxsize=1024)
def _encode_shared(value: Cancellation) -> str:
    return _to_json(value)


def progress_of(task: Task) -> Progress | None:
    """Return the last progress of the task's current attempt."""
    return None if task.progress is None else Progress(*json.loads(task.progress))


def cancellation_of(task: Task) -> Cancellation | None:
    """Return the task's cancellation, if one was requested."""
    return None if task.cancel is None else _cancellation(task.cancel)


@lru_cache(maxsize=1024)
def _cancellation(text: str) -> Cancellation:
    # Tasks that are cancelled together have the same cancellation, and each is looked at again and again on its way.
    return Cancellation(*json.loads(text))


def pause_of(task: Task) -> Pause | None:
    """Return the pause of the task's running attempt, if one was requested."""
    return None if task.pause is None else Pause(*json.loads(task.pause))
