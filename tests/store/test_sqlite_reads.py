"""Reads that take several steps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quarterdeck_server.engine.filters import QUEUE_FIELDS, TASK_FIELDS, parse
from quarterdeck_server.engine.model import Queue
from quarterdeck_server.store.sqlite import SqliteStore, reads

from ..engine import make
from ..engine.make import NOW
from .desk import Desk


async def test_a_filtered_list_of_queues_is_true_at_its_first_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "_FILTERED", 1)
    await desk.submit(*(make.spec(queue=f"q{i}") for i in range(3)))
    first = await desk.store.revision()
    real = SqliteStore._with_counts

    async def and_something_happens(store: SqliteStore, rows: list[Any]) -> list[Queue]:
        found = await real(store, rows)
        await desk.submit(make.spec(queue="q0"))
        return found

    monkeypatch.setattr(SqliteStore, "_with_counts", and_something_happens)
    only = parse("name:q2", QUEUE_FIELDS)
    page = await desk.store.list_queues("default", only, 1, None, NOW)
    assert [queue.name for queue in page.rows] == ["q2"]
    assert page.revision == first


async def test_filters_leave_a_connection_to_reads_of_single_tasks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await desk.submit(make.spec())
    gate = asyncio.Event()
    real = SqliteStore._page

    async def slow(store: SqliteStore, *query: Any) -> tuple[list[Any], int]:
        async with store._lend():
            await gate.wait()
        return await real(store, *query)

    monkeypatch.setattr(SqliteStore, "_page", slow)
    only = parse('name~"w.*"', TASK_FIELDS)
    counts = [asyncio.create_task(desk.store.count_tasks("default", only, NOW)) for _ in range(5)]
    for _ in counts:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert [task.id for task in await desk.store.get_tasks(ids)] == ids
    gate.set()
    assert [sum(found.values()) for found, _ in await asyncio.gather(*counts)] == [1] * 5
