"""What the store knows of lanes without asking its tables: counts, turns, and which keys must wait.

Tasks without a lane are not counted here: the counts of their queue tell of them, so they cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from quarterdeck_server.engine.flow.lane import LaneKey, lane_of, lane_text
from quarterdeck_server.engine.flow.turns import Kind, Turns
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY, RUNNING
from quarterdeck_server.engine.world import QueueKey, World

Term = tuple[str, str]
NEVER = 1 << 62
"""An instant that does not come."""
_MAX_EXTENTS = 1000
"""Kinds of which that is remembered."""


def split(text: str | None, name: str) -> tuple[str, Kind]:
    """Return the group key and the kind of a task with this name and lane."""
    key = lane_of(text)
    return key.group_key, Kind(name, key.labels, key.agent_id)


def joined(kind: Kind, group_key: str) -> str | None:
    """Return the lane of the tasks of a kind and a group key."""
    return lane_text(LaneKey(group_key, kind.labels, kind.agent_id))


class Extent(NamedTuple):
    """How far the tasks of one kind go, of all keys that stand in line for it."""

    largest: int
    """No key has more of them."""
    oldest: int
    """None has been ready for longer than since then."""


class QueueLanes:
    """The lanes of one queue."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.ready: dict[str, dict[Kind, int]] = {}
        """By group key."""
        self.named: dict[str, int] = {}
        """Ready tasks with a lane, by name."""
        self.running: dict[str, int] = {}
        """Running tasks by group key, of all keys but the empty one: what is left of the queue's is of that."""
        self.running_with_key = 0
        """Their sum."""
        self.terms: dict[Term, set[Kind]] = {}
        """The kinds that not every agent may have, each under one thing that all agents that may have it have."""
        self._restricted: dict[Kind, int] = {}
        self._term_of: dict[Kind, Term] = {}
        self.oldest: dict[tuple[str, Kind], int] = {}
        """The smallest `run_at`, where it is known."""
        self.parked: dict[str, int | None] = {}
        """Keys that can start nothing, and from when they can; None: when one of their tasks ends."""
        self.version = 0
        """Rises with every change of what stands in line."""
        self._extents: dict[Kind, tuple[int, Extent]] = {}
        """With the version for which each holds."""
        self.rules: str | None = None
        """The queue's limits when the keys were parked."""
        self._later: list[tuple[int, str]] = []

    def arrive(self, name: str, lane: str, count: int = 1, run_at: int | None = None) -> None:
        """Count tasks that became ready. Without `run_at` it is not known how old they are."""
        key, kind = split(lane, name)
        kinds = self.ready.get(key)
        if kinds is None:
            kinds = self.ready[key] = {}
            self.turns.activate(key)
        known = kinds.get(kind, 0)
        kinds[kind] = known + count
        self.named[name] = self.named.get(name, 0) + count
        self.version += 1
        cell = (key, kind)
        if run_at is None:
            self.oldest.pop(cell, None)
        elif not known or cell in self.oldest:
            self.oldest[cell] = min(run_at, self.oldest.get(cell, run_at))
        if kind.items:
            self._enter_term(kind, count)
        if key not in self.parked:
            self.turns.enter(kind, key)

    def leave(self, name: str, lane: str, run_at: int) -> None:
        """Count a task that is ready no longer."""
        key, kind = split(lane, name)
        self.version += 1
        kinds = self.ready[key]
        kinds[kind] -= 1
        if self.oldest.get((key, kind)) == run_at:
            del self.oldest[key, kind]
        if not kinds[kind]:
            del kinds[kind]
            self.oldest.pop((key, kind), None)
            if not kinds:
                del self.ready[key]
        if kind.items:
            self._leave_term(kind)
        self.named[name] -= 1
        if not self.named[name]:
            del self.named[name]

    def _enter_term(self, kind: Kind, count: int) -> None:
        known = self._restricted.get(kind, 0)
        self._restricted[kind] = known + count
        if not known:
            # The one that fewest have: agents with what many kinds ask for need not look at all of those.
            term = min(kind.items, key=lambda item: len(self.terms.get(item, ())))
            self.terms.setdefault(term, set()).add(kind)
            self._term_of[kind] = term

    def _leave_term(self, kind: Kind) -> None:
        self._restricted[kind] -= 1
        if not self._restricted[kind]:
            del self._restricted[kind]
            term = self._term_of.pop(kind)
            kinds = self.terms[term]
            kinds.discard(kind)
            if not kinds:
                del self.terms[term]

    def has(self, kind: Kind, key: str) -> bool:
        """Say whether a key has ready tasks of a kind and is not parked."""
        return key not in self.parked and kind in self.ready.get(key, ())

    def started(self, task: Task) -> None:
        """Count a task that was handed out; one without a lane is counted elsewhere."""
        if task.lane is not None:
            self.leave(task.name, task.lane, task.run_at)
            self.run(lane_of(task.lane).group_key, 1)

    def run(self, key: str, step: int) -> None:
        """Count running tasks of a key; when one ends, a key that waits for that is parked no longer."""
        if key:
            self.running_with_key += step
            count = self.running.get(key, 0) + step
            if count:
                self.running[key] = count
            else:
                self.running.pop(key, None)
        if step < 0 and self.parked.get(key, 0) is None:
            self.unpark(key)

    def park(self, key: str, until: int | None) -> None:
        """Take a key out of the lines until an instant, or until one of its tasks ends."""
        self.parked[key] = until
        self.version += 1
        if until is not None:
            heappush(self._later, (until, key))

    def extent(self, kind: Kind) -> Extent | None:
        """Return what was remembered of a kind, if nothing in line has changed since."""
        version, extent = self._extents.get(kind, (-1, None))
        return extent if version == self.version else None

    def remember(self, kind: Kind, extent: Extent) -> None:
        """Keep the extent of a kind for as long as nothing in line changes."""
        if len(self._extents) >= _MAX_EXTENTS:
            self._extents.clear()
        self._extents[kind] = (self.version, extent)

    def unpark(self, key: str) -> None:
        """Let a key stand in line again."""
        del self.parked[key]
        self.version += 1
        for kind in self.ready.get(key, ()):
            self.turns.enter(kind, key)

    def open(self, now: int, rules: str | None) -> None:
        """Unpark the keys whose time has come, or all when the limits are other ones."""
        if rules != self.rules:
            self.rules = rules
            self.unpark_all()
        if self.parked.get("", now) is None:
            # Of tasks without a lane nobody tells here when they end.
            self.unpark("")
        while self._later and self._later[0][0] <= now:
            until, key = heappop(self._later)
            if self.parked.get(key) == until:
                self.unpark(key)

    def unpark_all(self) -> None:
        """Let every key stand in line again: what they were parked for is another."""
        self._later.clear()
        for key in list(self.parked):
            self.unpark(key)

    def reopen_at(self) -> int | None:
        """The first instant at which a parked key can start something."""
        while self._later:
            until, key = self._later[0]
            # Of tasks without a lane, which have the empty key, it is not known here whether there are any.
            if self.parked.get(key) == until and (not key or key in self.ready):
                return until
            heappop(self._later)
            if self.parked.get(key) == until:
                # Nothing of it is ready: it stands in line again when something is, tokens or not.
                self.unpark(key)
        return None


