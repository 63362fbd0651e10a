"""An act is offered where it can do something, and says elsewhere why it cannot."""

from __future__ import annotations

import pytest
from tests.console.conftest import SMALL, Open
from tests.console.driving import Driver
from tests.console.fleet import Fleet
from tests.console.speech import stamp

from quarterdeck.v1 import hold_pb2, task_pb2
from quarterdeck_console.model.fleet import Fleet as Model
from quarterdeck_console.model.offers import CANCEL, PAUSE, RESUME, RETRY, why_not
from quarterdeck_console.model.rows import AgentRow, TaskRow
from quarterdeck_console.model.text import fit

MADE_UP = "01b6d1b6522c45c4a15fb0300aae8bf4"


def keys(driver: Driver) -> str:
    """The line of keys."""
    return driver.text().splitlines()[-1]


async def says(driver: Driver, text: str) -> None:
    """Waits for a word of the console; on the screen it is wrapped."""
    told = driver.app._notifications
    await driver.until(lambda: any(text in one.message for one in told), f"says {text}")


@pytest.mark.parametrize(
    ("state", "can"),
    [
        ("READY", {CANCEL}),
        ("BLOCKED", {CANCEL}),
        ("RUNNING", {CANCEL, PAUSE}),
        ("SUCCEEDED", set()),
        ("FAILED", {RETRY}),
        ("CANCELLED", {RETRY}),
        ("EXPIRED", {RETRY}),
    ],
)
def test_what_can_be_done_depends_on_the_state(state: str, can: set[str]) -> None:
    task = task_pb2.Task(id="task_0000000000001", name="mail")
    task.state = task_pb2.TaskState.Value(f"TASK_STATE_{state}")
    row = TaskRow.of(task)
    assert {act for act in (CANCEL, RETRY, PAUSE, RESUME) if not why_not(act, row)} == can


def test_only_what_is_paused_can_be_resumed() -> None:
    task = task_pb2.Task(id="task_0000000000001", state=task_pb2.TASK_STATE_RUNNING)
    stamp(task.pause.request_time, 1.0)
    assert why_not(RESUME, TaskRow.of(task)) == ""


async def test_the_keys_follow_the_row_under_the_cursor(console: Open, fleet: Fleet) -> None:
    failed = fleet.task("mixed", "FAILED")
    ready = fleet.task("mixed", "READY")
    async with console() as driver:
        await driver.filtered("name:mixed", "2 tasks")
        await driver.until(lambda: driver.tasks.table.cursor == ready)
        await driver.until(lambda: "X cancel" in keys(driver) and "r retry" not in keys(driver))
        await driver.press("j")
        await driver.until(lambda: driver.tasks.table.cursor == failed)
        await driver.until(lambda: "r retry" in keys(driver) and "X cancel" not in keys(driver))
        assert "e run again" in keys(driver)
        await driver.press("slash", "ctrl+u")
        await driver.type("name:nobody")
        await driver.shows("No task matches")
        await driver.until(lambda: "e edit" not in keys(driver))


