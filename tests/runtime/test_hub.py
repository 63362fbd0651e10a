"""The newest changes come from memory and older ones from the store, without a seam."""

from __future__ import annotations

import asyncio

import pytest

from quarterdeck_server.engine.commands import Prune
from quarterdeck_server.engine.flow.claim import NOBODY
from quarterdeck_server.runtime import hub as module
from quarterdeck_server.runtime.hub import Hub

from ..engine import make
from ..engine.make import NOW, SECOND
from .disk import FlakyStore


async def _submit(store: FlakyStore, hub: Hub, groups: int) -> None:
    for _ in range(groups):
        hub.publish((await store.run_group([make.submit()], NOBODY, NOW)).changes)


@pytest.fixture
async def hub(store: FlakyStore, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with room for few, on a store that has some changes already."""
    monkeypatch.setattr(module, "RING", 8)
    await _submit(store, Hub(store), 5)
    made = Hub(store)
    await made.start()
    return made


async def test_a_hub_begins_at_the_last_change_of_the_store(hub: Hub) -> None:
    assert hub.revision == 10
    assert await hub.read(10, 5) == []


@pytest.mark.parametrize("position", range(41))
async def test_every_position_is_read_on_without_a_gap(
    hub: Hub, store: FlakyStore, position: int
) -> None:
    await _submit(store, hub, 15)
    found: list[int] = []
    at = position
    while part := await hub.read(at, 3):
        found += [change.revision for change in part]
        at = found[-1]
    assert found == list(range(position + 1, 41))


async def test_memory_is_bounded(hub: Hub, store: FlakyStore) -> None:
    await _submit(store, hub, 30)
    assert len(hub._ring) <= 2 * 8 + 2


async def test_large_rows_are_kept_in_smaller_numbers(
    hub: Hub, store: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 13,000 tasks with all the labels that they may have took 500 MB.
    monkeypatch.setattr(module, "RING", 8000)
    monkeypatch.setattr(module, "RING_BYTES", 10_000)
    start = hub.revision
    for number in range(100):
        command = make.submit(make.spec(name=f"name-{number}"))
        hub.publish((await store.run_group([command], NOBODY, NOW)).changes)
    assert sum(map(module._size, hub._ring)) <= 20_000
    assert 0 < len(hub._ring) < 20
    found: list[int] = []
    at = start
    while part := await hub.read(at, 7):
        found += [change.revision for change in part]
        at = found[-1]
    assert found == list(range(start + 1, start + 201))


async def test_what_is_no_longer_kept_is_said(hub: Hub, store: FlakyStore) -> None:
    await _submit(store, hub, 30)
    await store.run_group([Prune(0, 0, 0, 5)], NOBODY, NOW + SECOND)
    assert await hub.read(3, 3) is None
    assert await hub.read(hub.revision - 2, 3) is not None


async def test_a_watcher_is_woken_by_the_next_change(hub: Hub, store: FlakyStore) -> None:
    waiting = asyncio.create_task(hub.wait(hub.revision, 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    await _submit(store, hub, 1)
    async with asyncio.timeout(5):
        await waiting
        await hub.wait(hub.revision - 1, 60)


async def test_a_watcher_is_woken_when_the_server_ends(hub: Hub) -> None:
    waiting = asyncio.create_task(hub.wait(hub.revision, 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.close()
    async with asyncio.timeout(5):
        await waiting
        await hub.wait(hub.revision, 60)


async def test_a_watcher_that_is_cut_leaves_nothing_behind(hub: Hub) -> None:
    waiting = asyncio.create_task(hub.wait(hub.revision, 60))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert hub._waiting == set()
    await hub.wait(hub.revision, 0)


async def test_an_empty_group_wakes_nobody(hub: Hub) -> None:
    waiting = asyncio.create_task(hub.wait(hub.revision, 60))
    await asyncio.sleep(0)
    hub.publish([])
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
