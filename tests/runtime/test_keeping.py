"""What is committed is carried out once, whatever happens while the writer follows its own COMMIT."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.states import READY, RUNNING, SUCCEEDED
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.base import StoreUnavailable
from quarterdeck_server.store.sqlite import writer
from quarterdeck_server.store.sqlite.load import Loader

from ..engine import make
from .cores import start_core, stop_core

SMALL, LARGE = 1, 40
"""Tasks of a group whose COMMIT is waited for on the loop, and of one whose COMMIT runs on the store's thread."""


@pytest.fixture
async def core(folder: Path, clock: ManualClock) -> AsyncIterator[Core]:
    """A running core on a file."""
    made = await start_core(folder, clock)
    yield made
    await stop_core(made)


def fail_once(core: Core, part: str, half_done: bool) -> None:
    """Have a part of the writer fail at its next commit, before or after it has followed it."""
    memory: Any = core.store._writer  # type: ignore[attr-defined]
    kept = getattr(memory, part)
    real = kept.committed

    def committed(world: Any) -> None:
        kept.committed = real
        if half_done:
            real(world)
        raise RuntimeError("a defect")

    kept.committed = committed


async def states(core: Core) -> dict[int, int]:
    """How many tasks there are on disk, by state."""
    return (await core.store.count_tasks("default", None, 0))[0]


async def compare(core: Core) -> None:
    """Hold what the writer remembers against the disk."""
    memory: Any = core.store._writer  # type: ignore[attr-defined]
    loader = memory._loader
    assert memory._revision == await core.store.revision()
    running = {task.id: task for task in await core.store.running_tasks()}
    assert {i: running.get(i) for i in loader._leased} == loader._leased
    stored = await core.store.get_queues("default", [name for _, name in loader._queues])
    counted = {(queue.namespace, queue.name): set(queue.counts) for queue in stored}
    known = {key: {one for one in q.counts if one[2]} for key, q in loader._queues.items()}
    assert known == counted
    book = memory._hand_off._book
    tables = type(book)()
    tables.fill(loader.rows("ready_lanes"), loader.rows("running_lanes"))
    assert lanes_of(book) == lanes_of(tables)


def lanes_of(book: Any) -> dict[Any, set[Any]]:
    """The lanes with ready tasks, by queue."""
    return {key: set(lanes.ready) for key, lanes in book.queues.items() if lanes.ready}


@pytest.mark.parametrize("half_done", [False, True])
@pytest.mark.parametrize("part", ["_loader", "_hand_off"])
@pytest.mark.parametrize("count", [SMALL, LARGE])
async def test_a_group_that_is_committed_and_not_remembered_is_not_carried_out_again(
    core: Core, part: str, count: int, half_done: bool, caplog: pytest.LogCaptureFixture
) -> None:
    specs = [make.spec(group_key=f"g{number}") for number in range(count)]
    await core.execute(make.submit(make.spec()))
    ((first, _),) = await core.claim(make.claim(), 60)
    fail_once(core, part, half_done)
    # Several commands in one group, of which each would be tried alone.
    work = [core.execute(make.submit(*specs)) for _ in range(2)]
    work.append(core.execute(make.report(first.id, first.lease_token, make.succeed())))
    *submits, reports = await asyncio.gather(*work)
    assert not isinstance(reports[0], c.Refusal)
    told = {item.task_id for items in submits for item in items}
    assert len(told) == 2 * count
    assert await states(core) == {READY: 2 * count, SUCCEEDED: 1}
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "read anew" in record.getMessage()

    given = await core.claim(make.claim("a2", 2 * count), 60)
    assert {task.id for task, _ in given} == told
    await compare(core)
    for task, _ in given:
        await core.execute(make.report(task.id, task.lease_token, make.succeed()))
    assert await states(core) == {SUCCEEDED: 2 * count + 1}
    await compare(core)


async def test_a_hand_off_that_is_committed_and_not_remembered_is_given_once(core: Core) -> None:
    waiting = asyncio.create_task(core.claim(make.claim(), 60))
    await asyncio.sleep(0)
    fail_once(core, "_loader", half_done=False)
    ((task_id, *_),) = await core.execute(make.submit())
    ((task, _),) = await waiting
    assert task.id == task_id
    assert await states(core) == {RUNNING: 1}
    await core.execute(make.report(task.id, task.lease_token, make.succeed()))
    assert await states(core) == {SUCCEEDED: 1}


async def test_a_disk_that_refuses_to_be_read_anew_is_an_outage_and_no_more(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failing = Loader, True

    def loader(connection: sqlite3.Connection) -> Any:
        if failing:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return real(connection)

    back = asyncio.Event()
    core.committer.availability_changed = lambda available: back.set() if available else None
    monkeypatch.setattr(writer, "Loader", loader)
    fail_once(core, "_loader", half_done=False)
    await core.execute(make.submit())
    with pytest.raises(StoreUnavailable):
        await core.execute(make.submit())
    failing = False
    async with asyncio.timeout(10):
        await back.wait()
    await core.execute(make.submit())
    assert await states(core) == {READY: 2}
    await compare(core)
