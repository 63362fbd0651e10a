"""The desk of one queue: what it has to give to a claim now, with its turns, limits and rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import NamedTuple

from quarterdeck_server.engine.commands import Batch, Claim, Profile
from quarterdeck_server.engine.flow.book import NEVER, Extent, QueueLanes, joined
from quarterdeck_server.engine.flow.holds import handed_out
from quarterdeck_server.engine.flow.limits import limits_of
from quarterdeck_server.engine.flow.meters import available_at, one_key, take, whole_queue
from quarterdeck_server.engine.flow.supply import Ageing, Lane, Read, Source, oldest, order
from quarterdeck_server.engine.flow.turns import Kind, Place
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import RUNNING
from quarterdeck_server.engine.world import QueueKey, World

Order = tuple[int, int, int]
Fresh = Mapping[Lane, Sequence[Task]]


class Offer(NamedTuple):
    """The task that a claim would be given next from a queue."""

    place: Order
    task: Task
    key: str
    kind: Kind


class Kinds(NamedTuple):
    """The kinds of tasks that a claim may be given from a queue."""

    open: Sequence[Kind]
    """Those that any claim of its profile may be given."""
    own: Sequence[Kind]
    """Those for which its agent has the labels, or is the agent."""
    profile: Profile


class Desk:
    """One queue during one group. What it gives is counted at once, here and in its lanes."""

    def __init__(
        self, world: World, key: QueueKey, lanes: QueueLanes, read: Read, fresh: Fresh
    ) -> None:
        self.key = key
        self.lanes = lanes
        self._world = world
        self._read = read
        self._fresh = fresh
        queue = world.queues.get(key)
        self._limits = limits_of(None if queue is None else queue.limits)
        self._weights = dict(self._limits.weights)
        ready, self._running = _counts(world, key)
        if queue is not None and queue.paused:
            ready = {}
        elif world.holds:
            ready = handed_out(world.holds, key[0], ready)
        self.names = frozenset(ready)
        self._plain = {name: n - lanes.named.get(name, 0) for name, n in ready.items()}
        self._closed_until = 0 if queue is None else queue.back_off_until or 0
        self._ripe_at: int | None = None
        self._ripe_keys_of: dict[tuple[Profile, tuple[Kind, ...]], list[tuple[int, str, str]]] = {}
        self._open_kinds: dict[Profile, tuple[Kind, ...]] = {}
        self._standing: dict[Profile, list[Kind]] = {}
        self._sources: dict[tuple[str, Kind], Source | Ageing] = {}
        self._heads: dict[tuple[str, Profile], list[tuple[Order, int, Kind]]] = {}
        lanes.open(world.now, None if queue is None else queue.limits)

    def kinds(self, claim: Claim) -> Kinds:
        """Return what a claim may be given."""
        profile = claim.profile
        known = self._open_kinds.get(profile)
        if known is None:
            names = self.names if profile.names is None else self.names & profile.names
            known = self._open_kinds[profile] = tuple(Kind(name) for name in sorted(names))
        own: list[Kind] = []
        if self.lanes.terms:
            for term in (("", claim.agent_id), *claim.labels):
                own.extend(k for k in self.lanes.terms.get(term, ()) if self._may(claim, k))
        return Kinds(known, own, profile)

    def _may(self, claim: Claim, kind: Kind) -> bool:
        names = claim.profile.names
        return (
            kind.name in self.names
            and (names is None or kind.name in names)
            and kind.agent_id in (None, claim.agent_id)
            and claim.labels.issuperset(kind.labels)
        )

    @property
    def is_open(self) -> bool:
        """Say whether the queue as a whole may start another task."""
        limit = self._limits.concurrency.limit
        return self._closed_until <= self._world.now and (not limit or self._running < limit)

    def reopen_at(self) -> int | None:
        """Return the first instant at which there is more to give though nothing happens until then."""
        limit = self._limits.concurrency.limit
        if limit and self._running >= limit:
            return None
        if self._closed_until > self._world.now:
            return self._closed_until
        found = [at for at in (self._ripe_at, self.lanes.reopen_at()) if at is not None]
        return min(found, default=None)

    def offer(self, kinds: Kinds) -> Offer | None:
        """Return what a claim would be given next: the first task of the key whose turn it is."""
        while self.is_open:
            place = self._turn(kinds)
            if place is None:
                return None
            offer = self._first_of(place.key, kinds)
            if offer is not None:
                return offer
        return None

    def _turn(self, kinds: Kinds) -> Place | None:
        turns, has = self.lanes.turns, self.lanes.has
        best: Place | None = None
        if "" not in self.lanes.parked and self._line("", kinds):
            best = Place(turns.tag(""), 0, "")
        standing = self._standing.get(kinds.profile)
        if standing is None:
            standing = self._standing[kinds.profile] = turns.standing(kinds.open)
        for group in (standing, kinds.own):
            for kind in group:
                place = turns.first(kind, has)
                if place is not None and (best is None or place < best):
                    best = place
        return best

    def _line(self, key: str, kinds: Kinds) -> list[tuple[Order, int, Kind]]:
        """Return the heads of a key's lanes that any claim of the profile may have, the first in front and right."""
        line = self._heads.get((key, kinds.profile))
        if line is None:
            mine = self._having(key, kinds.open)
            line = [
                (self._place(head), n, k) for n, (k, head) in enumerate(self._with_head(key, mine))
            ]
            heapify(line)
            self._heads[key, kinds.profile] = line
        while line:
            place, n, kind = line[0]
            head = self._source(key, kind).head()
            if head is None:
                heappop(line)
            elif self._place(head) != place:
                heapreplace(line, (self._place(head), n, kind))
            else:
                break
        return line

    def _having(self, key: str, kinds: Sequence[Kind]) -> Iterator[Kind]:
        mine = self.lanes.ready.get(key, {})
        if not key:
            return (k for k in kinds if k in mine or (not k.labels and self._plain_left(k)))
        if len(mine) < len(kinds):
            wanted = set(kinds)
            return (kind for kind in mine if kind in wanted)
        return (kind for kind in kinds if kind in mine)

    def _plain_left(self, kind: Kind) -> bool:
        return kind.agent_id is None and self._plain.get(kind.name, 0) > 0

    def _with_head(self, key: str, kinds: Iterable[Kind]) -> Iterator[tuple[Kind, Task]]:
        for kind in kinds:
            head = self._source(key, kind).head()
            if head is not None:
                yield kind, head

    def _place(self, task: Task) -> Order:
        span = self._limits.ageing
        return Ageing.place(task, span, self._world.now) if span else order(task)

    def _source(self, key: str, kind: Kind) -> Source | Ageing:
        found = self._sources.get((key, kind))
        if found is None:
            lane = Lane(*self.key, kind.name, joined(kind, key))
            fresh = self._fresh.get(lane, ())
            if self._limits.ageing:
                found = Ageing(self._world, self._read, lane, self._limits.ageing, fresh)
            else:
                found = Source(self._world, self._read, lane, None, fresh)
            self._sources[key, kind] = found
        return found

    def _first_of(self, key: str, kinds: Kinds) -> Offer | None:
        """Return the first task of a key; None when it can have none, which it is not asked about again then."""
        if not self._has_room(key):
            self.lanes.park(key, None)
            return None
        offers = [
            Offer(self._place(head), head, key, kind)
            for kind, head in self._with_head(key, self._having(key, kinds.own))
        ]
        line = self._line(key, kinds)
        if line:
            place, _, kind = line[0]
            head = self._source(key, kind).head()
            assert head is not None
            offers.append(Offer(place, head, key, kind))
        first = min(offers)
        return first if self._metered(first) else None

    def _has_room(self, key: str) -> bool:
        limit = self._limits.concurrency_per_key.limit
        if not limit:
            return True
        lanes = self.lanes
        running = lanes.running.get(key, 0) if key else self._running - lanes.running_with_key
        return running < limit

    def _metered(self, offer: Offer) -> bool:
        """Say whether the rates allow a start now; otherwise close the queue or park the key until they do."""
        now, meters, limits = self._world.now, self._world.meters, self._limits
        units = policy_of(offer.task.policy).units
        until = available_at(meters.get(whole_queue(*self.key)), limits.rate, units, now)
        if until > now:
            self._closed_until = until
            return False
        until = available_at(
            meters.get(one_key(*self.key, offer.key)), limits.rate_per_key, units, now
        )
        if until > now:
            self.lanes.park(offer.key, until)
            return False
        return True

    def give(self, offer: Offer) -> Task:
        """Count an offer that is taken, and return its task."""
        task, key = offer.task, offer.key
        self._source(key, offer.kind).pop()
        limits, meters, units = self._limits, self._world.meters, policy_of(task.policy).units
        for meter_key, rate in (
            (whole_queue(*self.key), limits.rate),
            (one_key(*self.key, key), limits.rate_per_key),
        ):
            if rate.units:
                after = take(meters.get(meter_key), rate, units, self._world.now)
                assert not isinstance(after, int)
                meters.put(meter_key, after)
        self._running += 1
        if task.lane is None:
            self._plain[task.name] -= 1
        self.lanes.turns.served(key, self._weights.get(key, 1))
        self.lanes.started(task)
        return task

    def batch(self, claim: Claim, batch: Batch) -> list[Task]:
        """Give a claim tasks of one name and one key, when there are enough or the oldest has waited long enough."""
        kinds = self.kinds(claim)
        ripe = self._ripe(kinds, batch) if self.is_open else []
        while ripe and self.is_open:
            tag, key, name = ripe[0]
            if self.lanes.turns.own_tag(key) > tag:
                heapreplace(ripe, (self.lanes.turns.own_tag(key), key, name))
                continue
            heappop(ripe)
            chosen = Kinds(
                [kind for kind in kinds.open if kind.name == name],
                [kind for kind in kinds.own if kind.name == name],
                claim.profile._replace(names=frozenset((name,))),
            )
            taken = self._batch_of(key, chosen, batch)
            if taken:
                heappush(ripe, (tag, key, name))
                return taken
        return []

    def _batch_of(self, key: str, kinds: Kinds, batch: Batch) -> list[Task]:
        """Give the tasks of a key, if they are still a batch: another claim may have been given some of them."""
        taken: list[Task] = []
        mine = [*kinds.open, *kinds.own]
        ripe, until, _ = self._sift({key}, mine, batch)
        self._note_ripe_at(until)
        while ripe and len(taken) < batch.size and self.is_open and self._count(key, mine):
            offer = self._first_of(key, kinds)
            if offer is None:
                break
            taken.append(self.give(offer))
        return taken

    def _ripe(self, kinds: Kinds, batch: Batch) -> list[tuple[int, str, str]]:
        """Return a heap of the keys, with tags and names, of which a batch is ready: once for all claims of a shape."""
        shape = (kinds.profile, tuple(kinds.own))
        places = self._ripe_keys_of.get(shape)
        if places is None:
            by_name: dict[str, list[Kind]] = {}
            for kind in (*kinds.open, *kinds.own):
                by_name.setdefault(kind.name, []).append(kind)
            tag = self.lanes.turns.tag
            places = [
                (tag(key), key, name)
                for name, mine in by_name.items()
                for key in self._ripe_keys(mine, batch)
            ]
            heapify(places)
            self._ripe_keys_of[shape] = places
        return places

    def _note_ripe_at(self, until: int) -> None:
        if until < NEVER:
            self._ripe_at = until if self._ripe_at is None else min(until, self._ripe_at)

    def _ripe_keys(self, mine: Sequence[Kind], batch: Batch) -> list[str]:
        """Return the keys of which a batch of one name is ready, and note when the next one will be."""
        lanes, first = self.lanes, mine[0]
        ripe: list[str] = []
        until = self._quiet_until(mine, batch)
        if until <= self._world.now:
            keys = {key for kind in mine for key in lanes.turns.keys(kind)}
            ripe, until, extent = self._sift(keys, mine, batch)
            if len(mine) == 1 and not ripe:
                lanes.remember(first, extent)
        if self._plain.get(first.name, 0) > 0:
            more, at, _ = self._sift({""}, mine, batch)
            ripe, until = ripe + more, min(until, at)
        self._note_ripe_at(until)
        return ripe

    def _quiet_until(self, mine: Sequence[Kind], batch: Batch) -> int:
        """Return an instant before which no key in line has a batch; a past one when each must be looked at.

        So claims of many shapes, or of agents with many labels, do not each look at all keys.
        """
        if len(mine) > 1:
            extents = [self._extent(kind) for kind in mine]
        else:
            known = self.lanes.extent(mine[0])
            if known is None:
                return 0
            extents = [known]
        if sum(extent.largest for extent in extents) >= batch.size:
            return 0
        return min(NEVER, min(extent.oldest for extent in extents) + batch.linger)

    def _extent(self, kind: Kind) -> Extent:
        known = self.lanes.extent(kind)
        if known is None:
            keys = set(self.lanes.turns.keys(kind))
            _, _, known = self._sift(keys, (kind,), Batch(NEVER, NEVER))
            self.lanes.remember(kind, known)
        return known

    def _sift(
        self, keys: set[str], mine: Sequence[Kind], batch: Batch
    ) -> tuple[list[str], int, Extent]:
        """Return the keys that have a batch, the first instant at which another one has, and how far those go that have
        none.
        """
        ripe: list[str] = []
        largest, oldest = 0, NEVER
        for key in keys - self.lanes.parked.keys():
            count = self._count(key, mine)
            if not count:
                continue
            since = self._oldest(key, mine) if count < batch.size else None
            if since is None or since + batch.linger <= self._world.now:
                ripe.append(key)
            else:
                largest, oldest = max(largest, count), min(oldest, since)
        return ripe, min(NEVER, oldest + batch.linger), Extent(largest, oldest)

    def _count(self, key: str, kinds: Iterable[Kind]) -> int:
        """Return how many tasks of a key and of some kinds of one name are ready."""
        mine = self.lanes.ready.get(key, {})
        count = 0
        for kind in kinds:
            count += mine.get(kind, 0)
            if not key and not kind.labels and kind.agent_id is None:
                count += self._plain.get(kind.name, 0)
        return count

    def _oldest(self, key: str, kinds: Iterable[Kind]) -> int:
        found = []
        for kind in self._having(key, list(kinds)):
            cell = (key, kind)
            known = self.lanes.oldest.get(cell)
            if known is None:
                lane = Lane(*self.key, kind.name, joined(kind, key))
                known = oldest(self._world, self._read, lane, self._fresh.get(lane, ()))
                if known is not None and lane.lane is not None:
                    self.lanes.oldest[cell] = known
            if known is not None:
                found.append(known)
        return min(found, default=self._world.now)


def _counts(world: World, key: QueueKey) -> tuple[dict[str, int], int]:
    """Return how many tasks of a queue are ready, by name, and how many run, with what this group did."""
    queue = world.queues.get(key)
    running = sum(n for _, state, n in queue.counts if state == RUNNING) if queue else 0
    running += sum(n for (_, state), n in world.deltas.get(key, {}).items() if state == RUNNING)
    return world.ready_count(key), running
