"""What may become of one task: (row, cause, now) -> row.

Every function here is pure and total for the states that its name speaks of; the callers check the state. The row's
`wake_at` is always right in what they return; its `revision` is set by whoever records the change.
"""

from __future__ import annotations

from typing import NamedTuple

from quarterdeck_server.engine.deadlines import woken
from quarterdeck_server.engine.flow.affinity import relaxed_lane
from quarterdeck_server.engine.model import (
    Attempt,
    Cancellation,
    Failure,
    Progress,
    Task,
    cancellation_of,
    encode,
)
from quarterdeck_server.engine.pause_transitions import unpaused
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.retry import backoff
from quarterdeck_server.engine.states import (
    CANCELLED,
    EXPIRED,
    FAILED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    ErrorType,
    Outcome,
    Reason,
)

SUMMARY_LENGTH = 256
"""How much of an error message the hot row keeps; the whole stands at the attempt."""


class Ended(NamedTuple):
    """A running task after its attempt ended, and the record of the attempt."""

    task: Task
    attempt: Attempt


def claimed(task: Task, agent_id: str, token: int, now: int) -> Task:
    """READY -> RUNNING: the next attempt begins under a new lease. The attempt is counted here, not at its end."""
    if task.policy is None and task.task_deadline is None:
        return task._replace(
            state=RUNNING,
            attempt=task.attempt + 1,
            agent_id=agent_id,
            lease_token=token,
            claim_time=now,
            expire_at=None,
            progress=None,
            reason=None,
            wake_at=None,
        )
    timeout = policy_of(task.policy).attempt_timeout
    return woken(
        task._replace(
            state=RUNNING,
            attempt=task.attempt + 1,
            agent_id=agent_id,
            lease_token=token,
            claim_time=now,
            attempt_deadline=None if timeout is None else now + timeout,
            expire_at=None,
            progress=None,
            reason=None,
        )
    )


def _attempt(task: Task, outcome: Outcome, now: int, failure: Failure | None = None) -> Attempt:
    assert (
        task.agent_id is not None and task.lease_token is not None and task.claim_time is not None
    )
    return Attempt(
        task.id,
        task.attempt,
        task.agent_id,
        task.lease_token,
        task.claim_time,
        now,
        int(outcome),
        None if failure is None else failure.type,
        None if failure is None else failure.message,
        None if failure is None or not failure.stack else failure.stack,
        0,
        0,
    )


def _stop_time(task: Task, now: int) -> str | None:
    """The cancellation column with the instant at which the attempt stopped."""
    cancel = cancellation_of(task)
    return None if cancel is None else encode(cancel._replace(stop_time=now))


def succeeded(task: Task, now: int) -> Ended:
    """RUNNING -> SUCCEEDED. A cancel that was requested meanwhile lost the race; its record stays."""
    task = unpaused(task, now)
    cancel = task.cancel if task.cancel is None else _stop_time(task, now)
    return Ended(
        task._replace(
            state=SUCCEEDED,
            lease_token=None,
            attempt_deadline=None,
            end_time=now,
            cancel=cancel,
            error_type=None,
            error_message=None,
            wake_at=None,
        ),
        _attempt(task, Outcome.SUCCEEDED, now),
    )


def failed(
    task: Task,
    failure: Failure,
    now: int,
    *,
    outcome: Outcome = Outcome.FAILED,
    retry_delay: int | None = None,
) -> Ended:
    """RUNNING -> SCHEDULED or READY for another attempt, FAILED when none is left or none can help, CANCELLED when
    a cancel was requested meanwhile.
    """
    task = unpaused(task, now)
    record = _attempt(task, outcome, now, failure)
    policy = policy_of(task.policy)
    after = task._replace(
        lease_token=None,
        attempt_deadline=None,
        error_type=failure.type,
        error_message=failure.message[:SUMMARY_LENGTH],
        crashes=task.crashes + (outcome is Outcome.LOST),
    )
    if task.cancel is not None:
        cancelled = _cancelled_after_attempt(after, now, Reason.CANCEL_REQUESTED)
        # Only a report proves that the handler stopped; a lease that is lost or taken away does not.
        return Ended(cancelled if outcome is Outcome.FAILED else _escalated(cancelled, now), record)
    reason = _why_no_retry(after, failure, now)
    if reason is not None:
        return Ended(
            after._replace(state=FAILED, reason=reason, end_time=now, wake_at=None), record
        )
    if outcome is Outcome.LOST and retry_delay is None:
        retry_delay = 0
    if retry_delay is None:
        # Neither what was given back nor what was used before a retry by an operator makes the delay longer.
        used = task.attempt - (task.max_attempts - policy.max_attempts)
        retry_delay = backoff(policy, max(1, used), task.id)
    return Ended(queued(after, now, now + retry_delay, Reason.BACKOFF), record)


