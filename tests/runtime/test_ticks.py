"""Waits end in step, never early, and not at all when they are cancelled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from quarterdeck_server.runtime.ticks import TICK, Ticks, Wait

HOUR = 3600.0


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ticks, float, Callable[[], object]], Wait]:
    """Start a wait at the beginning of a tick near now, however long the test takes."""
    begin = 0.0

    def start(ticks: Ticks, part_of_tick: float, over: Callable[[], object]) -> Wait:
        nonlocal begin
        loop = asyncio.get_running_loop()
        begin = begin or math.ceil(loop.time() / TICK) * TICK
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", lambda: begin)
            return ticks.after(part_of_tick * TICK, over)

    return start


async def test_waits_of_one_tick_end_together_and_those_of_the_next_one_later(
    start: Callable[[Ticks, float, Callable[[], object]], Wait],
) -> None:
    loop = asyncio.get_running_loop()
    ended: list[str] = []
    last = loop.create_future()
    one, other = Ticks(), Ticks()
    start(one, 1.5, lambda: ended.append("later"))
    start(one, 2.5, lambda: last.set_result(None))
    start(one, 0.2, lambda: loop.call_soon(ended.append, "turn of the loop"))
    start(one, 0.3, lambda: ended.append("first"))
    start(one, 0.8, lambda: ended.append("same tick"))
    start(other, 0.5, lambda: ended.append("other instance"))
    await last
    assert sorted(ended[:3]) == ["first", "other instance", "same tick"]
    assert ended[3:] == ["turn of the loop", "later"]


async def test_a_wait_is_never_shorter_than_was_asked() -> None:
    loop, ticks = asyncio.get_running_loop(), Ticks()
    for seconds in (0.0, TICK / 3, TICK, 1.7 * TICK):
        future = loop.create_future()
        begin = loop.time()
        await ticks.wait(future, seconds)
        # The loop calls what is due within the resolution of its clock.
        assert loop.time() - begin >= seconds - 1e-6
        assert future.done()


async def test_a_wait_is_over_as_soon_as_its_future_is_done() -> None:
    loop, ticks = asyncio.get_running_loop(), Ticks()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    async with asyncio.timeout(10):
        await ticks.wait(future, HOUR)


async def test_a_cancelled_wait_does_not_end(
    start: Callable[[Ticks, float, Callable[[], object]], Wait],
) -> None:
    ticks = Ticks()
    ended: list[str] = []
    last = asyncio.get_running_loop().create_future()
    start(ticks, 0.5, lambda: ended.append("cancelled")).cancel()
    kept = start(ticks, 0.5, lambda: ended.append("kept"))
    start(ticks, 1.5, lambda: last.set_result(None))
    await last
    assert ended == ["kept"]
    kept.cancel()


async def test_a_wait_that_ends_can_cancel_another_of_its_tick(
    start: Callable[[Ticks, float, Callable[[], object]], Wait],
) -> None:
    ticks = Ticks()
    ended: list[str] = []
    last = asyncio.get_running_loop().create_future()
    waits: list[Wait] = []

    def over() -> None:
        ended.append("one")
        for wait in waits:
            wait.cancel()

    waits += [start(ticks, 0.5, over), start(ticks, 0.5, over)]
    start(ticks, 1.5, lambda: last.set_result(None))
    await last
    assert ended == ["one"]
