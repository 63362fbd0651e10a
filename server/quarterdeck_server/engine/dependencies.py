"""What the end of a task means for the tasks that wait for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from quarterdeck_server.engine import admission, transitions
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, SUCCEEDED
from quarterdeck_server.engine.world import World


def open_edges(
    world: World, ended: Collection[int], stored: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the (dependent, dependency) pairs that the ends of these dependencies may meet.

    `stored` are those that the store knows as not met; what this group met or made is told by the World.
    """
    known = [edge for edge in stored if edge not in world.met]
    made = world.dependencies.items()
    return known + [
        edge for edge, met in made if edge[1] in ended and not met and edge not in world.met
    ]


def settle(world: World, ended: Sequence[Task], edges: Sequence[tuple[int, int]]) -> None:
    """Unblock or cancel the dependents of ended tasks.

    `edges` are those of `open_edges`; every dependent that exists is loaded. A dependent that is cancelled here ends
    too: it appears in `world.just_ended`, to be settled in its turn. Of the chains of unique keys no link is left out:
    what those among the ended waited for that were not started is loaded, too.
    """
    admission.mend(world, admission.open_links(ended))
    states = {task.id: task.state for task in ended}
    met: Counter[int] = Counter()
    for dependent_id, dependency_id in edges:
        task = world.tasks.get(dependent_id)
        if task is None or task.state != BLOCKED:
            continue
        earlier = _place_before(world, task, dependency_id) if world.links else None
        if earlier is not None:
            world.met.add((dependent_id, dependency_id))
            world.dependencies[dependent_id, earlier.id] = False
        elif states[dependency_id] == SUCCEEDED or policy_of(task.policy).all_ended:
            world.met.add((dependent_id, dependency_id))
            met[dependent_id] += 1
        else:
            world.put(transitions.dependency_failed(task, encode_task_id(dependency_id), world.now))
    for dependent_id, count in met.items():
        # Once for all of them: tasks may depend on thousands that end together.
        task = world.tasks[dependent_id]
        if task.state == BLOCKED:
            world.put(transitions.dependencies_met(task, count, world.now))


def _place_before(world: World, task: Task, dependency_id: int) -> Task | None:
    """Return the task to wait for instead of a dependency that ended while it waited in the same chain itself."""
    if dependency_id not in world.links or not policy_of(task.policy).serial:
        return None
    return admission.before(world, world.tasks[dependency_id])
