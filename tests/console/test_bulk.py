"""Acts on everything that a filter matches: counted, asked about, followed, stopped."""

from __future__ import annotations

import asyncio

import pytest
from tests.console.conftest import SMALL, Open
from tests.console.driving import Driver
from tests.console.fleet import Fleet
from tests.console.test_acts import last

from quarterdeck.v1 import task_service_pb2


async def mark_all(driver: Driver, filter_text: str, total: str) -> None:
    await driver.filtered(filter_text, total)
    await driver.press("asterisk")
    await driver.shows("all that matched at")


def acts(fleet: Fleet) -> list[task_service_pb2.ActOnTasksRequest]:
    return [item for item in fleet.requests if type(item).__name__ == "ActOnTasksRequest"]


async def test_everything_that_matches_is_counted_asked_about_and_cancelled_on_the_server(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    keys = [fleet.task("bulk", "READY") for _ in range(40)]
    async with console(size) as driver:
        await mark_all(driver, "name:bulk", "40 tasks")
        token = driver.tasks.feed.watch_token
        await driver.press("X")
        await driver.shows("Cancel 40 tasks?", "filter  name:bulk")
        assert acts(fleet)[0].dry_run
        assert fleet.items["task"][keys[0]].state == 3
        await driver.press("shift+tab", *"wrong", "tab", "tab", "enter")
        await driver.shows("40 tasks cancelled")
        counted, done = acts(fleet)
        assert not done.dry_run
        assert (done.filter, done.watch_token, done.max_count) == ("name:bulk", token, 40)
        assert done.watch_token == counted.watch_token
        assert (done.reason, done.HasField("cancel")) == ("wrong", True)
        assert "@" in done.actor
        await driver.until(lambda: driver.tasks.everything() is None)
        assert fleet.calls["CancelTasks"] == 0


async def test_the_mark_is_of_what_was_shown_not_of_what_comes_later(
    console: Open, fleet: Fleet
) -> None:
    shown = fleet.task("bulk", "READY")
    async with console() as driver:
        await mark_all(driver, "name:bulk", "1 task\n")
        later = fleet.task("bulk", "READY")
        await driver.until(lambda: later in driver.tasks.table.ids)
        marked = driver.tasks.table.everything
        assert marked is not None
        assert marked(shown)
        assert not marked(later)


async def test_an_act_by_filter_shows_how_far_it_is_on_every_screen_and_can_be_stopped(
    console: Open, fleet: Fleet
) -> None:
    for _ in range(12):
        fleet.task("bulk", "FAILED")
    fleet.act_gate.clear()
    async with console() as driver:
        await mark_all(driver, "name:bulk", "12 tasks")
        await driver.press("r")
        await driver.shows("Retry 12 tasks?")
        await driver.press("right", "enter")
        await driver.shows("retried 0 of 12", ":stop ends it")
        assert "by age" not in driver.text()
        await driver.press("1")
        await driver.shows("needs attention", "retried 0 of 12")
        await driver.type(":stop")
        await driver.shows("stopped: what was done stays done")
        assert driver.app.bulk is None
        fleet.act_gate.set()


async def test_stop_says_what_it_stops_and_what_not(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        await driver.press("question_mark")
        await driver.shows("help: overview")
        await driver.press("pagedown")
        await driver.shows(":stop", "stop an act by filter", "done stays done", "is stopped")
        await driver.press("escape")
        await driver.type(":stop")
        await driver.shows("no act by filter is under way")


async def test_a_list_that_is_too_old_is_listed_again_before_anything_is_done(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("bulk", "READY")
    async with console() as driver:
        await mark_all(driver, "name:bulk", "1 task\n")
        fleet.lists_too_old = 1
        lists = fleet.calls["ListTasks"]
        await driver.press("X")
        await driver.shows("The list is too old to act on.", "List again")
        await driver.press("right", "enter")
        await driver.until(lambda: fleet.calls["ListTasks"] > lists)
        await driver.until(lambda: driver.tasks.everything() is None)
        assert len(acts(fleet)) == 1


async def test_a_list_that_grew_too_old_while_the_reason_was_typed_is_listed_again_and_the_reason_kept(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("bulk", "READY")
    async with console() as driver:
        await mark_all(driver, "name:bulk", "1 task\n")
        await driver.press("X")
        await driver.shows("Cancel 1 task?")
        await driver.press(*"flood")
        fleet.lists_too_old = 1
        await driver.press("tab", "tab", "enter")
        await driver.shows("The list is too old to act on.", "Nothing was done", "List again")
        assert "LIST_TOO_OLD" not in driver.text()
        await driver.press("right", "enter")
        await driver.until(lambda: driver.tasks.feed.loaded and not driver.app.bulk)
        await driver.press("asterisk", "r")
        await driver.shows("Retry 1 task?", "reason, for the audit")
        await driver.press("enter")
        await driver.until(lambda: "Retry 1 task?" not in driver.text())
        await driver.press("X")
        await driver.shows("Cancel 1 task?", "flood")
        await driver.press("right", "enter")
        await driver.shows("1 task cancelled")
        assert acts(fleet)[-1].reason == "flood"


class Once:
    """A gate that lets one through."""

    passed = False

    async def wait(self) -> None:
        if self.passed:
            await asyncio.Event().wait()
        self.passed = True


async def test_an_act_that_the_server_broke_off_says_so_and_not_why_one_of_its_tasks_was_refused(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("bulk", "SUCCEEDED")
    for _ in range(3):
        fleet.task("bulk", "READY")
    fleet.act_gate = Once()  # type: ignore[assignment]
    async with console() as driver:
        await mark_all(driver, "name:bulk", "4 tasks")
        await driver.press("X")
        await driver.shows("Cancel 4 tasks?")
        await driver.press("right", "enter")
        await driver.until(lambda: driver.app.bulk and driver.app.bulk.progress.refused)
        await fleet.stop()
        await driver.shows("1 refused, 3 without an answer", "no contact with the server; :audit")
        assert "WRONG_STATE" not in driver.text()


async def test_everything_without_a_filter_is_every_task(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks")
        await driver.press("asterisk", "s")
        await driver.shows("Pause 122 tasks?")
        assert acts(fleet)[0].filter == "id:*"
        await driver.press("enter")
        await driver.until(lambda: "Pause 122" not in driver.text())
        await driver.press("U")
        await driver.until(lambda: driver.tasks.everything() is None)


@pytest.mark.parametrize(
    ("steps", "field"), [(1, "cancel"), (2, "retry"), (3, "pause"), (4, "resume")]
)
async def test_the_menu_of_bulk_acts_does_what_it_says(
    console: Open, fleet: Fleet, steps: int, field: str
) -> None:
    fleet.task("bulk", "READY")
    async with console(SMALL) as driver:
        await mark_all(driver, "name:bulk", "1 task\n")
        await driver.press("b")
        await driver.shows("do to everything that matches", "keep what they submitted")
        await driver.press(*"j" * steps, "enter")
        await driver.shows("1 task?")
        assert acts(fleet)[0].WhichOneof("act") == field
        assert acts(fleet)[0].cancel.keep_children == (field == "cancel")


async def test_everything_is_changed_by_a_form(console: Open, fleet: Fleet) -> None:
    key = fleet.task("bulk", "READY")
    async with console() as driver:
        await mark_all(driver, "name:bulk", "1 task\n")
        await driver.press("e")
        await driver.shows("edit everything that matches")
        await driver.press("9", "shift+tab", "shift+tab", "shift+tab", *"first", "enter")
        await driver.shows("Change 1 task?", "first")
        await driver.press("right", "enter")
        await driver.shows("1 task changed")
        assert fleet.items["task"][key].priority == 9
        assert acts(fleet)[-1].reason == "first"


async def test_marks_by_hand_go_by_their_ids(console: Open, fleet: Fleet) -> None:
    running = [fleet.task("bulk", "RUNNING") for _ in range(2)]
    async with console() as driver:
        await driver.filtered("name:bulk", "2 tasks")
        await driver.press("space", "space", "b")
        await driver.shows("do to 2 tasks", "run again, with all")
        await driver.press("j", "j", "enter")
        await driver.shows("2 tasks asked to pause")
        assert set(last(fleet, "PauseTasksRequest").task_ids) == set(running)
        assert fleet.calls["ActOnTasks"] == 0


async def test_the_menu_acts_on_what_it_was_opened_for(console: Open, fleet: Fleet) -> None:
    fleet.task("twin", "FAILED")
    fleet.task("twin", "FAILED")
    async with console() as driver:
        await driver.filtered("name:twin state:failed", "2 tasks\n")
        chosen = driver.tasks.table.cursor
        await driver.press("b")
        await driver.shows("do to this task")
        fleet.change_task(chosen, "RUNNING")
        await driver.until(lambda: driver.tasks.table.cursor != chosen)
        await driver.press("enter")
        await driver.until(lambda: fleet.calls["RetryTasks"])
        assert list(last(fleet, "RetryTasksRequest").task_ids) == [chosen]


async def test_letters_typed_before_the_buttons_are_the_reason(console: Open, fleet: Fleet) -> None:
    key = fleet.task("slow", "RUNNING")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("slow")
        await driver.press("X")
        await driver.shows("Cancel this task?", "Leave it")
        await driver.press(*"yes", "space", *"no", "enter")
        assert fleet.calls["CancelTasks"] == 0
        await driver.press("right", "enter")
        await driver.shows("1 task cancelled")
        assert last(fleet, "CancelTasksRequest").reason == "yes no"
