"""The hand-off: giving ready tasks to waiting claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import itemgetter

from quarterdeck_server.engine.commands import Claim, Profile
from quarterdeck_server.engine.flow.book import Term
from quarterdeck_server.engine.flow.holds import claim_held, handed_out
from quarterdeck_server.engine.flow.supply import Lane, order
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY
from quarterdeck_server.engine.transitions import claimed
from quarterdeck_server.engine.world import World


@dataclass(slots=True, frozen=True)
class Waiting:
    """The claims that wait for work, as they are while a group is decided.

    They are the line itself and not a copy: nothing here keeps them, or looks at them again after the group.
    """

    profiles: Mapping[Profile, Collection[Claim]]
    """The claims of each profile, the longest waiting first."""
    of_queue: Mapping[tuple[str, str], Collection[Profile]]
    """The profiles that name a queue."""
    candidates: Collection[tuple[str, str]]
    """Queues that somebody waits for and that had ready tasks before this group."""
    terms: Mapping[str, Mapping[Term, Collection[Claim]]] = field(default_factory=dict)
    """By namespace: the claims whose agents have a label, or an id (under the empty name)."""


NOBODY = Waiting({}, {}, ())


def lanes_of(world: World, profile: Profile, queues: Collection[tuple[str, str]]) -> list[Lane]:
    """Return the lanes of some queues that claims of a profile may take from. Paused queues have none."""
    lanes: list[Lane] = []
    for name in profile.queues:
        key = (profile.namespace, name)
        queue = world.queues.get(key)
        if key not in queues or (queue is not None and queue.paused):
            continue
        lanes.extend(
            Lane(profile.namespace, name, task_name)
            for task_name in _open_names(world, key)
            if profile.names is None or task_name in profile.names
        )
    return lanes


def _open_names(world: World, key: tuple[str, str]) -> dict[str, int]:
    names = world.ready_count(key)
    return handed_out(world.holds, key[0], names) if world.holds else names


def served_queues(world: World, waiting: Waiting) -> set[tuple[str, str]]:
    """Return the queues that the hand-off must look at: known to have ready tasks, or changed by this group."""
    changed = (*world.deltas, *world.dirty_queues, *world.reopened)
    return {*waiting.candidates, *(key for key in changed if key in waiting.of_queue)}


def eligible(
    world: World, waiting: Waiting, queues: Collection[tuple[str, str]]
) -> dict[Profile, list[Lane]]:
    """Return the profiles that some lane with ready tasks may serve, with those lanes."""
    profiles = {profile for key in queues for profile in list(waiting.of_queue.get(key, ()))}
    found = {profile: lanes_of(world, profile, queues) for profile in profiles}
    return {profile: lanes for profile, lanes in found.items() if lanes}


def ready_counts(world: World, lanes: Iterable[Lane]) -> dict[Lane, int]:
    """Return how many tasks of each lane are ready, counting each queue once: it may have thousands of lanes."""
    queues: dict[tuple[str, str], dict[str, int]] = {}
    counts: dict[Lane, int] = {}
    for lane in lanes:
        key = (lane.namespace, lane.queue)
        if key not in queues:
            queues[key] = world.ready_count(key)
        counts[lane] = queues[key].get(lane.name, 0)
    return counts


def demand(
    world: World, waiting: Waiting, profiles: Mapping[Profile, list[Lane]]
) -> dict[Lane, int]:
    """Return how many tasks of each lane the waiting claims could take together, at most."""
    wanted: dict[Lane, int] = {}
    counts = ready_counts(world, (lane for lanes in profiles.values() for lane in lanes))
    for profile, lanes in profiles.items():
        claims = waiting.profiles.get(profile, ())
        for lane in lanes:
            ready = counts[lane]
            already = wanted.get(lane, 0)
            for claim in claims:
                if already >= ready:
                    break
                already += claim.max_tasks
            wanted[lane] = min(already, ready)
    return wanted


def fresh(world: World, lanes: Iterable[Lane]) -> dict[Lane, list[Task]]:
    """Return the ready tasks of the lanes that this group made or changed, in order."""
    found: dict[Lane, list[Task]] = {lane: [] for lane in lanes}
    for touched in (world.born, world.stored):
        for task_id in touched:
            task = world.tasks.get(task_id)
            if task is not None and task.state == READY:
                lane = found.get(Lane(task.namespace, task.queue, task.name))
                if lane is not None:
                    lane.append(task)
    for tasks in found.values():
        tasks.sort(key=order)
    return found


class Supply:
    """Ready tasks by lane, in order, each to be taken once."""

    def __init__(self, lanes: dict[Lane, list[Task]]) -> None:
        self._lanes = {lane: tasks[::-1] for lane, tasks in lanes.items() if tasks}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def take(self, lanes: Sequence[Lane], limit: int) -> list[Task]:
        """Take the first `limit` tasks of several lanes together."""
        stocked = [(lane, self._lanes[lane]) for lane in lanes if lane in self._lanes]
        if len(stocked) == 1:
            lane, tasks = stocked[0]
            taken = tasks[: -limit - 1 : -1]
            del tasks[-limit:]
        else:
            taken = []
            # Generators: of thousands in line a claim takes a few.
            heads = merge(*(((order(t), t) for t in reversed(tasks)) for _, tasks in stocked))
            for _, task in heads:
                if len(taken) == limit:
                    break
                taken.append(task)
            counts: dict[Lane, int] = {}
            for task in taken:
                key = Lane(task.namespace, task.queue, task.name)
                counts[key] = counts.get(key, 0) + 1
            for lane, n in counts.items():
                del self._lanes[lane][-n:]
        for lane, tasks in stocked:
            if not tasks:
                del self._lanes[lane]
        return taken


def _places(
    claims: Iterable[Claim], lanes: Sequence[Lane]
) -> Iterator[tuple[int, Claim, Sequence[Lane]]]:
    """Give claims with their places one by one: of thousands that wait a group serves a few."""
    for claim in claims:
        yield claim.place, claim, lanes


def hand_off(
    world: World, waiting: Waiting, profiles: Mapping[Profile, list[Lane]], supply: Supply
) -> None:
    """Lease ready tasks to the claims, the longest waiting first, each up to its `max_tasks`."""
    lines = [
        _places(waiting.profiles.get(profile, ()), lanes) for profile, lanes in profiles.items()
    ]
    line = lines[0] if len(lines) == 1 else merge(*lines, key=itemgetter(0))
    for _, claim, lanes in line:
        if not supply:
            return
        if world.holds and claim_held(world.holds, claim):
            continue
        lease(world, claim, supply.take(lanes, claim.max_tasks))


def lease(world: World, claim: Claim, tasks: Sequence[Task]) -> None:
    """Give ready tasks to a waiting claim; one that is given none goes on waiting."""
    if tasks:
        # Before the tasks: a group that fails takes back what its claims were given.
        world.claims.append(claim)
    for ready in tasks:
        world.tasks[ready.id] = ready
        task = world.put(claimed(ready, claim.agent_id, world.new_token(), world.now))
        world.claimed.append(task.id)
        claim.taken.append(task)
