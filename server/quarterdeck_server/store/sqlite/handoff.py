"""The hand-off of a group on the store's rows."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck_server.engine.flow.book import Book
from quarterdeck_server.engine.flow.claim import (
    Supply,
    Waiting,
    demand,
    eligible,
    fresh,
    hand_off,
    ready_counts,
    served_queues,
)
from quarterdeck_server.engine.flow.heads import Heads
from quarterdeck_server.engine.flow.serving import desk_queues, serve
from quarterdeck_server.engine.flow.supply import Lane, order
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY
from quarterdeck_server.engine.world import QueueKey, World
from quarterdeck_server.store.sqlite.load import Loader


class HandOff:
    """Gives ready tasks to waiting claims, and keeps the book of lanes in step with what is committed."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._book = Book()
        self._heads = Heads()
        self._fill()

    def _fill(self) -> None:
        self._book.fill(self._loader.rows("ready_lanes"), self._loader.rows("running_lanes"))

    def committed(self, world: World) -> None:
        """Keep what the book was told."""
        self._book.touched = False
        if self._heads:
            self._heads.committed(world)

    def rolled_back(self) -> None:
        """Count anew if the book was told of what did not come about."""
        if self._book.touched:
            self._book.stale = True

    def run(self, world: World, waiting: Waiting) -> list[tuple[int, QueueKey]]:
        """Hand out what a group leaves ready.

        Returns:
            Instants at which a queue has more to give though nothing happens until then.
        """
        if self._book.stale:
            # Within the transaction: the tables are as they were before this group.
            self._fill()
        self._book.enter(world)
        queues = served_queues(world, waiting)
        if not queues:
            return []
        self._loader.load_queues(world, queues)
        special = desk_queues(world, waiting, self._book, queues)
        if special:
            queues -= special
        if queues:
            self._plain(world, waiting, queues)
        return serve(world, waiting, self._book, self._read, special) if special else []

    def _plain(self, world: World, waiting: Waiting, queues: set[QueueKey]) -> None:
        """Hand out from queues in which nothing but the order counts."""
        profiles = eligible(world, waiting, queues)
        wanted = demand(world, waiting, profiles)
        if not wanted:
            return
        lanes = fresh(world, wanted)
        ready = ready_counts(world, wanted)
        for lane, count in wanted.items():
            if len(lanes[lane]) < ready[lane]:
                lanes[lane] = self._with_stored(world, lane, count, lanes[lane])
        hand_off(world, waiting, profiles, Supply(lanes))

    def _with_stored(self, world: World, lane: Lane, count: int, changed: list[Task]) -> list[Task]:
        """Return the first ready tasks of a lane, stored ones and those this group changed, in order."""
        # Rows that this group took out of the lane are still in the index: read that many more.
        taken = sum(task.state == READY for task in world.stored.values())
        rows = self._read(lane, None, count + taken, 0)
        stored = [row for row in rows if row.id not in world.stored]
        if not changed:
            return stored
        return sorted(stored + changed, key=order)

    def _read(self, lane: Lane, priority: int | None, limit: int, offset: int) -> Sequence[Task]:
        if priority is None and limit == 1 and not offset:
            return self._heads.of(lane, self._first)
        return self._rows(lane, priority, limit, offset)

    def _first(self, lane: Lane) -> Sequence[Task]:
        return self._rows(lane, None, 1, 0)

    def _rows(self, lane: Lane, priority: int | None, limit: int, offset: int) -> Sequence[Task]:
        if priority is None:
            rows = self._loader.rows("ready_of_lane", *lane, limit, offset)
        else:
            rows = self._loader.rows("ready_of_priority", *lane, priority, limit, offset)
        return [Task._make(row) for row in rows]
