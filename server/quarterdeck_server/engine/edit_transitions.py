"""What an operator, or another submit, may make of a task that has not ended: (row, change, now) -> row.

As in `engine.transitions` the callers check the state, and `wake_at` is right in what is returned.
"""

from __future__ import annotations

from quarterdeck_server.engine.commands import Spec
from quarterdeck_server.engine.deadlines import woken
from quarterdeck_server.engine.flow.affinity import relaxed_lane
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, READY, RUNNING, Reason
from quarterdeck_server.engine.transitions import queued


def replaced(task: Task, now: int) -> Task:
    """Not started -> CANCELLED: a new task has its unique key."""
    return task._replace(state=CANCELLED, reason=Reason.REPLACED, end_time=now, wake_at=None)


def debounced(task: Task, spec: Spec, run_at: int, now: int) -> Task:
    """SCHEDULED, another submit of its debounce key came: its content is replaced, and its delay begins again."""
    policy = policy_of(spec.policy)
    to_start, total = policy.schedule_to_start, policy.task_timeout
    run_at = max(run_at, now)
    return queued(
        task._replace(
            queue=spec.queue,
            priority=spec.priority,
            max_attempts=policy.max_attempts,
            policy=spec.policy,
            labels=spec.labels,
            attributes=spec.attributes,
            lane=spec.lane,
            expire_at=None if to_start is None else run_at + to_start,
            task_deadline=None if total is None else now + total,
        ),
        now,
        run_at,
        None,
    )


def postponed(task: Task, run_at: int, now: int) -> Task:
    """BLOCKED, SCHEDULED or READY: its earliest start is another. One that has passed makes it ready at once.

    The time in which it must be started counts from there, as it does from the end of a delay.
    """
    if run_at <= now:
        run_at = task.run_at if task.run_at <= now else now
    to_start = policy_of(task.policy).schedule_to_start
    if to_start is not None and task.attempt == 0:
        task = task._replace(expire_at=max(task.create_time, run_at) + to_start)
    if task.state == BLOCKED:
        return woken(task._replace(run_at=run_at))
    if run_at > now and task.state == READY:
        task = task._replace(lane=relaxed_lane(task))
    return queued(task, now, run_at, task.reason)


def given_policy(task: Task, text: str | None) -> Task:
    """Not ended: how it is retried and its time limits are others. Limits count from where they counted from.

    The attempt that runs, or that it waits for, is never taken away.
    """
    old, new = policy_of(task.policy), policy_of(text)
    running = task.state == RUNNING
    most = task.max_attempts + new.max_attempts - old.max_attempts
    after = task._replace(
        policy=text,
        max_attempts=max(most, task.attempt if running else task.attempt + 1),
        attempt_deadline=_moved(
            task.attempt_deadline,
            old.attempt_timeout,
            new.attempt_timeout,
            task.claim_time if running else None,
        ),
        task_deadline=_moved(
            task.task_deadline, old.task_timeout, new.task_timeout, task.create_time
        ),
    )
    if task.attempt == 0:
        begun = max(task.create_time, task.run_at)
        after = after._replace(
            expire_at=_moved(task.expire_at, old.schedule_to_start, new.schedule_to_start, begun)
        )
    return woken(after)


def _moved(deadline: int | None, old: int | None, new: int | None, begun: int | None) -> int | None:
    """A deadline under another limit: counted from where it was, or from `begun` where there was none."""
    if new is None:
        return None
    if deadline is not None and old is not None:
        return deadline - old + new
    return None if begun is None else begun + new
