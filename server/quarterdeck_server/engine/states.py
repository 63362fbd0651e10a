"""The states of a task and of an attempt, and which follows which."""

from __future__ import annotations

from enum import IntEnum


class TaskState(IntEnum):
    """Where a task stands; the numbers are those of `quarterdeck.v1.TaskState`."""

    BLOCKED = 1
    SCHEDULED = 2
    READY = 3
    RUNNING = 4
    WAITING = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8
    EXPIRED = 9


class Outcome(IntEnum):
    """How an attempt ended; the numbers are those of `quarterdeck.v1.AttemptOutcome`."""

    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3
    RELEASED = 4
    LOST = 5
    REVOKED = 6


class HoldKind(IntEnum):
    """What is held; the numbers are those of `quarterdeck.v1.HoldKind`."""

    NAMESPACE = 1
    TASK_NAME = 2
    AGENT = 3
    AGENT_VERSION = 4


class AgentState(IntEnum):
    """Where an agent stands; the numbers are those of `quarterdeck.v1.AgentState`."""

    ACTIVE = 1
    DRAINING = 2
    LOST = 3
    GONE = 4


# Plain integers for the rows: an IntEnum member costs a Python-level call wherever it is hashed or compared.
BLOCKED, SCHEDULED, READY, RUNNING, WAITING = 1, 2, 3, 4, 5
SUCCEEDED, FAILED, CANCELLED, EXPIRED = 6, 7, 8, 9

ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED, EXPIRED})

FOLLOWERS: dict[int, frozenset[int]] = {
    BLOCKED: frozenset({SCHEDULED, READY, CANCELLED, EXPIRED, FAILED}),
    SCHEDULED: frozenset({READY, CANCELLED, EXPIRED, FAILED}),
    READY: frozenset({SCHEDULED, RUNNING, CANCELLED, EXPIRED, FAILED}),
    RUNNING: frozenset({READY, SCHEDULED, WAITING, SUCCEEDED, FAILED, CANCELLED}),
    WAITING: frozenset({READY, CANCELLED, FAILED}),
    SUCCEEDED: frozenset(),
    FAILED: frozenset({READY}),
    CANCELLED: frozenset({READY}),
    EXPIRED: frozenset({READY}),
}
"""Which state may follow which. An ended task goes on only when an operator retries it, and never from SUCCEEDED."""


class Reason:
    """Why a task is in its state, where the state alone does not say; texts of `Task.reason`."""

    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    NON_RETRYABLE = "NON_RETRYABLE"
    POISON = "POISON"
    TASK_TIMEOUT = "TASK_TIMEOUT"
    SCHEDULE_TO_START_TIMEOUT = "SCHEDULE_TO_START_TIMEOUT"
    DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCEL_ESCALATED = "CANCEL_ESCALATED"
    CANCELLED_BY_AGENT = "CANCELLED_BY_AGENT"
    BACKOFF = "BACKOFF"
    REPLACED = "REPLACED"
    OVERFLOW = "OVERFLOW"
    DROPPED = "DROPPED"


class ErrorType:
    """Types of the failures that the server itself finds; texts of `Failure.type`."""

    ATTEMPT_TIMEOUT = "ATTEMPT_TIMEOUT"
    TASK_TIMEOUT = "TASK_TIMEOUT"
    STALLED = "STALLED"
    LEASE_LOST = "LEASE_LOST"
