"""What time alone brings: promotions, timeouts and schedules."""

from __future__ import annotations

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.deadlines import cancel_deadline, stall_deadline
from quarterdeck_server.engine.flow.affinity import relax_at
from quarterdeck_server.engine.model import Failure, Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.schedule.firing import fire
from quarterdeck_server.engine.states import RUNNING, SCHEDULED, ErrorType, Outcome
from quarterdeck_server.engine.transitions import Ended
from quarterdeck_server.engine.world import World


def sweep(world: World) -> None:
    """Do what is due for the loaded tasks and schedules."""
    for task_id in world.due_tasks:
        task = world.tasks[task_id]
        if task.wake_at is not None and task.wake_at <= world.now:
            _wake(world, task)
    for key in world.due_schedules:
        schedule = world.schedules.get(key)
        if schedule is not None:
            fire(world, schedule)


def _wake(world: World, task: Task) -> None:
    now = world.now
    if task.state == RUNNING:
        ended = _running(task, now)
        if ended is not None:
            world.lapsed.append(task.id)
            world.attempts.append(ended.attempt)
            world.put(ended.task)
    elif task.task_deadline is not None and task.task_deadline <= now:
        world.put(transitions.timed_out(task, now))
    elif task.expire_at is not None and task.expire_at <= now:
        world.put(transitions.expired(task, now))
    elif task.state == SCHEDULED and task.run_at <= now:
        world.put(transitions.due(task, now))
    elif (relax := relax_at(task)) is not None and relax <= now:
        world.put(transitions.relaxed(task))


def _running(task: Task, now: int) -> Ended | None:
    """End the attempt of a running task whose time is over."""
    revoke = cancel_deadline(task)
    if revoke is not None and revoke <= now:
        return transitions.revoked(task, now)
    if task.task_deadline is not None and task.task_deadline <= now:
        failure = Failure(ErrorType.TASK_TIMEOUT, "the time for all attempts was over")
        return transitions.failed(task, failure, now, outcome=Outcome.REVOKED)
    if task.attempt_deadline is not None and task.attempt_deadline <= now:
        failure = Failure(ErrorType.ATTEMPT_TIMEOUT, _timeout_message(task))
        return transitions.failed(task, failure, now, outcome=Outcome.REVOKED)
    stall = stall_deadline(task)
    if stall is not None and stall <= now:
        failure = Failure(ErrorType.STALLED, _stall_message(task))
        return transitions.failed(task, failure, now, outcome=Outcome.REVOKED)
    return None


def _stall_message(task: Task) -> str:
    timeout = policy_of(task.policy).stall_timeout or 0
    return f"the attempt reported no progress for {timeout / 1_000_000:g} s"


def _timeout_message(task: Task) -> str:
    timeout = policy_of(task.policy).attempt_timeout or 0
    return f"the attempt did not end within {timeout / 1_000_000:g} s"
