"""What the store knows of one task and of what is in its way, all in one snapshot and with bounded reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiosqlite

from quarterdeck_server.engine.explain.facts import (
    COUNTED,
    SAMPLES,
    Ahead,
    Handler,
    Runners,
    Stored,
    competing,
)
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.meters import REST, Meter
from quarterdeck_server.engine.model import Attempt, Hold, Queue, Task
from quarterdeck_server.engine.states import BLOCKED, READY
from quarterdeck_server.store.sqlite.queries import load_queries

_LANES = 200
"""Lanes of a queue that are looked at for a task's place in line, at most."""


class Explainer:
    """Reads on one connection inside one transaction."""

    def __init__(self, connection: aiosqlite.Connection, handlers: Sequence[Handler]) -> None:
        self._connection = connection
        self._handlers = handlers
        self._queries = load_queries()

    async def stored(self, namespace: str, task_id: int) -> Stored | None:
        """Return the facts about a task, None when there is no such task."""
        found = await self._rows("read_task", task_id, namespace)
        if not found:
            return None
        task = Task._make(found[0])
        place = (namespace, task.queue)
        key = lane_of(task.lane).group_key
        holds = [Hold._make(row) for row in await self._rows("explain_holds", namespace)]
        unmet = await self._rows("explain_unmet", task_id, SAMPLES)
        ended = await self._rows("explain_unblocked", task_id)
        queues = await self._rows("explain_queue", *place)
        meters = await self._rows("explain_meters", *place, key)
        return Stored(
            task=task,
            queue=Queue._make((*queues[0], ())) if queues else None,
            attempts=[Attempt._make(row) for row in await self._rows("read_attempts", task_id)],
            unmet=[row[0] for row in unmet],
            unblocked_at=None if task.state == BLOCKED else ended[0][0],
            holds=holds,
            in_queue=_runners(await self._rows("explain_running", *place)),
            of_key=_runners(await self._rows("explain_running_of_key", *place, key)),
            meter=_meter(meters, whole=1),
            key_meter=_meter(meters, whole=0),
            ahead=await self._ahead(task, key, holds) if task.state == READY else Ahead(),
        )

    async def _rows(self, name: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(self._queries[name], parameters))

    async def _ahead(self, task: Task, key: str, holds: Sequence[Hold]) -> Ahead:
        """Count in each lane of the queue the tasks that come before it, by ranges of the index of ready tasks."""
        lanes, more = await self._lanes(task)
        competes = competing(task, self._handlers, holds)
        lanes = [place for place in lanes if competes(place[0])]
        mine = {place for place in lanes if lane_of(place[1]).group_key == key}
        number = 0
        for place in mine:
            number += await self._before(task, *place, COUNTED - number)
        turns = number + 1
        for name, lane in lanes:
            if (name, lane) not in mine and number < COUNTED:
                most = min(turns, COUNTED - number)
                rows = await self._rows(
                    "explain_size", task.namespace, task.queue, name, lane, most
                )
                number += rows[0][0]
        return Ahead(number, number >= COUNTED or more)

    async def _before(self, task: Task, name: str, lane: str | None, most: int) -> int:
        place = (task.namespace, task.queue, name, lane, task.priority)
        higher = await self._rows("explain_higher", *place, most)
        same = await self._rows("explain_same", *place, task.run_at, task.id, most)
        return min(most, int(higher[0][0]) + int(same[0][0]))

    async def _lanes(self, task: Task) -> tuple[list[tuple[str, str | None]], bool]:
        """Return the names and lanes with ready tasks in the task's queue, and whether there are more."""
        place = (task.namespace, task.queue)
        found: list[tuple[str, str | None]] = []
        rows = await self._rows("explain_first_lane", *place, "")
        while rows and len(found) < _LANES:
            name, lane = rows[0]
            found.append((name, lane))
            rows = await self._rows("explain_next_lane", *place, name, lane or "")
            if not rows:
                rows = await self._rows("explain_first_lane", *place, name)
        return found, bool(rows)


def _runners(rows: list[Any]) -> Runners:
    return Runners(len(rows), tuple(row[0] for row in rows[:SAMPLES]))


def _meter(rows: list[Any], *, whole: int) -> Meter:
    for is_whole, *fields in rows:
        if is_whole == whole:
            return Meter._make(fields)
    return REST
