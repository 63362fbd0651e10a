"""Pausing, editing and running tasks again, and editing what may start from a queue."""

from __future__ import annotations

from tests.console.conftest import LARGE, Open
from tests.console.fleet import Fleet
from tests.console.test_acts import last

from quarterdeck.v1 import queue_pb2
from quarterdeck_console.model.tables import short_id


async def test_a_running_task_is_paused_and_resumed_with_one_key(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("long", "RUNNING")
    async with console(size) as driver:
        await driver.filtered("name:long", "1 task\n", "● running")
        await driver.press("s")
        await driver.shows("1 task asked to pause", "‖ paused")
        assert list(last(fleet, "PauseTasksRequest").task_ids) == [key]
        assert "@" in last(fleet, "PauseTasksRequest").actor
        await driver.press("enter")
        await driver.shows("stands still")
        await driver.press("s")
        await driver.shows("1 task resumed", "● running")


async def test_s_in_a_log_follows_it_and_pauses_nothing(console: Open, fleet: Fleet) -> None:
    key = fleet.task("long", "RUNNING")
    fleet.write_log(key, "line 1")
    async with console() as driver:
        await driver.type(f":logs {key}")
        await driver.shows("line 1", "following")
        await driver.press("s")
        await driver.shows("F follows")
        assert fleet.calls["PauseTasks"] == 0


async def test_a_waiting_task_is_changed_by_a_form_where_empty_fields_stay(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("later", "READY")
    async with console(size) as driver:
        await driver.filtered("name:later", "1 task\n")
        await driver.press("e")
        await driver.shows("edit this task", f"later  {short_id(key)}  ready")
        await driver.shows("0 to 9; now 5", "now default", "for the audit, may stay empty")
        await driver.press("enter")
        await driver.shows("nothing is to be changed")
        await driver.press("shift+tab", "shift+tab", "shift+tab", "x", "enter")
        await driver.shows("priority: expected 0 to 9")
        await driver.press(
            "backspace", "8", "tab", *"10m", "tab", *"gpu", "tab", *"a=b,c=", "enter"
        )
        await driver.shows("1 task changed")
        request = last(fleet, "UpdateTasksRequest")
        assert list(request.task_ids) == [key]
        update = request.update
        assert (update.priority, update.delay.seconds, update.queue) == (8, 600, "gpu")
        assert dict(update.labels) == {"a": "b", "c": ""}
        assert not update.HasField("run_time")


async def test_a_running_task_can_only_be_labelled(console: Open, fleet: Fleet) -> None:
    fleet.task("long", "RUNNING")
    async with console() as driver:
        await driver.filtered("name:long", "1 task\n")
        await driver.press("e")
        await driver.shows("edit this task", "labels")
        assert "priority" not in driver.text()


async def test_an_ended_task_runs_again_with_another_input_and_its_dependents(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("broken", "FAILED")
    fleet.inputs[key] = b'{"n": 1}'
    async with console(size) as driver:
        await driver.filtered("name:broken", "1 task\n")
        await driver.press("e")
        await driver.shows("run again as a new task", '"n": 1', "all that depended on it")
        await driver.press("delete", "tab", "tab", "enter")
        await driver.shows("input: expected JSON")
        assert "✓▌" not in driver.text()
        await driver.press("left_curly_bracket", "down", "end", "2", "tab", "space")
        await driver.shows("✓▌ all that depended on it")
        await driver.press("tab", *"why", "enter")
        await driver.shows("1 task run again", ":task 0")
        request = last(fleet, "RerunTasksRequest")
        assert list(request.task_ids) == [key]
        assert request.with_dependents
        assert request.reason == "why"
        assert request.input.data.replace(b" ", b"").replace(b"\n", b"") == b'{"n":12}'


async def test_an_input_that_was_not_edited_is_not_sent(console: Open, fleet: Fleet) -> None:
    key = fleet.task("broken", "FAILED")
    fleet.inputs[key] = b'{"n":1.0,   "x":"\\u001b[2J"}'
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("broken", "✗ failed")
        await driver.press("e")
        await driver.shows("run again as a new task", "\\u001b[2J")
        await driver.press("tab", "tab", "enter")
        await driver.shows("1 task run again")
        assert not last(fleet, "RerunTasksRequest").HasField("input")


async def test_a_rerun_opens_what_it_is_a_rerun_of(console: Open, fleet: Fleet) -> None:
    old = fleet.task("origin", "FAILED")
    new = fleet.task("again", "READY", rerun_of=old)
    async with console(LARGE) as driver:
        await driver.type(f":task {new}")
        await driver.shows("again", "rerun of")
        await driver.press("J")
        await driver.shows("origin", "✗ failed")


async def test_limits_are_edited_in_the_words_of_the_command_line(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    limits = queue_pb2.QueueLimits(weights={"acme": 3})
    limits.concurrency.limit = 50
    fleet.queue("mail", limits=limits, counts={4: 50})
    async with console(size) as driver:
        await driver.press("5", "slash")
        await driver.type("name:mail")
        await driver.shows("1 queue\n")
        await driver.press("e")
        await driver.shows("limits of mail", "50", "acme=3")
        await driver.press("end", *":maybe", "enter")
        await driver.shows("concurrency: expected N or N:wait")
        await driver.press("home", "shift+end", *"40:cancel-oldest", "tab", "tab")
        await driver.press(*"100/1m,burst=200", "enter")
        await driver.shows("1 queue limited")
        made = last(fleet, "UpdateQueueRequest").limits
        assert made.concurrency.limit == 40
        assert made.concurrency.overflow == queue_pb2.OVERFLOW_POLICY_CANCEL_OLDEST
        assert (made.rate.units, made.rate.period.seconds, made.rate.burst) == (100, 60, 200)
        assert dict(made.weights) == {"acme": 3}
        assert not last(fleet, "UpdateQueueRequest").HasField("paused")
        await driver.shows("40:cancel-oldest", "100/1m,burst=200")


async def test_limits_that_somebody_changed_under_an_open_dialog_are_not_overwritten(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    fleet.queue("mail", etag="seen", counts={4: 5})
    async with console(size) as driver:
        await driver.press("5", "slash")
        await driver.type("name:mail")
        await driver.shows("1 queue\n")
        await driver.press("e")
        await driver.shows("limits of mail")
        fleet.queue("mail", etag="newer", counts={4: 6})
        await driver.press(*"40", "enter")
        await driver.shows("it was changed meanwhile")
        assert last(fleet, "UpdateQueueRequest").etag == "seen"
        await driver.press("e")
        await driver.shows("limits of mail")
        await driver.press(*"40", "enter")
        await driver.shows("1 queue limited")


async def test_a_queue_at_its_limit_shows_it_where_there_is_room(
    console: Open, fleet: Fleet
) -> None:
    limits = queue_pb2.QueueLimits()
    limits.concurrency.limit = 7
    limits.rate.units = 90
    fleet.queue("mail", limits=limits, counts={4: 7})
    async with console(LARGE) as driver:
        await driver.press("5")
        await driver.shows("MAX RATE", "7/7", "90/1s")


async def test_dropping_what_arrives_asks_first(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("5")
        await driver.shows("3 queues")
        await driver.press("g", "s")
        await driver.shows("what arrives meanwhile")
        await driver.press("j", "enter")
        await driver.shows("drop arrivals?", "reason DROPPED")
        assert fleet.calls["UpdateQueue"] == 0
        await driver.press("right", "enter")
        await driver.shows("1 queue paused")
        assert last(fleet, "UpdateQueueRequest").paused_arrivals == queue_pb2.ARRIVAL_POLICY_DROP
        await driver.shows("‖ drops")
