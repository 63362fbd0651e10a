"""Running ended tasks again: new tasks that are copies of the old ones and linked to them.

A copy has the name, content and policies of its origin, and nothing of its history. Keys that others may have
(idempotency, unique, debounce, throttle) are not copied: they belong to the origin. The tasks that were named are run
whatever they once depended on; copies of their dependents wait for the other copies, and for what else the originals
depended on unless that has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.commands import Refusal, Rerun, Rerunning, Spec
from quarterdeck_server.engine.flow.affinity import required_lane
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.policy import policy_of, policy_text
from quarterdeck_server.engine.refusals import task_not_found, wrong_state
from quarterdeck_server.engine.states import BLOCKED, ENDED, SUCCEEDED
from quarterdeck_server.engine.submit import create
from quarterdeck_server.engine.world import World

MAX_TASKS = 10_000
"""With the dependents."""

MAX_DEPENDENCIES = 100_000
"""That these have together. Each takes about 3.5 us and 300 bytes while nothing else is done."""


def rerun(world: World, command: Rerun) -> list[Rerunning]:
    """Copy ended tasks, and what depended on them where that is asked for."""
    refusals = {task_id: _refused(world, command, task_id) for task_id in command.task_ids}
    roots = [task_id for task_id, refusal in refusals.items() if refusal is None]
    copied: dict[int, list[int]] = {root: [] for root in roots}
    if command.with_dependents:
        _note_new(world)
        copied = _with_dependents(world, roots)
        too_large = _too_large(world, command, copied)
        if too_large is not None:
            refusals = {task_id: refusal or too_large for task_id, refusal in refusals.items()}
            return [Rerunning(0, (), refusals[task_id]) for task_id in command.task_ids]
    made = _copy_all(world, command, copied)
    return [
        Rerunning(0, (), refusal)
        if (refusal := refusals[task_id]) is not None
        else Rerunning(made[task_id], tuple(made[old] for old in copied[task_id]))
        for task_id in command.task_ids
    ]


def _refused(world: World, command: Rerun, task_id: int) -> Refusal | None:
    task = world.tasks.get(task_id)
    if task is None or task.namespace != command.namespace:
        return task_not_found(task_id)
    if task.state not in ENDED:
        return wrong_state(task, "only a task that has ended can be run again")
    return None


def _too_large(world: World, command: Rerun, copied: Mapping[int, Sequence[int]]) -> Refusal | None:
    """Refuse a rerun whose copies, or what they depend on, are too many for one group."""
    tasks = [*copied, *(task_id for dependents in copied.values() for task_id in dependents)]
    # Where the store found too many it loaded none of them.
    count = world.uncopied.get(tuple(command.task_ids))
    if count is None:
        count = sum(len(world.depended.get(task_id, ())) for task_id in tasks)
    if count > MAX_DEPENDENCIES:
        return Refusal(
            "LIMIT_EXCEEDED",
            f"these tasks and their dependents have {count:,} dependencies, of which at most {MAX_DEPENDENCIES:,} can "
            "be copied at once; run fewer tasks at once, or without their dependents",
            (("limit", str(MAX_DEPENDENCIES)), ("dependencies", str(count))),
        )
    if len(tasks) > MAX_TASKS:
        return Refusal(
            "LIMIT_EXCEEDED",
            f"more than {MAX_TASKS:,} tasks would be run again with their dependents; run fewer tasks at once, or "
            "without their dependents",
            (("limit", str(MAX_TASKS)),),
        )
    return None


def _note_new(world: World) -> None:
    """Note the dependencies that this group made or met, beside those that the store knows."""
    for edge, met in world.dependencies.items():
        world.depend(*edge, met=met or edge in world.met)
    for edge in world.met:
        world.depend(*edge, met=True)


def _with_dependents(world: World, roots: list[int]) -> dict[int, list[int]]:
    """Return what depends on each root, to any depth and in order of creation; each task under one root only."""
    seen = set(roots)
    found = {}
    for root in roots:
        reached: list[int] = []
        pending = [root]
        while pending:
            for dependent in world.dependents.get(pending.pop(), ()):
                if dependent not in seen and _depends(world.tasks.get(dependent)):
                    seen.add(dependent)
                    reached.append(dependent)
                    pending.append(dependent)
        found[root] = sorted(reached)
    return found


def _depends(task: Task | None) -> bool:
    """Say whether a task was asked to depend on others; a link of a unique key's chain only waited for its turn."""
    return task is not None and not policy_of(task.policy).serial


def _copy_all(world: World, command: Rerun, copied: dict[int, list[int]]) -> dict[int, int]:
    """Create the copies; return their ids by those of the originals."""
    among = {*copied, *(old for dependents in copied.values() for old in dependents)}
    olds = sorted(among)
    waits = {
        old: _waits(world, old, among, root=old in copied) if command.with_dependents else {}
        for old in olds
    }
    made: dict[int, int] = {}
    # What they depend on was created before them, so it has been copied by then.
    for old in olds:
        pending = sum(state == BLOCKED for state in waits[old].values())
        edited = command.input if old in copied else None
        task = _copy(world, world.tasks[old], edited, pending)
        made[old] = task.id
        for dependency, state in waits[old].items():
            world.dependencies[task.id, made.get(dependency, dependency)] = state != BLOCKED
        lost = next((d for d, state in waits[old].items() if state in ENDED - {SUCCEEDED}), None)
        if lost is not None and world.tasks[task.id].state not in ENDED:
            text = encode_task_id(lost)
            world.put(transitions.dependency_failed(world.tasks[task.id], text, world.now))
    return made


def _waits(world: World, old: int, olds: set[int], *, root: bool) -> dict[int, int]:
    """Return what a copy depends on: BLOCKED where it must wait for it, else how it ended, SUCCEEDED if that is met."""
    found: dict[int, int] = {}
    all_ended = policy_of(world.tasks[old].policy).all_ended
    for dependency, met in sorted(world.depended.get(old, {}).items()):
        task = world.tasks.get(dependency)
        if dependency in olds:
            found[dependency] = BLOCKED
        elif root:
            continue
        elif met or task is None or (task.state in ENDED and all_ended):
            found[dependency] = SUCCEEDED
        else:
            found[dependency] = task.state if task.state in ENDED else BLOCKED
    return found


def _copy(world: World, task: Task, edited: Payload | None, pending: int) -> Task:
    policy = policy_of(task.policy)._replace(unique_key=None, unique_pending=False)
    if policy.serial:
        policy = policy._replace(serial=False, all_ended=False)
    spec = Spec(
        task.queue,
        task.name,
        task.priority,
        None,
        0,
        policy_text(policy),
        task.labels,
        task.attributes,
        required_lane(lane_of(task.lane).group_key, policy),
        task.parent_id,
        None,
        None,
        (),
        edited,
    )
    copy = create(world, task.namespace, spec, pending=pending, origin_id=task.id)
    if edited is None:
        world.copy_input(task.id, copy.id)
    return copy
