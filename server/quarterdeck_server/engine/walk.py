"""The next step of what is too large for one transaction; see `engine.branches`."""

from __future__ import annotations

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.commands import Walk
from quarterdeck_server.engine.dependencies import settle
from quarterdeck_server.engine.states import ENDED
from quarterdeck_server.engine.world import World


def walk(world: World, command: Walk) -> None:
    """Settle the loaded dependents and request cancels of the loaded children."""
    for task_id, edges in world.unsettled:
        ended = world.tasks.get(task_id)
        if ended is not None and ended.state in ENDED:
            settle(world, [ended], [edge for edge in edges if edge not in world.met])
    for branch, children in world.walked:
        for child_id in children:
            task = world.tasks[child_id]
            if task.state in ENDED:
                continue
            after = transitions.cancel_requested(task, branch.actor, branch.reason, world.now)
            if after is not task:
                world.put(after)
