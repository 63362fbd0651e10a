"""Ending attempts, and what else an agent writes under its lease."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.commands import (
    AppendLogs,
    Expire,
    Fail,
    ItemResult,
    Line,
    LogItem,
    Refusal,
    Release,
    Report,
    ReportItem,
    StopCancelled,
    Succeed,
)
from quarterdeck_server.engine.flow.rest import rest
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Attempt, LogRow, Task
from quarterdeck_server.engine.refusals import task_not_found
from quarterdeck_server.engine.states import RUNNING, Outcome
from quarterdeck_server.engine.transitions import Ended
from quarterdeck_server.engine.world import World


def holds_lease(task: Task, token: int) -> bool:
    """Say whether `token` proves the current lease of the task."""
    return task.state == RUNNING and task.lease_token == token


def report(world: World, command: Report) -> list[ItemResult]:
    """End the attempts that the items name."""
    return [_report_one(world, command.namespace, item) for item in command.items]


def _report_one(world: World, namespace: str, item: ReportItem) -> ItemResult:
    task = world.tasks.get(item.task_id)
    if task is None or task.namespace != namespace:
        return ItemResult(0, task_not_found(item.task_id))
    if not holds_lease(task, item.token):
        return _late(world, task, item)
    if item.progress is not None:
        task = transitions.progressed(task, item.progress)
    ended = _end(task, item.outcome, world.now)
    world.attempts.append(ended.attempt)
    if isinstance(item.outcome, Succeed) and item.outcome.result is not None:
        world.results[task.id] = item.outcome.result
    elif isinstance(item.outcome, Fail):
        rest(world, task, item.outcome)
    return ItemResult(world.put(ended.task).state)


def _end(task: Task, outcome: Succeed | Fail | StopCancelled | Release, now: int) -> Ended:
    if isinstance(outcome, Succeed):
        return transitions.succeeded(task, now)
    if isinstance(outcome, Fail):
        return transitions.failed(task, outcome.failure, now, retry_delay=outcome.retry_delay)
    if isinstance(outcome, StopCancelled):
        return transitions.stopped(task, now)
    return transitions.released(task, now)


_OUTCOMES: dict[type, Outcome] = {
    Succeed: Outcome.SUCCEEDED,
    Fail: Outcome.FAILED,
    StopCancelled: Outcome.CANCELLED,
    Release: Outcome.RELEASED,
}


def _late(world: World, task: Task, item: ReportItem) -> ItemResult:
    """Answer a report without a lease: OK when it repeats one that was accepted, otherwise refused and counted."""
    past = past_attempt(world, task.id, item.token)
    if past is None:
        return ItemResult(task.state, lease_lost(task, None))
    if past.outcome == _OUTCOMES[type(item.outcome)]:
        return ItemResult(task.state)
    counted = past._replace(late_reports=past.late_reports + 1)
    world.past_attempts[task.id, item.token] = counted
    world.attempts.append(counted)
    task = world.put(task._replace(late_reports=task.late_reports + 1))
    return ItemResult(task.state, lease_lost(task, past))


def past_attempt(world: World, task_id: int, token: int) -> Attempt | None:
    """Return the ended attempt that had this token, also when it ended in this very group."""
    for attempt in reversed(world.attempts):
        if attempt.task_id == task_id and attempt.lease_token == token:
            return attempt
    return world.past_attempts.get((task_id, token))


def lease_lost(task: Task, past: Attempt | None) -> Refusal:
    """Refuse a write whose lease is not, or no longer, the caller's."""
    text = encode_task_id(task.id)
    if past is None:
        why = "the token is not of any attempt of it"
    else:
        why = f"attempt {past.attempt} ended as {Outcome(past.outcome).name}"
    return Refusal(
        "LEASE_LOST",
        f"the lease of {text} is not the caller's: {why}; stop working on it",
        (("task_id", text), ("attempt", str(task.attempt if past is None else past.attempt))),
    )


def expire(world: World, command: Expire) -> None:
    """End the leases that nobody renewed."""
    for task_id, token in command.leases:
        task = world.tasks.get(task_id)
        if task is not None and holds_lease(task, token):
            ended = transitions.lease_lost(task, world.now)
            world.lapsed.append(task_id)
            world.attempts.append(ended.attempt)
            world.put(ended.task)


def append_logs(world: World, command: AppendLogs) -> list[Refusal | None]:
    """Append lines to the logs of running attempts, each line once however often its chunk is sent."""
    return [_append(world, command.namespace, item) for item in command.items]


def _append(world: World, namespace: str, item: LogItem) -> Refusal | None:
    task = world.tasks.get(item.task_id)
    if task is None or task.namespace != namespace:
        return task_not_found(item.task_id)
    if not holds_lease(task, item.token):
        return lease_lost(task, past_attempt(world, task.id, item.token))
    sequence, offsets = world.log_ends.get(task.id, (0, {}))
    known = offsets.get(task.attempt, 0)
    lines: Sequence[Line] = item.lines[max(0, known - item.offset) :]
    offset = max(known, item.offset)
    for line in lines:
        sequence += 1
        time = world.now if line.time is None else line.time
        world.logs.append(
            LogRow(
                task.id, sequence, task.attempt, offset, time, line.level, line.stream, line.text
            )
        )
        offset += 1
    world.log_ends[task.id] = (sequence, {**offsets, task.attempt: offset})
    return None