class Book:
    """The lanes of all queues. What it counts is as the World has it that was entered last."""

    def __init__(self) -> None:
        self.queues: dict[QueueKey, QueueLanes] = {}
        self.touched = False
        """Something was entered that is not committed."""
        self.stale = False
        """What was entered did not come about: it must be filled again."""

    def of(self, key: QueueKey) -> QueueLanes:
        """Return the lanes of a queue."""
        found = self.queues.get(key)
        if found is None:
            found = self.queues[key] = QueueLanes()
        return found

    def has_lanes(self, key: QueueKey) -> bool:
        """Say whether a queue has ready tasks with a lane."""
        found = self.queues.get(key)
        return found is not None and bool(found.ready)

    def fill(
        self,
        ready: Iterable[tuple[str, str, str, str, int]],
        running: Iterable[tuple[str, str, str, int]],
    ) -> None:
        """Count anew what the tables have; turns go on where they were.

        Args:
            ready: (namespace, queue, name, lane, how many).
            running: (namespace, queue, lane, how many).
        """
        old, self.queues = self.queues, {}
        self.touched = self.stale = False
        for namespace, queue, name, lane, count in ready:
            lanes = self._again((namespace, queue), old)
            lanes.arrive(name, lane, count)
        for namespace, queue, lane, count in running:
            self._again((namespace, queue), old).run(lane_of(lane).group_key, count)

    def _again(self, key: QueueKey, old: dict[QueueKey, QueueLanes]) -> QueueLanes:
        lanes = self.of(key)
        if key in old:
            lanes.turns = old.pop(key).turns
            lanes.turns.clear()
        return lanes

    def enter(self, world: World) -> None:
        """Count what the commands of a group did."""
        if world.set_back:
            for lanes in self.queues.values():
                lanes.unpark_all()
        for task_id, before in world.stored.items():
            after = world.tasks.get(task_id, before)
            if before.lane is not None:
                self._count(before, -1)
            if after.lane is not None:
                self._count(after, 1)
        for task in world.born.values():
            if task.lane is not None:
                self._count(task, 1)

    def _count(self, task: Task, step: int) -> None:
        if task.state == READY:
            lanes = self.of((task.namespace, task.queue))
            assert task.lane is not None
            if step > 0:
                lanes.arrive(task.name, task.lane, 1, task.run_at)
            else:
                lanes.leave(task.name, task.lane, task.run_at)
        elif task.state == RUNNING:
            self.of((task.namespace, task.queue)).run(lane_of(task.lane).group_key, step)
        else:
            return
        self.touched = True
