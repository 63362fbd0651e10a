"""What the operator does reaches the server, and what became of it reaches the operator."""

from __future__ import annotations

from typing import Any

from tests.console.conftest import LARGE, Open
from tests.console.fleet import Fleet

from quarterdeck.v1 import task_pb2


def last(fleet: Fleet, name: str) -> Any:
    """The newest request of a kind."""
    return next(item for item in reversed(fleet.requests) if type(item).__name__ == name)


async def test_a_cancel_asks_first_with_cancel_focused(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await driver.press("j", "j", "j", "X")
        await driver.shows("please confirm", "Cancel this task?", "triage")
        await driver.press("enter")
        await driver.until(lambda: "please confirm" not in driver.text())
        assert fleet.calls["CancelTasks"] == 0


async def test_a_confirmed_cancel_carries_its_reason(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2", "j")
        await driver.shows("0000003r")
        await driver.press("g", "j", "j", "j", "X")
        await driver.shows("please confirm")
        chosen = driver.tasks.table.cursor
        await driver.press("shift+tab")
        await driver.press(*"wrong", "tab", "tab", "enter")
        await driver.shows("1 task cancelled")
        request = last(fleet, "CancelTasksRequest")
        assert list(request.task_ids) == [chosen]
        assert request.reason == "wrong"
        assert "@" in request.actor


async def test_marked_rows_are_cancelled_in_one_call_with_a_result_each(
    console: Open, fleet: Fleet
) -> None:
    ready, done = fleet.task("bulk", "READY"), fleet.task("bulk", "SUCCEEDED")
    async with console() as driver:
        await driver.filtered("name:bulk", "2 tasks", "✓ succeeded")
        await driver.press("space", "space")
        await driver.shows("2 marked")
        await driver.press("X")
        await driver.shows("Cancel 2 tasks?")
        await driver.press("right", "enter")
        await driver.shows("1 task cancelled, 1 refused", "the task has ended", "(WRONG_STATE)")
        assert set(last(fleet, "CancelTasksRequest").task_ids) == {ready, done}
        assert fleet.calls["CancelTasks"] == 1
        assert not driver.tasks.table.marks


async def test_retry_puts_a_failed_task_back_and_the_row_follows(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.filtered("name:fetch-papers state:failed", "1 task\n", "✗ failed")
        failed = driver.tasks.table.cursor
        await driver.press("r")
        await driver.shows("1 task retried")
        assert fleet.items["task"][failed].state == task_pb2.TASK_STATE_READY
        await driver.shows("No task matches")


async def test_an_act_is_done_by_its_name_too(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.filtered("name:fetch-papers state:failed", "1 task\n", "✗ failed")
        failed = driver.tasks.table.cursor
        await driver.type(":retry")
        await driver.shows("1 task retried")
        await driver.type(f":task {failed}")
        await driver.shows("< > moves", "○ ready")
        await driver.type(":cancel")
        await driver.shows("Cancel this task?")


async def test_a_new_task_is_submitted_as_typed(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("n")
        await driver.shows("new task")
        await driver.press(*"triage", "tab", "tab", "ctrl+u", *"[1", "enter")
        await driver.shows("input: expected JSON")
        await driver.press("end", "right_square_bracket", "enter")
        await driver.shows("1 task submitted")
        spec = last(fleet, "SubmitRequest").tasks[0]
        assert (spec.name, spec.queue, spec.input.data) == ("triage", "default", b"[1]")
        assert spec.priority == 5
        assert last(fleet, "SubmitRequest").request_id


async def test_a_queue_is_paused_and_resumed_with_one_key_and_a_reason(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("5")
        await driver.shows("3 queues", "default")
        await driver.press("g", "s")
        await driver.shows("what arrives meanwhile")
        await driver.press("enter")
        await driver.shows("why, shown with the queue")
        await driver.press(*"rest", "enter")
        await driver.shows("1 queue paused")
        assert last(fleet, "UpdateQueueRequest").reason == "rest"
        assert fleet.items["queue"]["default"].paused
        await driver.until(lambda: driver.app.fleet.queues.get("default").paused)  # type: ignore[union-attr]
        await driver.press("s")
        await driver.shows("resume default", "for the audit, may stay empty")
        await driver.press(*"rested", "enter")
        await driver.shows("1 queue resumed")
        assert not fleet.items["queue"]["default"].paused
        assert last(fleet, "UpdateQueueRequest").reason == "rested"


async def test_a_schedule_is_triggered_and_paused(console: Open, fleet: Fleet) -> None:
    async with console(LARGE) as driver:
        await driver.press("4")
        await driver.shows("hourly-digest", "next runs")
        await driver.press("t")
        await driver.shows("1 schedule triggered")
        assert last(fleet, "TriggerScheduleRequest").schedule_id == "hourly-digest"
        assert "@" in last(fleet, "TriggerScheduleRequest").actor
        await driver.press("s")
        await driver.shows("why, shown with the schedule")
        await driver.press(*"holiday", "enter")
        await driver.shows("1 schedule paused")
        assert fleet.items["schedule"]["hourly-digest"].paused
        assert last(fleet, "PauseScheduleRequest").reason == "holiday"
        await driver.until(lambda: driver.app.fleet.schedules.get("hourly-digest").paused)  # type: ignore[union-attr]
        await driver.press("s")
        await driver.shows("resume hourly-digest", "for the audit, may stay empty")
        await driver.press(*"back", "enter")
        await driver.shows("1 schedule resumed")
        assert not fleet.items["schedule"]["hourly-digest"].paused
        assert last(fleet, "ResumeScheduleRequest").reason == "back"


async def test_draining_an_agent_asks_first(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("3")
        await driver.shows("crow-0004")
        await driver.press("j", "D")
        await driver.shows("Drain this agent?")
        assert fleet.calls["DrainAgent"] == 0
        await driver.press("right", "enter")
        await driver.shows("1 agent draining", "◐ draining")


async def test_an_act_without_a_server_is_refused_in_words(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await driver.press("j", "j", "j", "X")
        await driver.shows("please confirm")
        await fleet.stop()
        await driver.press("right", "enter")
        await driver.shows("1 without an answer", "no contact with the server")
        assert "UNAVAILABLE" not in driver.text()
        assert driver.app.is_running
