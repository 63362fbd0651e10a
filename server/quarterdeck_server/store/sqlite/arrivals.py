"""What must be known when tasks are submitted: their queues, and which tasks are active where a policy asks for it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

from quarterdeck_server.engine.commands import Submit
from quarterdeck_server.engine.flow.active import ActiveTasks, needs_active
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import limits_of
from quarterdeck_server.engine.world import QueueKey, World
from quarterdeck_server.store.sqlite.queries import load_queries


class StoredActive:
    """The active tasks of queues with an overflow policy, of no others.

    Read once, when something is first submitted to such a queue; then the World keeps it up to date while it decides.
    So what it knows after a group that failed is wrong, and is read again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queues: dict[QueueKey, ActiveTasks] = {}

    def show(self, world: World) -> None:
        """Let a World see them, and keep them up to date."""
        world.active = self._queues

    def committed(self, world: World) -> None:
        """Forget queues whose limits ask no longer."""
        for key in self._queues.keys() & world.dirty_queues:
            if not needs_active(limits_of(world.queues[key].limits)):
                del self._queues[key]

    def forget(self) -> None:
        """Forget everything: a group failed."""
        self._queues.clear()

    def prepare(
        self,
        world: World,
        queues: Iterable[QueueKey],
        submits: Iterable[Submit],
        others: Iterable[QueueKey],
    ) -> set[int]:
        """Read what is active in the queues, all of them loaded, that get tasks.

        Args:
            world: The group's.
            queues: Those of the submits.
            submits: What is submitted.
            others: The queues of schedules that may fire, also of new ones, and of moves.

        Returns:
            The oldest tasks of those queues: as many as the submits may displace, if nothing else ends them first.
        """
        asked = {key for key in (*queues, *others) if self._asked(world, key)}
        if not asked:
            return set()
        arrivals: dict[QueueKey, Counter[str | None]] = {key: Counter() for key in asked}
        for command in submits:
            for spec in command.specs:
                scopes = arrivals.get((command.namespace, spec.queue))
                if scopes is not None:
                    scopes[None] += 1
                    scopes[lane_of(spec.lane).group_key] += 1
        oldest: set[int] = set()
        for key, scopes in arrivals.items():
            active = self._queues[key]
            # Each may displace one for the queue's limit and another one for its key's.
            most = 2 * scopes[None]
            for scope in scopes:
                oldest.update(active.oldest_staying(scope, most))
        return oldest

    def _asked(self, world: World, key: QueueKey) -> bool:
        if key in self._queues:
            return True
        queue = world.queues.get(key)
        if queue is None or queue.limits is None or not needs_active(limits_of(queue.limits)):
            return False
        rows = self._connection.execute(load_queries()["active_of_queue"], key)
        self._queues[key] = ActiveTasks(rows)
        return True
