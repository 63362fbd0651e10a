"""Ready tasks of one lane in order, read as they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.world import World

FIRST_READ = 1
LARGEST_READ = 512
PRIORITIES = range(9, -1, -1)


class Lane(NamedTuple):
    """The ready tasks of one name and one lane in one queue: what an index gives in order."""

    namespace: str
    queue: str
    name: str
    lane: str | None = None


class Read(Protocol):
    """What the store has committed of a lane's ready tasks, in order; with a priority, only of that one."""

    def __call__(
        self, lane: Lane, priority: int | None, limit: int, offset: int
    ) -> Sequence[Task]: ...


def order(task: Task) -> tuple[int, int, int]:
    """Return the place of a ready task in its lane: priority first, then time, then id."""
    return (-task.priority, task.run_at, task.id)


class Source:
    """One lane, or one priority of it: the rows of the store without those that this group changed, and with what this
    group made ready.
    """

    def __init__(
        self, world: World, read: Read, lane: Lane, priority: int | None, fresh: Iterable[Task]
    ) -> None:
        self._world = world
        self._read = read
        self._lane = lane
        self._priority = priority
        self._fresh = sorted(fresh, key=order, reverse=True)
        self._rows: deque[Task] = deque()
        self._offset = 0
        self._size = FIRST_READ
        self._more = True

    def head(self) -> Task | None:
        """Return the first task."""
        while not self._rows and self._more:
            self._fill()
        rows, fresh = self._rows, self._fresh
        if rows and (not fresh or order(rows[0]) < order(fresh[-1])):
            return rows[0]
        return fresh[-1] if fresh else None

    def pop(self) -> None:
        """Take the first task away."""
        if self._fresh and self.head() is self._fresh[-1]:
            self._fresh.pop()
        else:
            self._rows.popleft()

    def _fill(self) -> None:
        rows = self._read(self._lane, self._priority, self._size, self._offset)
        self._more = len(rows) == self._size
        self._offset += len(rows)
        self._size = min(4 * self._size, LARGEST_READ)
        changed = self._world.stored
        self._rows.extend(row for row in rows if row.id not in changed)


class Ageing:
    """One lane whose tasks count one priority more for every `span` that they have been ready."""

    def __init__(
        self, world: World, read: Read, lane: Lane, span: int, fresh: Sequence[Task]
    ) -> None:
        self._now = world.now
        self._span = span
        self._sources = [
            Source(world, read, lane, p, (task for task in fresh if task.priority == p))
            for p in PRIORITIES
        ]

    @staticmethod
    def place(task: Task, span: int, now: int) -> tuple[int, int, int]:
        """Return the place of a task at an instant."""
        risen = task.priority + max(0, now - task.run_at) // span
        return (-min(9, risen), task.run_at, task.id)

    def head(self) -> Task | None:
        """Return the first task: of each priority only the oldest can be it."""
        heads = [task for source in self._sources if (task := source.head()) is not None]
        return min(heads, key=lambda t: self.place(t, self._span, self._now), default=None)

    def pop(self) -> None:
        """Take the first task away."""
        first = self.head()
        assert first is not None
        self._sources[9 - first.priority].pop()


def oldest(world: World, read: Read, lane: Lane, fresh: Iterable[Task]) -> int | None:
    """Return the smallest `run_at` of a lane: within a priority the index has it first."""
    found = [task.run_at for task in fresh]
    for priority in PRIORITIES:
        head = Source(world, read, lane, priority, ()).head()
        if head is not None:
            found.append(head.run_at)
    return min(found, default=None)
