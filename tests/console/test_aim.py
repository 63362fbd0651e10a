"""An act that asks nothing is done to the row that the operator read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.console.conftest import Open
from tests.console.fleet import Fleet
from tests.console.test_acts import last

from quarterdeck_console.widgets import livetable


@pytest.fixture(autouse=True)
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, what came in a test came just now."""
    monkeypatch.setattr(livetable, "READ", 3_600.0)


async def test_a_task_that_came_under_the_cursor_just_now_is_retried_by_the_second_press(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("mail", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:mail", "1 task\n", "mail")
        newer = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        await driver.press("r")
        await driver.shows("only now under the cursor: mail")
        assert fleet.calls["RetryTasks"] == 0
        newest = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.ids[0] == newest)
        assert driver.tasks.table.cursor == newer
        await driver.press("r")
        await driver.shows("1 task retried")
        assert list(last(fleet, "RetryTasksRequest").task_ids) == [newer]


@pytest.mark.parametrize("key", ["space", "V"])
async def test_a_task_that_came_under_the_cursor_just_now_is_marked_by_the_second_press(
    console: Open, fleet: Fleet, key: str
) -> None:
    fleet.task("mail", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:mail", "1 task\n", "mail")
        newer = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        await driver.press(key)
        await driver.shows("only now under the cursor: mail")
        assert not driver.tasks.table.marks
        await driver.press(key)
        assert driver.tasks.table.marks == {newer}


async def test_a_row_that_slid_in_after_others_were_marked_is_not_marked_unread(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("mail", "FAILED")
    marked = fleet.task("mail", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:mail", "2 tasks\n")
        await driver.press("space", "g")
        newer = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        await driver.press("space")
        await driver.shows("only now under the cursor: mail")
        assert driver.tasks.table.marks == {marked}


async def test_what_is_described_on_the_whole_screen_stays_while_newer_tasks_come(
    console: Open, fleet: Fleet
) -> None:
    first = fleet.task("mail", "READY")
    async with console() as driver:
        await driver.filtered("name:mail", "1 task\n", "mail")
        await driver.press("d")
        await driver.shows(first)
        fleet.task("mail", "READY")
        await driver.until(lambda: driver.tasks.table.row_count == 2)
        assert driver.tasks.table.cursor == first
        await driver.ticked()
        assert first in driver.text()


async def test_a_held_key_does_not_act_on_row_after_row(console: Open, fleet: Fleet) -> None:
    first, second = fleet.task("again", "FAILED"), fleet.task("again", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:again", "2 tasks\n")
        await driver.press("r")
        await driver.shows("1 task retried")
        await driver.until(lambda: driver.tasks.table.cursor == first)
        await driver.press("r")
        await driver.shows("only now under the cursor: again")
        assert [list(last(fleet, "RetryTasksRequest").task_ids), fleet.calls["RetryTasks"]] == [
            [second],
            1,
        ]


async def test_what_was_moved_to_or_filtered_for_is_meant(console: Open, fleet: Fleet) -> None:
    below = fleet.task("alone", "FAILED")
    async with console() as driver:
        await driver.press("2")
        await driver.shows("alone")
        newer = fleet.task("newer", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        await driver.press("j", "r")
        await driver.shows("1 task retried")
        assert list(last(fleet, "RetryTasksRequest").task_ids) == [below]
        await driver.press("g", "slash")
        await driver.type("name:fetch-papers state:failed")
        await driver.shows("1 task\n", "✗ failed")
        await driver.press("r")
        await driver.until(lambda: fleet.calls["RetryTasks"] == 2)


async def test_a_task_that_came_while_a_command_was_typed_is_not_what_it_was_typed_for(
    console: Open, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(livetable, "READ", 1.0)
    monkeypatch.setattr(livetable, "time", SimpleNamespace(monotonic=lambda: clock.now))
    fleet.task("mail", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:mail", "1 task\n", "mail")
        await driver.press("colon", *"retry")
        newer = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        clock.now += 60
        await driver.press("enter")
        await driver.shows("only now under the cursor: mail")
        assert fleet.calls["RetryTasks"] == 0


async def test_a_refused_filter_lets_no_row_slide_in_unseen(console: Open, fleet: Fleet) -> None:
    fleet.task("mail", "FAILED")
    async with console() as driver:
        await driver.filtered("state:failed name:mail", "1 task\n", "mail")
        await driver.press("slash", "ctrl+u")
        await driver.type("nonsense:x")
        await driver.shows("unknown field 'nonsense'")
        await driver.press("escape")
        newer = fleet.task("mail", "FAILED")
        await driver.until(lambda: driver.tasks.table.cursor == newer)
        await driver.press("r")
        await driver.shows("only now under the cursor: mail")
        assert fleet.calls["RetryTasks"] == 0
