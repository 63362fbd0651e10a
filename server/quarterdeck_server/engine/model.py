"""The resources as frozen rows.

A row is at once the engine's state, the store's row and the image in the change log, in one order of fields,
so that nothing is converted on the way from a decision to the disk. Instants are microseconds since the epoch.
"""

from __future__ import annotations

import json
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
    parent_id: int | None
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


class Cancellation(NamedTuple):
    """A cancellation with its proof. Each step has its instant once it has happened."""

    request_time: int
    actor: str
    reason: str
    deliver_time: int | None = None
    acknowledge_time: int | None = None
    stop_time: int | None = None
    escalate_time: int | None = None


class Queue(NamedTuple):
    """A named line of tasks."""

    namespace: str
    name: str
    paused: int
    pause_note: str | None
    succeeded_total: int
    failed_total: int
    create_time: int
    revision: int
    counts: tuple[tuple[str, int, int], ...] = ()
    """(task name, state, how many), only those that are not zero.

    The change log keeps MAX_NAMES names; the tasks of all others stand there under the empty name, which no task has.
    """


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


def encode(value: Progress | Cancellation) -> str:
    """Encode a part for its column of the task row."""
    return json.dumps(value, separators=(",", ":"))


def progress_of(task: Task) -> Progress | None:
    """Return the last progress of the task's current attempt."""
    return None if task.progress is None else Progress(*json.loads(task.progress))


def cancellation_of(task: Task) -> Cancellation | None:
    """Return the task's cancellation, if one was requested."""
    return None if task.cancel is None else Cancellation(*json.loads(task.cancel))
