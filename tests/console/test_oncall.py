"""What an operator on call must see at once: who floods, what fails and on which version, who did not obey."""

from __future__ import annotations

import pytest
from tests.console.conftest import LARGE, Open
from tests.console.driving import Driver
from tests.console.fleet import Fleet
from tests.console.speech import stamp

from quarterdeck.v1 import hold_pb2, queue_pb2, task_pb2
from quarterdeck_console.model import words
from quarterdeck_console.model.fleet import Series
from quarterdeck_console.stream import task_feed

READY = task_pb2.TASK_STATE_READY


def broken(fleet: Fleet, agent: str, **fields: object) -> str:
    failure = task_pb2.Task().failure
    failure.type, failure.message = "ImportError", "no name loads2"
    return fleet.task("parse", "FAILED", failure=failure, agent_id=agent, **fields)


async def test_what_fails_alike_on_one_version_is_one_matter_that_names_it(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    for key in ("parser-1", "parser-2"):
        fleet.agent(key, "parser", version="2.1.0")
    for number in range(30):
        broken(fleet, f"parser-{number % 2 + 1}")
    async with console(size) as driver:
        await driver.shows("parse ×30", "parser@2.1.0: ImportError", "fetch-papers")
        matters = driver.app.front.matters  # type: ignore[union-attr]
        at = next(i for i, row in enumerate(matters.ids) if row.startswith("tasks:"))
        await driver.press("g", *"j" * at, "enter")
        await driver.shows("filter state:failed name:parse error_type:ImportError")
        await driver.until(lambda: driver.tasks.total() == 30)


async def test_failures_beyond_those_that_were_counted_are_said_to_be_there(
    console: Open, fleet: Fleet
) -> None:
    for _ in range(60):
        broken(fleet, "parser-1")
    async with console() as driver:
        await driver.shows("parse ×50+")


@pytest.mark.parametrize("versions", [("2.1.0", "2.0.0"), ("2.1.0", ""), ("", "")])
async def test_what_fails_on_no_one_version_is_laid_to_none(
    console: Open, fleet: Fleet, versions: tuple[str, str]
) -> None:
    for key, version in zip(("parser-1", "parser-2"), versions, strict=True):
        fleet.agent(key, "parser", version=version)
    broken(fleet, "parser-1")
    broken(fleet, "parser-2")
    async with console(LARGE) as driver:
        await driver.shows("parse ×2", " ImportError: no name")
        assert "parser@" not in driver.text()


async def test_a_task_names_the_version_that_ran_it(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    fleet.agent("parser-1", "parser", version="2.1.0")
    key = broken(fleet, "parser-1")
    async with console(size) as driver:
        await driver.type(f":task {key}")
        await driver.shows("parser-1   version 2.1.0")


async def test_a_queue_with_much_before_it_needs_attention_and_says_of_what(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    counts = [queue_pb2.StateCount(state=READY, count=number) for number in (93_000, 12)]
    names = [
        queue_pb2.NameCount(name=name, counts=[number])
        for name, number in zip(("enrich", "report"), counts, strict=True)
    ]
    async with console(size) as driver:
        item = fleet.items["queue"]["default"]
        item.names.extend(names)
        fleet.queue("default", counts={READY: 93_012})
        fleet.items["queue"]["default"].names.extend(names)
        fleet.put("queue", "default", fleet.items["queue"]["default"])
        await driver.shows("93,012 ready, 93,000 enrich")


async def test_a_backlog_that_is_soon_done_needs_nobody(console: Open, fleet: Fleet) -> None:
    fleet.queue("default", counts={READY: 5_000})
    async with console(LARGE) as driver:
        await driver.shows("5,000 ready, none gets done")
        quick = Series()
        quick.values.extend([1_000.0] * 10)
        driver.app.fleet.queue_done["default"] = quick
        await driver.until(lambda: "5,000 ready, " not in driver.text() or again(driver, fleet))


def again(driver: Driver, fleet: Fleet) -> bool:
    """Lets the matters be looked at anew."""
    fleet.queue("default", counts={READY: 5_000})
    driver.app.fleet.queue_done["default"].values.extend([1_000.0] * 10)
    return False


async def test_agents_that_are_held_do_not_count_as_serving(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    for key in ("parser-1", "parser-2"):
        fleet.agent(key, "parser", version="2.1.0", slots=3, queues=["parse"])
    fleet.queue("parse", counts={READY: 7})
    async with console(size) as driver:
        await driver.press("5")
        await driver.shows("parse", " 0/6")
        await driver.press("1")
        hold = hold_pb2.Hold(kind=hold_pb2.HOLD_KIND_AGENT_VERSION, subject="parser@2.1.0")
        fleet.put("hold", f"{hold.kind}:{hold.subject}", hold)
        await driver.shows("all 2 agents held, 7 ready")
        await driver.press("5")
        await driver.until(lambda: " 0/6" not in driver.text())
        await driver.press("slash")
        await driver.type("name:parse")
        await driver.shows("1 queue")
        await driver.press("f", "G")
        await driver.shows("agents that take from it, 2 of them held", "‖ held")


async def test_a_hold_does_not_hide_that_an_agent_is_lost_or_draining(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    for number, state in enumerate(("ACTIVE", "LOST", "DRAINING")):
        fleet.agent(f"parser-{number}", "parser", state, version="2.1.0")
    hold = hold_pb2.Hold(kind=hold_pb2.HOLD_KIND_AGENT_VERSION, subject="parser@2.1.0")
    fleet.put("hold", f"{hold.kind}:{hold.subject}", hold)
    async with console(size) as driver:
        await driver.press("3", "slash")
        await driver.type("name:parser")
        await driver.shows("3 agents", "‖ held", "✗ lost", "◐ draining")


async def test_a_task_whose_agent_did_not_obey_a_cancel_stands_out_among_the_cancelled(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    told = task_pb2.Cancellation(actor="ana")
    stamp(told.request_time, 1_000.0)
    fleet.task("obeys", "CANCELLED", cancellation=told)
    stamp(told.escalate_time, 1_030.0)
    fleet.task("hangs", "CANCELLED", cancellation=told)
    async with console(size) as driver:
        await driver.filtered("name:obeys,hangs", "2 tasks\n", "⊘ cancelled", "⊗ revoked")
        lines = driver.text().splitlines()
        assert any("hangs" in line and "revoked" in line for line in lines)


@pytest.mark.parametrize("rest", [0.0, 3_600.0])
async def test_a_list_that_rested_for_long_is_listed_anew_and_not_replayed(
    console: Open, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, rest: float
) -> None:
    monkeypatch.setattr(task_feed, "REPLAY", rest)
    async with console() as driver:
        await driver.filtered("state:failed", "1 task\n")
        await driver.press("5")
        await driver.shows("3 queues")
        lists = fleet.calls["ListTasks"]
        fleet.task("late", "FAILED")
        await driver.press("2")
        await driver.shows("2 tasks\n", "late")
        assert (fleet.calls["ListTasks"] > lists) == (rest == 0.0)


async def test_agents_stay_in_their_places_while_they_take_and_finish_tasks(
    console: Open, fleet: Fleet
) -> None:
    async with console(LARGE) as driver:
        await driver.press("3")
        await driver.shows("4 agents")
        before = list(driver.list.table.ids)
        assert driver.app.fleet.agents.get(before[0]).state == words.LOST  # type: ignore[union-attr]
        fleet.agent(before[-1], before[-1].split("-")[0], running=4, slots=4)
        await driver.shows("4/4")
        assert list(driver.list.table.ids) == before