def _why_no_retry(task: Task, failure: Failure, now: int) -> str | None:
    """Return the reason for which a failed task gets no other attempt, None when it gets one."""
    policy = policy_of(task.policy)
    if task.task_deadline is not None and task.task_deadline <= now:
        return Reason.TASK_TIMEOUT
    if failure.non_retryable or failure.type in policy.non_retryable_types:
        return Reason.NON_RETRYABLE
    if task.crashes >= policy.max_crashes:
        return Reason.POISON
    if task.attempt >= task.max_attempts:
        return Reason.ATTEMPTS_EXHAUSTED
    return None


def queued(task: Task, now: int, run_at: int, reason: str | None) -> Task:
    """Put a task back in line: READY at once, SCHEDULED when its time is still to come."""
    due = run_at <= now
    return woken(
        task._replace(
            state=READY if due else SCHEDULED, run_at=run_at, reason=None if due else reason
        )
    )


def released(task: Task, now: int) -> Ended:
    """RUNNING -> READY with the attempt given back; CANCELLED when a cancel was requested meanwhile."""
    task = unpaused(task, now)
    record = _attempt(task, Outcome.RELEASED, now)
    after = task._replace(
        lease_token=None, attempt_deadline=None, max_attempts=task.max_attempts + 1
    )
    if task.cancel is not None:
        return Ended(_cancelled_after_attempt(after, now, Reason.CANCEL_REQUESTED), record)
    return Ended(queued(after, now, task.run_at, None), record)


def _cancelled_after_attempt(task: Task, now: int, reason: str) -> Task:
    return task._replace(
        state=CANCELLED, reason=reason, end_time=now, cancel=_stop_time(task, now), wake_at=None
    )


def stopped(task: Task, now: int) -> Ended:
    """RUNNING -> CANCELLED: the agent reports that the handler stopped, asked for or not.

    Such a report after the cancel was delivered says, if nothing has yet, that the handler was interrupted.
    """
    task = unpaused(task, now)
    reason = Reason.CANCELLED_BY_AGENT if task.cancel is None else Reason.CANCEL_REQUESTED
    cancel = cancellation_of(task)
    if cancel is not None and cancel.deliver_time is not None and cancel.acknowledge_time is None:
        task = task._replace(cancel=encode(cancel._replace(acknowledge_time=now)))
    after = task._replace(lease_token=None, attempt_deadline=None)
    return Ended(
        _cancelled_after_attempt(after, now, reason), _attempt(task, Outcome.CANCELLED, now)
    )


def lease_lost(task: Task, now: int) -> Ended:
    """RUNNING, nobody renewed the lease: the agent is taken for crashed and the attempt is consumed."""
    message = f"agent {task.agent_id} did not renew its lease"
    return failed(task, Failure(ErrorType.LEASE_LOST, message), now, outcome=Outcome.LOST)


def _escalated(task: Task, now: int) -> Task:
    cancel = cancellation_of(task)
    assert cancel is not None
    return task._replace(
        reason=Reason.CANCEL_ESCALATED,
        cancel=encode(cancel._replace(stop_time=None, escalate_time=now)),
    )


def revoked(task: Task, now: int) -> Ended:
    """RUNNING -> CANCELLED: the grace of a delivered cancel is over, the lease is taken away."""
    task = unpaused(task, now)
    after = task._replace(
        state=CANCELLED, lease_token=None, attempt_deadline=None, end_time=now, wake_at=None
    )
    return Ended(_escalated(after, now), _attempt(task, Outcome.REVOKED, now))