async def test_an_act_that_can_do_nothing_says_why_and_asks_nobody(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    fleet.task("mail", "SUCCEEDED")
    async with console(size) as driver:
        await driver.filtered("name:mail", "1 task\n", "✓ succeeded")
        await driver.press("r")
        await says(driver, "nothing to retry")
        await driver.press("s")
        await says(driver, "only a running task")
        await driver.press("X")
        await says(driver, "nothing to cancel")
        assert "please confirm" not in driver.text()
        assert (
            fleet.calls["RetryTasks"] + fleet.calls["CancelTasks"] + fleet.calls["PauseTasks"] == 0
        )


async def test_the_menu_and_the_form_have_only_what_the_task_can_be_asked_for(
    console: Open, fleet: Fleet
) -> None:
    fleet.task("mail", "RUNNING")
    async with console() as driver:
        await driver.filtered("name:mail", "1 task\n", "● running")
        await driver.press("b")
        await driver.shows("do to this task", "pause what runs", "change priority")
        assert "retry" not in driver.text().partition("do to this task")[2].partition("╰")[0]
        await driver.press("escape", "e")
        await driver.shows("While it runs, only its labels can be changed.")


async def test_what_an_ended_task_submitted_can_still_be_cancelled(
    console: Open, fleet: Fleet
) -> None:
    parent = fleet.task("mail", "SUCCEEDED")
    fleet.task("child", "RUNNING", parent_id=parent)
    async with console() as driver:
        await driver.filtered("name:mail", "1 task\n", "✓ succeeded")
        await driver.press("X")
        await driver.shows("Cancel this task?")


async def test_the_view_of_one_task_offers_the_same(console: Open, fleet: Fleet) -> None:
    key = fleet.task("mail", "RUNNING")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("● running", "X cancel", "s pause")
        assert "r retry" not in keys(driver)
        fleet.change_task(key, "FAILED")
        await driver.shows("r retry", "e run again")
        assert "X cancel" not in keys(driver)


async def test_a_task_that_there_is_not_is_told_and_not_waited_for(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.type(":task 0000000000zzz")
        await driver.until(lambda: driver.text().count("there is no such task") == 2)
        for _ in range(20):
            await driver.ticked()
        assert "there is no such task" in driver.text()


async def test_a_draining_agent_is_not_offered_another_drain(console: Open, fleet: Fleet) -> None:
    async with console(SMALL) as driver:
        await driver.press("3", "slash")
        await driver.type("name:wren")
        await driver.shows("1 agent\n")
        await driver.until(lambda: "D drain" in keys(driver))
        fleet.agent("wren-0001", "wren", state="DRAINING")
        await driver.until(lambda: "D drain" not in keys(driver))
        await driver.press("D")
        await says(driver, "it is draining already")
        assert fleet.calls["DrainAgent"] == 0


async def test_queues_of_a_frozen_namespace_are_frozen_on_every_size(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        await driver.shows("● active", "‖ paused")
        freeze = hold_pb2.Hold(
            kind=hold_pb2.HOLD_KIND_NAMESPACE, actor="ana@bridge", reason="billed twice"
        )
        freeze.create_time.GetCurrentTime()
        fleet.put("hold", f"{freeze.kind}:", freeze)
        await driver.shows("✻ frozen")
        await driver.until(lambda: "● active" not in driver.text())
        await driver.press("5")
        await driver.until(lambda: driver.text().count("✻ frozen") >= 3)
        await driver.shows("frozen by ana@bridge: billed twice")
        fleet.drop("hold", f"{freeze.kind}:")
        await driver.shows("● active")


def agent(agent_id: str, name: str = "greeter") -> AgentRow:
    from quarterdeck.v1 import agent_pb2

    info = agent_pb2.AgentInfo(agent_id=agent_id, name=name)
    return AgentRow.of(agent_pb2.Agent(info=info, revision=1))


def test_an_agent_is_called_by_its_name_and_the_beginning_of_its_id() -> None:
    fleet = Model()
    fleet.agents.put(agent(MADE_UP))
    assert fleet.agent_label(MADE_UP) == "greeter-01b6"
    fleet.agents.put(agent("01b6e" + "0" * 27, "other"))
    assert fleet.agent_label(MADE_UP) == "greeter-01b6d"
    fleet.agents.put(agent("by-hand"))
    assert fleet.agent_label("by-hand") == "by-hand"
    assert fleet.agent_label("f" * 32) == "ffffffff"


def test_a_cut_label_keeps_what_tells_it_from_others() -> None:
    assert fit("greeter-01b6", 10, tail=5) == "gree…-01b6"
    assert fit("greeter-01b6", 12, tail=5) == "greeter-01b6"
    assert fit("greeter-01b6", 5, tail=5) == "gree…"


async def test_while_the_server_is_away_the_status_says_until_when(
    console: Open, fleet: Fleet
) -> None:
    async with console(SMALL) as driver:
        await driver.press("2")
        await driver.shows("0000003r")
        await fleet.stop()
        await driver.until(lambda: "✗ stale" in driver.text())
        await driver.until(lambda: ", retry in" in driver.text() or ", connecting" in driver.text())
        assert "0000003r" in driver.text()
        await driver.type(":audit")
        await driver.shows("Not known: no contact with the server")
        await fleet.start()
        await driver.shows("● live", "ready 49")
