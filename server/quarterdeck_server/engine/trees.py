"""Cancels of trees that are too large for one transaction: what is left goes on in bounded steps, over restarts too.

A tree is walked from its root. Each task in it that submitted others is a branch, kept until the walk is over, so that
parents which stand in a circle are walked once. Children are taken in the order of their ids, each once: one that an
operator put back after it was cancelled stays in line. What is submitted below a cancelled task later is cancelled
when it is submitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.states import ENDED

if TYPE_CHECKING:
    from quarterdeck_server.engine.commands import CancelTrees
    from quarterdeck_server.engine.world import World

AT_ONCE = 1_000
"""Tasks below those that a group cancels, with which their trees are cancelled in that group."""

BranchKey = tuple[int, int]
"""The root of the tree, and the task whose children are to be cancelled."""


class Branch(NamedTuple):
    """One task of a tree, and how far its children are cancelled."""

    root_id: int
    task_id: int
    namespace: str
    actor: str
    reason: str
    after: int
    """The last child that was looked at."""
    done: int
    """1 once all of them were."""


def walk(world: World, command: CancelTrees) -> bool:
    """Request cancels of the loaded children; return whether there is more to do."""
    for branch, children in world.walked:
        for task_id in children:
            task = world.tasks[task_id]
            if task.state in ENDED:
                continue
            after = transitions.cancel_requested(task, branch.actor, branch.reason, world.now)
            if after is not task:
                world.put(after)
    return world.trees_left
