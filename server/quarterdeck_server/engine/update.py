"""Changing tasks that have not ended."""

from __future__ import annotations

import json

from quarterdeck_server.engine import edit_transitions
from quarterdeck_server.engine.commands import ItemResult, Refusal, TaskChange, UpdateTasks
from quarterdeck_server.engine.differences import task_change
from quarterdeck_server.engine.flow import overflow
from quarterdeck_server.engine.flow.names import one_too_many
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import RETRY_FIELDS, TIMEOUT_FIELDS, policy_of, policy_text
from quarterdeck_server.engine.refusals import task_not_found, wrong_state
from quarterdeck_server.engine.states import BLOCKED, ENDED, READY, SCHEDULED
from quarterdeck_server.engine.world import World

MAX_LABELS = 64
_WAITING = frozenset({BLOCKED, SCHEDULED, READY})


def update(world: World, command: UpdateTasks) -> list[ItemResult]:
    """Change tasks, each by itself; what a task has already is no change."""
    if command.audit is not None:
        world.changed = task_change(command.change, world.now)
    return [
        _update_one(world, command.namespace, task_id, command.change)
        for task_id in command.task_ids
    ]


def _update_one(world: World, namespace: str, task_id: int, change: TaskChange) -> ItemResult:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != namespace:
        return ItemResult(0, task_not_found(task_id))
    refusal = _refused(task, change)
    if refusal is None and change.queue not in (None, task.queue):
        refusal = one_too_many(world, namespace, change.queue, task.name)
    if refusal is not None:
        return ItemResult(task.state, refusal)
    after = _changed(task, change, world.now)
    moved = after.queue != task.queue
    if moved:
        refusal = overflow.refused_move(world, after)
        if refusal is not None:
            return ItemResult(task.state, refusal)
    if after == task:
        world.unchanged += 1
    else:
        world.put(after)
    if moved:
        world.count_arrival(namespace, after.queue)
    return ItemResult(after.state)


def _refused(task: Task, change: TaskChange) -> Refusal | None:
    if task.state in ENDED:
        return wrong_state(task, "only a task that has not ended can be changed")
    for field in ("priority", "run_at", "delay", "queue"):
        if getattr(change, field) is not None and task.state not in _WAITING:
            name = "run_time" if field == "run_at" else field
            return wrong_state(task, f"{name} can only be changed while it waits")
    if change.labels and len(_labels(task, change)) > MAX_LABELS:
        return Refusal(
            "INVALID_FIELD",
            f"update.labels: the task would have more than {MAX_LABELS} labels",
            (("field", "update.labels"),),
        )
    return None


def _labels(task: Task, change: TaskChange) -> dict[str, str]:
    merged = {**(json.loads(task.labels) if task.labels else {}), **dict(change.labels)}
    return {name: value for name, value in merged.items() if value}


def _changed(task: Task, change: TaskChange, now: int) -> Task:
    if change.labels:
        labels = _labels(task, change)
        text = json.dumps(labels, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        task = task._replace(labels=text if labels else None)
    if change.priority is not None:
        task = task._replace(priority=change.priority)
    if change.queue is not None:
        task = task._replace(queue=change.queue)
    if change.retry is not None or change.timeouts is not None:
        task = edit_transitions.given_policy(task, _policy(task, change))
    if change.run_at is not None or change.delay is not None:
        run_at = change.run_at if change.run_at is not None else now + (change.delay or 0)
        task = edit_transitions.postponed(task, run_at, now)
    return task


def _policy(task: Task, change: TaskChange) -> str | None:
    policy = policy_of(task.policy)
    for source, fields in ((change.retry, RETRY_FIELDS), (change.timeouts, TIMEOUT_FIELDS)):
        if source is not None:
            policy = policy._replace(**{name: getattr(source, name) for name in fields})
    return policy_text(policy)
