"""Cancelling tasks, and putting ended ones back."""

from __future__ import annotations

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.admission import taken_back
from quarterdeck_server.engine.branches import Branch
from quarterdeck_server.engine.commands import Cancel, ItemResult, Retry
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.refusals import task_not_found, wrong_state
from quarterdeck_server.engine.states import CANCELLED, ENDED, SUCCEEDED
from quarterdeck_server.engine.world import World


def cancel(world: World, command: Cancel) -> list[ItemResult]:
    """Request cancels of tasks and, unless told otherwise, of all that they submitted."""
    results: dict[int, ItemResult] = {}
    visited: set[int] = set()
    for task_id in command.task_ids:
        if task_id not in results:
            results[task_id] = _cancel_one(world, command, task_id, visited)
        elif results[task_id].refusal is None:
            world.unchanged += 1
    return [results[task_id] for task_id in command.task_ids]


def _cancel_one(world: World, command: Cancel, task_id: int, visited: set[int]) -> ItemResult:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != command.namespace:
        return ItemResult(0, task_not_found(task_id))
    ended = task.state in ENDED
    before = world.revision
    if not ended:
        _request(world, task, command)
    children = 0 if command.keep_children else _cancel_children(world, command, task_id, visited)
    # A task that has ended is still the root of a tree: with children left to cancel there was something to do.
    if ended and task.state != CANCELLED and not children:
        return ItemResult(task.state, wrong_state(task, "it cannot be cancelled any more"))
    # Of a tree that is cut it is not known yet what there is left to do.
    if world.revision == before and not (children and world.trees_cut):
        world.unchanged += 1
    return ItemResult(world.tasks[task_id].state)


def _request(world: World, task: Task, command: Cancel) -> None:
    after = transitions.cancel_requested(
        task, command.actor, command.reason, world.now, keep_children=command.keep_children
    )
    if after is not task:
        world.put(after)


def _cancel_children(world: World, command: Cancel, task_id: int, visited: set[int]) -> int:
    """Request cancels of all that a task submitted, to any depth; return of how many.

    Whoever submits a task names its parent, so parents may stand in a circle, and a child in another namespace. The
    children of a task in `visited` are looked after: of a long chain that is named whole each link is visited once.
    """
    count = 0
    if task_id in visited:
        return count
    visited.add(task_id)
    if world.trees_cut:
        return _cancel_later(world, command, task_id, visited)
    pending = list(world.children.get(task_id, ()))
    while pending:
        child_id = pending.pop()
        child = world.tasks.get(child_id)
        if child is None or child_id in visited or child.namespace != command.namespace:
            continue
        visited.add(child_id)
        if child.state not in ENDED:
            _request(world, child, command)
            count += 1
        pending.extend(world.children.get(child_id, ()))
    return count


def _cancel_later(world: World, command: Cancel, task_id: int, visited: set[int]) -> int:
    """Have the children of a task cancelled step by step; return 1, for there may be some left to cancel.

    Where the task's own parent is walked it is on its way.
    """
    if world.tasks[task_id].parent_id not in visited:
        world.new_trees[task_id] = Branch(
            task_id, task_id, command.namespace, command.actor, command.reason, -1, 0
        )
    return 1


def retry(world: World, command: Retry) -> list[ItemResult]:
    """Put ended tasks back in their queue."""
    return [_retry_one(world, command.namespace, task_id) for task_id in command.task_ids]


def _retry_one(world: World, namespace: str, task_id: int) -> ItemResult:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != namespace:
        return ItemResult(0, task_not_found(task_id))
    if task.state not in ENDED or task.state == SUCCEEDED:
        return ItemResult(
            task.state,
            wrong_state(task, "only a failed, cancelled or expired task can be retried"),
        )
    taken = taken_back(world, task)
    if taken is not None:
        return ItemResult(task.state, taken)
    world.details[task_id] = None
    return ItemResult(world.put(transitions.retried(task, world.now)).state)
