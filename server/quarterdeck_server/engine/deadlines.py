"""What time alone does to a task, and when.

Every row carries one instant, `wake_at`: the earliest at which time may change it. The timers look at nothing else,
so a task without limits costs them nothing.
"""

from __future__ import annotations

from quarterdeck_server.engine.flow.affinity import relax_at
from quarterdeck_server.engine.model import Task, cancellation_of, pause_of, progress_of
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, READY, RUNNING, SCHEDULED, WAITING


def cancel_deadline(task: Task) -> int | None:
    """When a running task's lease is revoked because its cancel was delivered and not obeyed."""
    cancel = cancellation_of(task)
    if cancel is None or cancel.deliver_time is None:
        return None
    return cancel.deliver_time + policy_of(task.policy).cancel_grace


def stall_deadline(task: Task) -> int | None:
    """When a running attempt counts as stalled: `stall_timeout` after its last progress, or its start."""
    stall = policy_of(task.policy).stall_timeout
    if stall is None:
        return None
    progress = progress_of(task)
    last = progress.time + progress.held if progress is not None else task.claim_time
    return None if last is None else last + stall


def stands_still(task: Task) -> bool:
    """Say whether a running task is paused and its agent has said so: then no limit but a lease's runs."""
    pause = pause_of(task)
    return pause is not None and pause.acknowledge_time is not None


def wake_at(task: Task) -> int | None:
    """Return the earliest instant at which time alone may change the task, None when there is none."""
    state = task.state
    if state == RUNNING:
        if task.pause is not None and stands_still(task):
            return None
        due = [task.attempt_deadline, task.task_deadline]
        if task.cancel is not None:
            due.append(cancel_deadline(task))
        if task.policy is not None:
            due.append(stall_deadline(task))
    elif state == SCHEDULED:
        due = [task.run_at, task.expire_at, task.task_deadline]
    elif state in (READY, BLOCKED, WAITING):
        due = [task.expire_at, task.task_deadline]
        if task.lane is not None:
            due.append(relax_at(task))
    else:
        return None
    known = [instant for instant in due if instant is not None]
    return min(known) if known else None


def woken(task: Task) -> Task:
    """Return the task with its `wake_at` set right."""
    wake = wake_at(task)
    return task if wake == task.wake_at else task._replace(wake_at=wake)
