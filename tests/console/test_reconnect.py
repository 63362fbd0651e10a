"""The console outlives its server."""

from __future__ import annotations

import asyncio

from tests.console.conftest import SMALL, Open
from tests.console.driving import Driver
from tests.console.fleet import Fleet

from quarterdeck_console.app import ConsoleApp


async def test_rows_stay_grey_with_their_age_and_the_watch_resumes_from_its_token(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r", "● live")
        await driver.until(lambda: len(fleet.watchers) == 2)
        listed = fleet.calls["ListTasks"]
        await fleet.stop()
        await driver.shows("✗ stale", "0000003r")
        assert driver.tasks.table.stale
        missed = fleet.task("missed")
        await fleet.start()
        await driver.shows("● live", "missed")
        assert driver.tasks.table.ids[0] == missed
        assert not driver.tasks.table.stale
        assert fleet.calls["ListTasks"] == listed
        watches = [item for item in fleet.requests if type(item).__name__ == "WatchRequest"]
        assert watches[-1].resume_token


async def test_after_an_expired_token_everything_is_listed_anew(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await driver.until(lambda: len(fleet.watchers) == 2)
        await fleet.stop()
        await driver.shows("✗ stale")
        gone = driver.tasks.table.ids[0]
        fleet.drop("task", gone)
        fleet.drop("agent", "crow-0004")
        fleet.expire_tokens = 2
        await fleet.start()
        await driver.until(lambda: gone not in driver.tasks.table.ids)
        await driver.until(lambda: "crow-0004" not in driver.app.fleet.agents)
        await driver.shows("● live")


async def test_a_console_started_before_its_server_waits_for_it(fleet: Fleet) -> None:
    await fleet.stop()
    app = ConsoleApp(f"127.0.0.1:{fleet.port}")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.shows(
            "✗ no server", ": no contact with the server", "Not known: no contact with the server"
        )
        await fleet.start()
        await driver.shows("● live", "crow-0004")


async def test_a_hidden_list_ends_its_watch_and_goes_on_when_shown_again(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await driver.until(lambda: len(fleet.watchers) == 2)
        await driver.press("3")
        await driver.until(lambda: len(fleet.watchers) == 1)
        fleet.task("while-away")
        listed = fleet.calls["ListTasks"]
        await driver.press("2")
        await driver.shows("while-away")
        assert fleet.calls["ListTasks"] == listed


async def test_leaving_ends_every_stream(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await driver.until(lambda: len(fleet.watchers) == 2)
    async with asyncio.timeout(5):
        while fleet.watchers:
            fleet.left.clear()
            await fleet.left.wait()
