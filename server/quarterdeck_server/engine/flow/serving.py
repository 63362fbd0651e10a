"""The hand-off from queues in which more than the order counts: group keys, labels, limits, rates, batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from heapq import heapify, heappop, heapreplace

from quarterdeck_server.engine.commands import Claim, Profile
from quarterdeck_server.engine.flow.book import Book
from quarterdeck_server.engine.flow.claim import Waiting, lease
from quarterdeck_server.engine.flow.desk import Desk
from quarterdeck_server.engine.flow.holds import claim_held
from quarterdeck_server.engine.flow.meters import one_key
from quarterdeck_server.engine.flow.supply import Lane, Read
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY
from quarterdeck_server.engine.world import QueueKey, World

MANY_COUNTS = 100
"""Counts of a queue, by name and state, above which its lanes are read as they are asked for."""


def desk_queues(
    world: World, waiting: Waiting, book: Book, queues: Collection[QueueKey]
) -> set[QueueKey]:
    """Return those of the queues that need a desk: their own lanes or limits ask for it, or some claim that waits for
    them also waits for one that needs it.
    """
    found = {key for key in queues if _needs_desk(world, waiting, book, key)}
    added = found
    while added:
        profiles = {profile for key in added for profile in waiting.of_queue.get(key, ())}
        touched = {(profile.namespace, name) for profile in profiles for name in profile.queues}
        added = touched.intersection(queues) - found
        found |= added
    return found


def _needs_desk(world: World, waiting: Waiting, book: Book, key: QueueKey) -> bool:
    queue = world.queues.get(key)
    if queue is not None and (
        queue.limits is not None
        or (queue.back_off_until or 0) > world.now
        # To read the first tasks of so many names in every group would cost more than a desk does.
        or len(queue.counts) > MANY_COUNTS
    ):
        return True
    if book.has_lanes(key) or world.meters.get(one_key(*key, "")).back_off_until > world.now:
        return True
    return any(p.batch is not None for p in waiting.of_queue.get(key, ()))


def serve(
    world: World, waiting: Waiting, book: Book, read: Read, queues: Collection[QueueKey]
) -> list[tuple[int, QueueKey]]:
    """Lease ready tasks of these queues to the waiting claims, the longest waiting first.

    Returns:
        Instants at which a queue has more to give though nothing happens until then.
    """
    fresh = _fresh(world, queues)
    desks = {key: Desk(world, key, book.of(key), read, fresh) for key in queues}
    book.touched = True
    for claim in _in_line(world, waiting, desks):
        known = [desks[key] for key in _keys(claim.profile) if key in desks]
        lease(world, claim, _take(claim, known))
    return [(at, key) for key, desk in desks.items() if (at := desk.reopen_at()) is not None]


def _keys(profile: Profile) -> list[QueueKey]:
    return [(profile.namespace, name) for name in profile.queues]


def _fresh(world: World, queues: Collection[QueueKey]) -> dict[Lane, list[Task]]:
    """Return the ready tasks of the queues that this group made or changed, by lane."""
    found: dict[Lane, list[Task]] = {}
    for touched in (world.born, world.stored):
        for task_id in touched:
            task = world.tasks.get(task_id)
            if task is not None and task.state == READY and (task.namespace, task.queue) in queues:
                lane = Lane(task.namespace, task.queue, task.name, task.lane)
                found.setdefault(lane, []).append(task)
    return found


def _in_line(world: World, waiting: Waiting, desks: dict[QueueKey, Desk]) -> Iterator[Claim]:
    """Give the claims that may be served, by their places.

    Claims of one profile have the same open lanes before them: when one of them was given nothing, the others get
    nothing from those either. Lanes that are not open are served through the claims that match them.
    """
    profiles = {profile for key in desks for profile in waiting.of_queue.get(key, ())}
    lines: list[tuple[int, int, Claim, Iterator[Claim], bool]] = []
    sources = [iter(waiting.profiles.get(profile, ())) for profile in profiles]
    matching = _matching(waiting, desks)
    for n, (source, common) in enumerate(
        [*((source, True) for source in sources), (iter(matching), False)]
    ):
        first = next(source, None)
        if first is not None:
            lines.append((first.place, n, first, source, common))
    heapify(lines)
    while lines:
        _, n, claim, source, common = lines[0]
        held = bool(world.holds) and claim_held(world.holds, claim)
        served = held or bool(claim.taken)
        if not served:
            yield claim
        following = next(source, None)
        if following is None or (common and not served and not claim.taken):
            heappop(lines)
        else:
            heapreplace(lines, (following.place, n, following, source, common))


def _matching(waiting: Waiting, desks: dict[QueueKey, Desk]) -> list[Claim]:
    """Return the claims whose agents may have something that not every agent may have, by their places."""
    found: set[Claim] = set()
    for (namespace, name), desk in desks.items():
        terms = waiting.terms.get(namespace, {})
        for term in desk.lanes.terms.keys() & terms.keys():
            for kind in desk.lanes.terms[term]:
                claims = min((terms.get(item, ()) for item in kind.items), key=len)
                found.update(claim for claim in claims if name in claim.profile.queues)
    return sorted(found, key=lambda claim: claim.place)


def _take(claim: Claim, desks: list[Desk]) -> list[Task]:
    batch = claim.profile.batch
    if batch is not None:
        return next((taken for desk in desks if (taken := desk.batch(claim, batch))), [])
    return _best_of(claim, desks)


def _best_of(claim: Claim, desks: Iterable[Desk]) -> list[Task]:
    """Take the first tasks of several queues together."""
    taken: list[Task] = []
    standing = [(desk, desk.kinds(claim)) for desk in desks]
    offers = [desk.offer(kinds) for desk, kinds in standing]
    while len(taken) < claim.max_tasks:
        places = [(offer.place, n) for n, offer in enumerate(offers) if offer is not None]
        if not places:
            break
        _, n = min(places)
        (desk, kinds), offer = standing[n], offers[n]
        assert offer is not None
        taken.append(desk.give(offer))
        if len(taken) < claim.max_tasks:
            offers[n] = desk.offer(kinds)
    return taken