def cancel_requested(
    task: Task, actor: str, reason: str, now: int, *, keep_children: bool = False
) -> Task:
    """Record the request. A task that does not run is CANCELLED at once; a running one when its agent has stopped.

    A second request for a running task changes nothing: the first one's proof goes on. A pause ends by it.
    """
    asked = Cancellation(now, actor, reason, keep_children=keep_children)
    if task.state == RUNNING:
        if task.cancel is not None:
            return task
        task = unpaused(task, now)
        return woken(task._replace(cancel=encode(asked)))
    return task._replace(
        state=CANCELLED,
        reason=Reason.CANCEL_REQUESTED,
        end_time=now,
        cancel=encode(asked._replace(stop_time=now)),
        wake_at=None,
    )


def cancel_step(task: Task, now: int, *, delivered: bool, acknowledged: bool) -> Task:
    """Record that the agent was told, or said that it interrupted the handler. Each step is recorded once."""
    cancel = cancellation_of(task)
    if cancel is None:
        return task
    if delivered and cancel.deliver_time is None:
        cancel = cancel._replace(deliver_time=now)
    if acknowledged and cancel.acknowledge_time is None:
        cancel = cancel._replace(deliver_time=cancel.deliver_time or now, acknowledge_time=now)
    text = encode(cancel)
    return task if text == task.cancel else woken(task._replace(cancel=text))


def progressed(task: Task, progress: Progress) -> Task:
    """Record the progress of the running attempt."""
    return woken(task._replace(progress=encode(progress)))


def retried(task: Task, now: int) -> Task:
    """FAILED, CANCELLED or EXPIRED -> READY: in line now, with a fresh budget of attempts and crashes."""
    policy = policy_of(task.policy)
    total = policy.task_timeout
    return woken(
        task._replace(
            state=READY,
            run_at=now,
            max_attempts=task.attempt + policy.max_attempts,
            crashes=0,
            pending=0,
            expire_at=None,
            task_deadline=None if total is None else now + total,
            end_time=None,
            progress=None,
            cancel=None,
            reason=None,
        )
    )


def dependencies_met(task: Task, count: int, now: int) -> Task:
    """BLOCKED: so many dependencies fewer; after the last the task is READY, or SCHEDULED until its time."""
    after = task._replace(pending=task.pending - count)
    return after if after.pending else queued(after, now, max(task.run_at, now), None)


def dependency_failed(task: Task, dependency: str, now: int) -> Task:
    """BLOCKED -> CANCELLED: a dependency ended otherwise than it must."""
    return task._replace(
        state=CANCELLED,
        reason=Reason.DEPENDENCY_FAILED,
        end_time=now,
        error_type=Reason.DEPENDENCY_FAILED,
        error_message=f"{dependency} did not succeed",
        wake_at=None,
    )


def turned_away(task: Task, reason: str, now: int) -> Task:
    """New -> CANCELLED: there is no room for it, or what arrives is dropped."""
    return task._replace(state=CANCELLED, reason=reason, end_time=now, wake_at=None)


def expired(task: Task, now: int) -> Task:
    """Not started in time -> EXPIRED."""
    return task._replace(
        state=EXPIRED, reason=Reason.SCHEDULE_TO_START_TIMEOUT, end_time=now, wake_at=None
    )


def timed_out(task: Task, now: int) -> Task:
    """Not running, and the time for all attempts is over -> FAILED."""
    return task._replace(
        state=FAILED,
        reason=Reason.TASK_TIMEOUT,
        error_type=ErrorType.TASK_TIMEOUT,
        error_message="the time for all attempts was over",
        end_time=now,
        wake_at=None,
    )


def due(task: Task, now: int) -> Task:
    """SCHEDULED -> READY: its time has come."""
    return queued(task, now, task.run_at, None)


def relaxed(task: Task) -> Task:
    """READY, the agents that it prefers did not come in time: any agent that it may have will do now."""
    return woken(task._replace(lane=relaxed_lane(task)))
