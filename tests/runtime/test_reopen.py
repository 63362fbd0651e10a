"""Queues are looked at again when their instant has come by the wall clock."""

from __future__ import annotations

import asyncio

import pytest

from quarterdeck_server.runtime import reopen as module
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.reopen import Reopener

SECOND = 1_000_000
FIRST, SECOND_KEY = ("default", "first"), ("default", "second")


class Opened(list[tuple[str, str]]):
    """What was told, and a sign that something was."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def __call__(self, key: tuple[str, str]) -> None:
        self.append(key)
        self.more.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """A clock that is looked at often."""
    monkeypatch.setattr(module, "_LONGEST", 0.001)
    return ManualClock()


async def test_a_queue_is_opened_at_its_first_instant(clock: ManualClock) -> None:
    opened = Opened()
    reopener = Reopener(clock, opened)
    now = clock.now()
    reopener.note([(now + 20 * SECOND, SECOND_KEY), (now + 90 * SECOND, FIRST)])
    reopener.note([(now + 10 * SECOND, FIRST), (now + 30 * SECOND, FIRST)])
    clock.advance(10)
    await opened.more.wait()
    assert opened == [FIRST]
    opened.more.clear()
    clock.jump(20)
    await opened.more.wait()
    assert opened == [FIRST, SECOND_KEY]


async def test_what_is_stopped_tells_nothing(clock: ManualClock) -> None:
    opened = Opened()
    stopped, other = Reopener(clock, opened), Reopener(clock, done := Opened())
    stopped.note([(clock.now() + SECOND, FIRST)])
    other.note([(clock.now() + SECOND, FIRST)])
    stopped.stop()
    clock.advance(2)
    await done.more.wait()
    assert opened == []


async def test_all_is_looked_at_when_the_wall_clock_was_set_back(clock: ManualClock) -> None:
    opened = Opened()
    reopener = Reopener(clock, opened)
    reopener.note([(clock.now() + 10 * SECOND, FIRST)])
    clock.jump(-3600)
    await opened.more.wait()
    assert opened == [FIRST]
