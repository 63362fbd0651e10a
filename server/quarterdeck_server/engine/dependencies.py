"""What the end of a task means for the tasks that wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, SUCCEEDED
from quarterdeck_server.engine.world import World


def settle(world: World, ended: Sequence[Task], edges: Sequence[tuple[int, int]]) -> None:
    """Unblock or cancel the dependents of ended tasks.

    `edges` are (dependent, dependency), as stored and as made by this group; every dependent that exists is loaded. A
    dependent that is cancelled here ends too: it appears in `world.just_ended`, to be settled in its turn.
    """
    states = {task.id: task.state for task in ended}
    for dependent_id, dependency_id in edges:
        task = world.tasks.get(dependent_id)
        if task is None or task.state != BLOCKED:
            continue
        if states[dependency_id] == SUCCEEDED or policy_of(task.policy).all_ended:
            world.put(transitions.dependency_met(task, world.now))
        else:
            world.put(transitions.dependency_failed(task, encode_task_id(dependency_id), world.now))
