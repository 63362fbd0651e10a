"""kill -9 at any moment under limits, keys, holds, batches and acts by filter: the log shows that all of them held."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import BLOCKED, ENDED, FOLLOWERS, RUNNING
from quarterdeck_server.engine.timeunits import SECOND

from ..engine.sqlite import Sqlite
from ..rpc.api import Api, tasks_pb
from .mixed_load import (
    BURST,
    LIMIT,
    LIMIT_PER_KEY,
    UNITS,
    MixedLoad,
    release_all,
    set_limits,
)
from .process import ServerProcess

CYCLES = int(os.environ.get("QUARTERDECK_KILL_CYCLES", "4"))
SEED = int(os.environ.get("QUARTERDECK_KILL_SEED", "20260301"))


class Rules:
    """What limits, keys, pauses and holds promise, group by group: one group has one instant."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self._running: Counter[str] = Counter()
        self._shut: set[tuple[int, str]] = set()
        """Paused queues and what is held."""
        self._rated: list[int] = []
        self._begun: list[Task] = []
        self._tokens: set[int] = set()
        self._unique: dict[str, set[int]] = defaultdict(set)
        """By key: tasks that have it and wait for no other."""

    def replay(self, changes: list[Change]) -> None:
        """Hold the whole log against them."""
        assert [c.revision for c in changes] == list(range(1, len(changes) + 1))
        for now, group in groupby(changes, key=lambda change: change.time):
            self._begun.clear()
            for change in group:
                if change.kind == log.TASK:
                    self._task(change.row, now)
                else:
                    self._other(change)
            assert not any(self._is_shut(task) for task in self._begun), "given though held"
            assert all(len(ids) <= 1 for ids in self._unique.values()), "one task has a key"

    def _other(self, change: Change) -> None:
        if change.kind == log.QUEUE:
            shut, place = change.row.paused, (log.QUEUE, change.row.name)
        elif change.kind == log.HOLD:
            shut, place = change.op != log.DELETED, (log.HOLD, change.row.subject)
        else:
            return
        (self._shut.add if shut else self._shut.discard)(place)

    def _is_shut(self, task: Task) -> bool:
        held = {(log.QUEUE, task.queue), (log.HOLD, ""), (log.HOLD, task.name)}
        return not held.isdisjoint(self._shut)

    def _task(self, after: Task, now: int) -> None:
        before = self.tasks.get(after.id)
        self.tasks[after.id] = after
        if before is not None and before.state != after.state:
            assert after.state in FOLLOWERS[before.state]
            assert before.state not in ENDED
        began = after.state == RUNNING and (before is None or before.state != RUNNING)
        ended = before is not None and before.state == RUNNING and after.state != RUNNING
        if began:
            self._begin(before, after, now)
        if after.queue == "limited" and (began or ended):
            key = lane_of(after.lane).group_key
            self._running[key] += 1 if began else -1
            assert self._running[key] <= LIMIT_PER_KEY
            assert self._running.total() <= LIMIT
        if after.name == "unique" and after.origin_id is None:
            ids = self._unique[json.loads(after.labels or "{}")["key"]]
            (ids.discard if after.state in (BLOCKED, *ENDED) else ids.add)(after.id)

    def _begin(self, before: Task | None, after: Task, now: int) -> None:
        assert before is not None and after.attempt == before.attempt + 1
        assert after.lease_token is not None and after.lease_token not in self._tokens
        assert before.run_at <= now, "not before its time"
        self._tokens.add(after.lease_token)
        self._begun.append(after)
        if after.queue == "rated":
            # No span has seen more starts than a full bucket and what flowed in meanwhile.
            self._rated.append(now)
            for starts, since in enumerate(reversed(self._rated[-200:]), 1):
                assert starts <= BURST + (now - since) * UNITS / SECOND + 1e-6


def _check(data: Path, submitted: set[str]) -> None:
    driver = Sqlite(data / "quarterdeck.db", lambda now: 0, lambda: 0)
    try:
        rules = Rules()
        rules.replay(list(driver.changes))
        assert rules.tasks == dict(driver.tasks)
        assert {decode_task_id(text) for text in submitted} <= driver.tasks.keys()
        assert all(task.state in ENDED for task in driver.tasks.values())
        counted = Counter((t.queue, t.name, t.state) for t in driver.tasks.values())
        stored = {
            (queue.name, name, state): n
            for queue in driver.queues.values()
            for name, state, n in queue.counts
        }
        assert stored == counted
    finally:
        driver.close()


async def _nothing_left(api: Api) -> None:
    """Wait until every task has ended."""
    while True:
        answer = await api.tasks.CountTasks(tasks_pb.CountTasksRequest())
        if all(count.state in ENDED for count in answer.counts):
            return
        await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_limits_keys_and_holds_outlive_a_killed_server(
    make_server: Callable[..., ServerProcess],
) -> None:
    chance = random.Random(SEED)
    server = await make_server().start()
    api = server.api()
    await set_limits(api)
    load = MixedLoad(server, SEED)
    load.start()
    for _ in range(CYCLES):
        await load.answered(chance.randrange(5, 120))
        await server.kill()
        await server.start()
    await load.answered(20)
    await load.stop_asking()
    await release_all(api)
    async with asyncio.timeout(60):
        await _nothing_left(api)
    await load.stop()
    await api.channel.close()
    server.send(signal.SIGTERM)
    assert await server.ended() == 0
    _check(server.data, load.submitted)
