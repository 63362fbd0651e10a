"""What a pause does to one running task: (row, cause, now) -> row. See `engine.transitions`."""

from __future__ import annotations

from quarterdeck_server.engine.deadlines import woken
from quarterdeck_server.engine.model import Pause, Progress, Task, encode, pause_of, progress_of
from quarterdeck_server.engine.policy import policy_of


def pause_requested(task: Task, actor: str, reason: str, now: int) -> Task:
    """RUNNING: record the request. A second one changes nothing: the first one's proof goes on."""
    if task.pause is not None:
        return task
    return task._replace(pause=encode(Pause(now, actor, reason)))


def pause_step(task: Task, now: int, *, delivered: bool, acknowledged: bool) -> Task:
    """Record that the agent was told, or said that the handler stands still. Each step is recorded once.

    From the second one on the time limits of the task stand still, too.
    """
    pause = pause_of(task)
    if pause is None:
        return task
    if delivered and pause.deliver_time is None:
        pause = pause._replace(deliver_time=now)
    if acknowledged and pause.acknowledge_time is None:
        pause = pause._replace(deliver_time=pause.deliver_time or now, acknowledge_time=now)
    text = encode(pause)
    return task if text == task.pause else woken(task._replace(pause=text))


def resumed(task: Task, now: int) -> Task:
    """RUNNING and paused: the pause is over, and the time limits go on where they stood."""
    return woken(unpaused(task, now))


def unpaused(task: Task, now: int) -> Task:
    """End a pause: the limits move by the time for which the attempt stood still. `wake_at` is not looked at."""
    pause = pause_of(task)
    if pause is None:
        return task
    held = 0 if pause.acknowledge_time is None else max(0, now - pause.acknowledge_time)
    deadline, total = task.attempt_deadline, task.task_deadline
    progress = task.progress
    if held and policy_of(task.policy).stall_timeout is not None:
        last = progress_of(task) or Progress("", 0.0, 0.0, task.claim_time or now)
        progress = encode(last._replace(held=last.held + held))
    return task._replace(
        pause=None,
        attempt_deadline=None if deadline is None else deadline + held,
        task_deadline=None if total is None else total + held,
        progress=progress,
    )
