"""Freezes, holds, explanations and the audit log on the screen."""

from __future__ import annotations

import time

from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet
from tests.console.speech import stamp
from tests.console.test_acts import last

from quarterdeck.v1 import audit_pb2, hold_pb2, task_pb2, task_service_pb2


async def test_a_freeze_asks_and_stands_on_every_screen_until_it_is_thawed(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        await driver.type(":freeze")
        await driver.shows("Freeze the namespace default?")
        assert fleet.calls["Freeze"] == 0
        await driver.press("shift+tab", *"provider", "tab", "tab", "enter")
        await driver.shows("1 namespace frozen", "FROZEN by", "provider")
        assert last(fleet, "FreezeRequest").reason == "provider"
        assert "@" in last(fleet, "FreezeRequest").actor
        await driver.shows("namespace", "frozen by")
        for key in "2345":
            await driver.press(key)
            await driver.shows("FROZEN by", ":thaw ends it")
            assert len(driver.strips()) == size[1]
        await driver.type(":thaw")
        await driver.shows("Thaw the namespace default?")
        assert fleet.calls["Thaw"] == 0
        await driver.press("shift+tab", *"it is back", "tab", "tab", "enter")
        await driver.until(lambda: "FROZEN" not in driver.text())
        assert fleet.calls["Thaw"] == 1
        assert last(fleet, "ThawRequest").reason == "it is back"


async def test_an_agent_is_held_and_released_with_one_key(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        await driver.press("3")
        await driver.shows("crow-0004")
        await driver.press("G")
        agent = driver.list.table.cursor
        await driver.press("H")
        await driver.shows("hold this agent", "hold all agents of")
        await driver.press("enter")
        await driver.shows("Hold the agent")
        await driver.press("right", "enter")
        await driver.shows("1 agent held", "‖ held")
        request = last(fleet, "PutHoldRequest")
        assert (request.kind, request.subject) == (hold_pb2.HOLD_KIND_AGENT, agent)
        await driver.press("H")
        await driver.shows("release this agent", "hold all agents of")
        await driver.press("enter")
        await driver.shows("Release the agent")
        await driver.press("right", "enter")
        await driver.shows("1 hold released")
        assert not fleet.items["hold"]


async def test_a_version_of_an_agent_is_held_by_name_and_version(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("3")
        await driver.shows("crow-0004")
        await driver.press("G", "H", "j", "enter")
        await driver.shows("Hold the agent version wren@1.2.0?")
        await driver.press("right", "enter")
        await driver.shows("1 agent version held", "‖ held")
        assert last(fleet, "PutHoldRequest").kind == hold_pb2.HOLD_KIND_AGENT_VERSION


async def test_a_tasks_name_is_held_and_released_from_the_list_of_holds(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    fleet.task("mail", "READY")
    async with console(size) as driver:
        await driver.filtered("name:mail", "1 task\n")
        await driver.press("H")
        await driver.shows("Hold the task name mail?")
        await driver.press("right", "enter")
        await driver.shows("1 task name held")
        await driver.type(":holds")
        await driver.shows("task name mail", "1 hold\n", ":holds ")
        await driver.press("H")
        await driver.shows("Release this hold?")
        await driver.press("right", "enter")
        await driver.shows("Nothing is held")
        assert fleet.calls["ReleaseHold"] == 1


async def test_attention_leads_to_what_is_held(console: Open, fleet: Fleet) -> None:
    hold = hold_pb2.Hold(
        kind=hold_pb2.HOLD_KIND_TASK_NAME, subject="mail", actor="server", quarantined=True
    )
    async with console() as driver:
        fleet.put("hold", f"{hold.kind}:mail", hold)
        await driver.shows("needs attention", "quarantine by server")
        await driver.press("g", "enter")
        await driver.shows("1 hold\n", "quarantine")


async def test_a_task_says_why_it_waits_and_where_its_time_went(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("slow", "READY", group_key="tenant-7")
    why = task_service_pb2.ExplainTaskResponse(summary="It waits for its turn.", ahead=412)
    obstacle = why.obstacles.add(message="As many tasks of its key run as may.", actor="ana@bridge")
    stamp(obstacle.until, time.time() + 90)
    stamp(why.estimated_start_time, time.time() + 200)
    span = why.spans.add(phase=task_service_pb2.LIFE_PHASE_READY)
    stamp(span.start_time, time.time() - 60)
    why.time_summary = "Most of it went into waiting."
    fleet.explanations[key] = why
    async with console(size) as driver:
        await driver.type(f":task {key}")
        await driver.press("greater_than_sign")
        await driver.shows(
            "It waits for its turn.", "412 before it", "As many tasks of its key", "ana@bridge",
            "where the time went", "Most of it went into waiting.", "in about",
        )  # fmt: skip
        why.summary = "It is next."
        fleet.change_task(key, priority=9)
        await driver.shows("It is next.")


async def test_a_task_shows_whose_it_is_and_what_it_needs(console: Open, fleet: Fleet) -> None:
    attributes = {"cost": task_pb2.AttributeValue(number=2.5)}
    key = fleet.task(
        "slow", "RUNNING", group_key="tenant-7", attributes=attributes,
        required_labels={"gpu": "a100"}, preferred_agent_id="wren-0001",
    )  # fmt: skip
    late = task_pb2.Attempt(attempt=1, agent_id="wren-0001", late_heartbeats=4)
    fleet.attempts[key] = [late]
    async with console(LARGE) as driver:
        await driver.type(f":task {key}")
        await driver.shows("tenant-7", "cost=2.5", "gpu=a100", "the agent it prefers")
        await driver.shows("4 late heartbeats")
        await driver.filtered("name:slow", "1 task\n")
        await driver.press("w")
        await driver.shows("GROUP", "tenant-7")
    async with console(SMALL) as driver:
        await driver.press("2")
        await driver.shows("NAME")
        assert "GROUP" not in driver.text()


async def test_the_audit_log_is_read_page_by_page(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    for number in range(250):
        entry = audit_pb2.AuditEntry(
            id=f"audit_{number:04}", actor="ana@bridge", action="CancelTasks", reason="\x1b[31mred",
            filter="queue:mail", matched=500, done=400 + number % 50,
        )  # fmt: skip
        stamp(entry.time, time.time() - number)
        fleet.audit.append(entry)
    async with console(size) as driver:
        await driver.type(":audit")
        await driver.shows("ana@bridge", "CancelTasks", "400/500", ":audit ")
        assert "\x1b" not in driver.text()
        await driver.press("G")
        await driver.shows("250 entries")
        assert fleet.calls["ListAuditEntries"] == 2
        await driver.press("ctrl+r")
        await driver.until(lambda: fleet.calls["ListAuditEntries"] > 2)


async def test_several_agents_are_held_at_once(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("3")
        await driver.shows("crow-0004")
        await driver.press("space", "j", "space", "H")
        await driver.shows("Hold the agents ")
        await driver.press("right", "enter")
        await driver.shows("2 agents held")
