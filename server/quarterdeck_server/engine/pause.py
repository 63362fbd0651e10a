"""Pausing single running tasks, and letting them go on."""

from __future__ import annotations

from quarterdeck_server.engine import pause_transitions
from quarterdeck_server.engine.commands import ItemResult, PauseTasks, ResumeTasks
from quarterdeck_server.engine.refusals import task_not_found, wrong_state
from quarterdeck_server.engine.states import RUNNING
from quarterdeck_server.engine.world import World


def pause(world: World, command: PauseTasks) -> list[ItemResult]:
    """Ask that running tasks stand still; of one that is asked already nothing changes."""
    return [_pause_one(world, command, task_id) for task_id in command.task_ids]


def _pause_one(world: World, command: PauseTasks, task_id: int) -> ItemResult:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != command.namespace:
        return ItemResult(0, task_not_found(task_id))
    if task.state != RUNNING:
        return ItemResult(task.state, wrong_state(task, "only a running task can be paused"))
    if task.cancel is not None:
        return ItemResult(task.state, wrong_state(task, "a cancel of it was requested"))
    after = pause_transitions.pause_requested(task, command.actor, command.reason, world.now)
    if after is task:
        world.unchanged += 1
    else:
        world.put(after)
    return ItemResult(task.state)


def resume(world: World, command: ResumeTasks) -> list[ItemResult]:
    """End pauses, whether they were delivered and acknowledged or not."""
    return [_resume_one(world, command, task_id) for task_id in command.task_ids]


def _resume_one(world: World, command: ResumeTasks, task_id: int) -> ItemResult:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != command.namespace:
        return ItemResult(0, task_not_found(task_id))
    if task.pause is None:
        return ItemResult(task.state, wrong_state(task, "it is not paused"))
    return ItemResult(world.put(pause_transitions.resumed(task, world.now)).state)
