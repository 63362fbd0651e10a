"""The first ready task of each lane that was looked at, kept as long as it is the first.

Whoever hands out from many lanes compares their first tasks and takes few: without this it would read all of them
anew for every group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quarterdeck_server.engine.flow.supply import Lane, order
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY
from quarterdeck_server.engine.world import QueueKey, World

_MOST = 100_000
"""Lanes that are kept; then it begins anew."""


class Heads:
    """What is committed: a group that is rolled back changes nothing here."""

    def __init__(self) -> None:
        self._queues: dict[QueueKey, dict[Lane, Task]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def of(self, lane: Lane, read: Callable[[Lane], Sequence[Task]]) -> Sequence[Task]:
        """Return the first task of a lane, or nothing; read it where it is not known."""
        lanes = self._queues.get(lane[:2])
        if lanes is not None and (known := lanes.get(lane)) is not None:
            return (known,)
        rows = read(lane)
        if rows:
            if self._count >= _MOST:
                self._queues.clear()
                self._count = 0
            self._queues.setdefault(lane[:2], {})[lane] = rows[0]
            self._count += 1
        return rows

    def committed(self, world: World) -> None:
        """Forget the heads that a committed group took away or put another one before."""
        for task_id, before in world.stored.items():
            if before.state == READY:
                self._left(before)
            after = world.tasks.get(task_id)
            if after is not None and after.state == READY:
                self._came(after)
        for task in world.born.values():
            if task.state == READY:
                self._came(task)

    def _left(self, task: Task) -> None:
        lanes = self._queues.get((task.namespace, task.queue))
        if lanes is not None:
            lane = Lane(task.namespace, task.queue, task.name, task.lane)
            known = lanes.get(lane)
            if known is not None and known.id == task.id:
                self._forget(lanes, lane)

    def _came(self, task: Task) -> None:
        lanes = self._queues.get((task.namespace, task.queue))
        if lanes is not None:
            lane = Lane(task.namespace, task.queue, task.name, task.lane)
            known = lanes.get(lane)
            if known is not None and order(task) < order(known):
                lanes[lane] = task

    def _forget(self, lanes: dict[Lane, Task], lane: Lane) -> None:
        del lanes[lane]
        self._count -= 1
        if not lanes:
            del self._queues[lane[:2]]
