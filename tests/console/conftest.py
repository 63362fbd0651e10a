"""A pretended fleet behind a real channel, and a console driven by keys in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.console.driving import Driver
from tests.console.fleet import Fleet

from quarterdeck_console.app import ConsoleApp

Open = Callable[..., AbstractAsyncContextManager[Driver]]

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """A server with a small fleet."""
    fleet = Fleet()
    fleet.populate()
    await fleet.start()
    yield fleet
    await fleet.stop()


@pytest.fixture(params=[SMALL, LARGE], ids=["80x24", "160x45"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Both sizes that every screen is made for."""
    chosen: tuple[int, int] = request.param
    return chosen


@pytest.fixture
def console(fleet: Fleet) -> Open:
    """Opens a console on the fleet, and waits until it is live."""

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = SMALL, keys: dict[str, str] | None = None
    ) -> AsyncIterator[Driver]:
        app = ConsoleApp(f"127.0.0.1:{fleet.port}", keys)
        async with app.run_test(size=size, notifications=True) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: app.fleet.connection.live)
            await driver.until(lambda: len(app.fleet.queues) == len(fleet.items["queue"]))
            yield driver

    return opened
