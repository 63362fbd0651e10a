"""Why an act is done is asked for in a line that takes whatever is typed."""

from __future__ import annotations

import pytest
from tests.console.conftest import Open
from tests.console.fleet import Fleet
from tests.console.test_acts import last
from textual.events import Key, Paste

from quarterdeck_console.screens.dialogs import Confirm


async def test_a_reason_typed_in_one_burst_keeps_its_blanks(console: Open, fleet: Fleet) -> None:
    key = fleet.task("slow", "RUNNING")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("slow")
        await driver.press("X")
        await driver.shows("Cancel this task?")
        for letter in "bad deploy 2.1: no loads2":
            driver.app.post_message(Key("space" if letter == " " else letter, letter))
        await driver.shows("bad deploy 2.1: no loads2")
        await driver.press("tab", "tab", "enter")
        await driver.shows("1 task cancelled")
        assert last(fleet, "CancelTasksRequest").reason == "bad deploy 2.1: no loads2"


async def test_what_is_pasted_is_the_reason(console: Open, fleet: Fleet) -> None:
    key = fleet.task("slow", "RUNNING")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("slow")
        await driver.press("X")
        await driver.shows("Cancel this task?")
        driver.app.post_message(Paste("incident 42\nline two"))
        await driver.shows("incident 42")
        await driver.press("tab", "tab", "enter")
        await driver.shows("1 task cancelled")
        assert last(fleet, "CancelTasksRequest").reason == "incident 42"


@pytest.mark.parametrize(
    ("keys", "question", "hears"),
    [
        (("2", "asterisk", "X"), "Cancel", "reason, for the agent and the audit"),
        (("2", "asterisk", "s"), "Pause", "reason, for the agent and the audit"),
        (("2", "asterisk", "r"), "Retry", "reason, for the audit"),
        (("3", "j", "D"), "Drain", "reason, for the audit"),
        (("colon", *"freeze", "enter"), "Freeze", "reason, for the audit and shown while it lasts"),
    ],
)
async def test_the_line_says_who_hears_the_reason(
    console: Open, keys: tuple[str, ...], question: str, hears: str
) -> None:
    async with console() as driver:
        await driver.press(keys[0])
        if keys[0] in "23":
            await driver.until(lambda: driver.list.table.row_count)
        await driver.press(*keys[1:])
        await driver.until(lambda: isinstance(driver.app.screen, Confirm))
        await driver.shows(question, f" {hears} ")
