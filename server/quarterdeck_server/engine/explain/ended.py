"""How a task ended, and what to do when that was not what it should."""

from __future__ import annotations

from quarterdeck_server.engine.audit import SERVER, UNKNOWN
from quarterdeck_server.engine.explain.texts import because, many, span
from quarterdeck_server.engine.model import Cancellation, Task, cancellation_of
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import (
    CANCELLED,
    EXPIRED,
    FAILED,
    SUCCEEDED,
    ErrorType,
    Reason,
)


def end(task: Task, who: str) -> str | None:
    """Say how a task ended, None of one that has not.

    Args:
        task: The task.
        who: Its last agent, in the words of lists.
    """
    if task.state == SUCCEEDED:
        return f"attempt {task.attempt} succeeded at {who}"
    if task.state == FAILED:
        return _failed(task, who)
    if task.state == CANCELLED:
        return _cancelled(task)
    return _expired(task) if task.state == EXPIRED else None


def _failed(task: Task, who: str) -> str:
    error = f"{task.error_type}{because(_message(task, who))}"
    used = many(task.attempt, "attempt")
    match task.reason:
        case Reason.ATTEMPTS_EXHAUSTED if task.attempt > 1:
            return f"all {used} failed; the last with {error}"
        case Reason.ATTEMPTS_EXHAUSTED:
            return f"its only attempt failed with {error}"
        case Reason.NON_RETRYABLE:
            return f"attempt {task.attempt} failed with {error}, which is not retried"
        case Reason.POISON:
            crashed = f"{many(task.crashes, 'agent')} crashed or vanished with it"
            return (
                f"{crashed}, as many as its max_crashes allows; the last: {error}; "
                "find out what it does to them before it is retried"
            )
        case Reason.TASK_TIMEOUT:
            limit = policy_of(task.policy).task_timeout
            within = "" if limit is None else f" ({span(limit)})"
            return (
                f"the time for all attempts{within} was over after {used}; "
                "a retry gives it as long again"
            )
    return f"attempt {task.attempt} failed with {error}"


def _message(task: Task, who: str) -> str | None:
    message = task.error_message
    if message and task.error_type == ErrorType.LEASE_LOST:
        return message.replace(f"agent {task.agent_id} ", f"agent {who} ", 1)
    return message


def _cancelled(task: Task) -> str:
    cancel = cancellation_of(task)
    match task.reason:
        case Reason.DEPENDENCY_FAILED:
            return f"cancelled because {task.error_message}"
        case Reason.REPLACED:
            return "cancelled because a newer task with its unique key took its place"
        case Reason.DROPPED:
            return (
                f"cancelled as it came: queue {task.queue} or the task name {task.name} was paused, "
                "and what arrived meanwhile was dropped"
            )
        case Reason.OVERFLOW if cancel is None:
            return f"cancelled as it came: {_full(task)} new ones are turned away"
    if cancel is None:
        return f"cancelled by its agent in attempt {task.attempt}"
    if cancel.actor == SERVER and cancel.reason == Reason.OVERFLOW:
        by = f"cancelled to make room: {_full(task)} the oldest go"
    else:
        by = f"cancelled by {cancel.actor or UNKNOWN}{because(cancel.reason)}"
    return by + _taken_away(task, cancel)


def _full(task: Task) -> str:
    return (
        f"queue {task.queue} or its key had as many tasks as its concurrency allows, and over that"
    )


def _taken_away(task: Task, cancel: Cancellation) -> str:
    if cancel.escalate_time is None:
        return ""
    grace = span(policy_of(task.policy).cancel_grace)
    return f"; its handler was not proven to have stopped within its grace of {grace}, and the lease was taken away"


def _expired(task: Task) -> str:
    limit = policy_of(task.policy).schedule_to_start
    within = "in time" if limit is None else f"within {span(limit)} of its time"
    return f"no agent took it {within} (schedule_to_start); a retry puts it in line again, without that limit"
