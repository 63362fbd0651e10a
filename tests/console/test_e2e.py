"""The console in front of the real server, with a real agent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from tests.console.conftest import LARGE, SMALL
from tests.console.driving import Driver

from quarterdeck.v1 import payload_pb2, task_pb2, task_service_pb2
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck_console.app import ConsoleApp
from quarterdeck_console.screenshot import svg

if TYPE_CHECKING:
    from quarterdeck.testing import Server


def submit(server: Server, *specs: task_pb2.TaskSpec) -> list[str]:
    """Submits without a second event loop in this process; answers the ids."""
    with grpc.insecure_channel(server.address) as channel:
        request = task_service_pb2.SubmitRequest(tasks=specs)
        return [result.task_id for result in TaskServiceStub(channel).Submit(request).results]


async def test_a_task_is_submitted_watched_cancelled_and_retried(
    quarterdeck_server: Server,
) -> None:
    app = ConsoleApp(quarterdeck_server.address)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.shows("● live")
        await driver.press("n")
        await driver.shows("new task")
        await driver.type("digest")
        await driver.shows("1 task submitted")
        await driver.press("2")
        await driver.shows("○ ready", "1 task\n", "digest")
        await driver.press("X")
        await driver.shows("please confirm")
        await driver.press("right", "enter")
        await driver.shows("1 task cancelled", "⊘ cancelled")
        await driver.press("r")
        await driver.shows("1 task retried", "○ ready")
        await driver.press("5")
        await driver.shows("1 queue\n", "● active")
        await driver.press("s")
        await driver.shows("what arrives meanwhile")
        await driver.press("enter")
        await driver.shows("why, shown with the queue")
        await driver.press("enter")
        await driver.shows("‖ paused")


async def test_filters_orders_and_pages_are_the_servers(quarterdeck_server: Server) -> None:
    submit(
        quarterdeck_server,
        *(
            task_pb2.TaskSpec(name="even" if number % 2 == 0 else "odd", priority=number % 10)
            for number in range(700)
        ),
    )
    app = ConsoleApp(quarterdeck_server.address)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.press("2")
        await driver.shows("700 tasks", "odd")
        newest = driver.tasks.table.cursor
        await driver.press("G")
        await driver.shows("700 of 700")
        oldest = driver.tasks.table.cursor
        assert oldest < newest
        await driver.press("pageup", "pagedown")
        assert driver.tasks.table.cursor == oldest
        await driver.press(*["pageup"] * 30)
        await driver.until(lambda: driver.tasks.table.row_count >= 500)
        ids = list(driver.tasks.table.ids)
        assert ids == sorted(ids, reverse=True)
        await driver.press("g")
        await driver.until(lambda: driver.tasks.table.cursor == newest)
        await driver.shows("1 of 700")
        await driver.press("slash")
        await driver.type("name:even priority>6")
        await driver.shows("70 tasks", "filter name:even priority>6")
        await driver.press("slash")
        await driver.press("ctrl+u")
        await driver.type("colour:red")
        await driver.shows('tasks have no field "colour"')
        await driver.press("escape", "N")
        await driver.shows("by name ↑")


AGENT = """
import sys, time
from pathlib import Path
import quarterdeck

agent = quarterdeck.Agent("researcher", slots=2)

@agent.task(name="works")
def works(run: quarterdeck.Run, pages: int) -> int:
    run.log.info(f"reading {pages} pages")
    while not Path(sys.argv[2]).exists():
        time.sleep(0.02)
    return pages

@agent.task(name="breaks")
def breaks(run: quarterdeck.Run, pages: int) -> int:
    raise ValueError("no \\x1b]52;c;ZXZpbA==\\x07pages [/x]")

quarterdeck.serve(agent, sys.argv[1])
"""


@pytest.fixture
def finish(quarterdeck_server: Server, tmp_path: Path) -> Iterator[Path]:
    """An agent in a process of its own; its task ends when this file is there."""
    script, finish = tmp_path / "agent.py", tmp_path / "finish"
    script.write_text(AGENT)
    command = [sys.executable, str(script), quarterdeck_server.address, str(finish)]
    with subprocess.Popen(command) as process:
        yield finish
        process.terminate()


async def test_an_agents_work_its_failure_and_its_log_are_shown(
    quarterdeck_server: Server, finish: Path
) -> None:
    input = payload_pb2.Payload(data=b"7")
    once = task_pb2.RetryPolicy(max_attempts=1)
    works, _ = submit(
        quarterdeck_server,
        task_pb2.TaskSpec(name="works", input=input),
        task_pb2.TaskSpec(name="breaks", input=input, retry=once),
    )
    app = ConsoleApp(quarterdeck_server.address)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.shows("● busy", "running longest", "ValueError: no pages [/x]")
        await driver.press("colon")
        await driver.type(f"logs {works}")
        await driver.shows("reading 7 pages", "● running")
        await asyncio.to_thread(finish.touch)
        await driver.shows("✓ succeeded")


async def test_a_picture_names_no_address_and_loads_nothing(quarterdeck_server: Server) -> None:
    submit(quarterdeck_server, task_pb2.TaskSpec(name="digest"))
    drawn = await svg(quarterdeck_server.address, seconds=0.2)
    assert "digest" in drawn
    assert quarterdeck_server.address not in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "@font-face" not in drawn


async def test_all_that_match_are_paused_edited_and_cancelled_by_the_server(
    quarterdeck_server: Server,
) -> None:
    specs = [task_pb2.TaskSpec(name="bulk", group_key="a") for _ in range(1_200)]
    submit(quarterdeck_server, *specs, task_pb2.TaskSpec(name="other"))
    app = ConsoleApp(quarterdeck_server.address)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.filtered("name:bulk", "1,200 tasks", "a")
        await driver.press("asterisk", "e")
        await driver.shows("edit everything that matches")
        await driver.press("9", "enter")
        await driver.shows("Change 1,200 tasks?")
        await driver.press("right", "enter")
        await driver.shows("1,200 tasks changed", "priority 9")
        await driver.press("asterisk", "X")
        await driver.shows("Cancel 1,200 tasks?")
        await driver.press("right", "enter")
        await driver.shows("1,200 tasks cancelled", "⊘ cancelled")
        await driver.type(":audit")
        await driver.shows("UpdateTasks", "CancelTasks", "name:bulk", "1,200", "priority 9")
        await driver.press("1")
        await driver.until(lambda: app.fleet.totals.of(3) == 1)


async def test_a_freeze_and_a_hold_explain_why_a_task_waits(quarterdeck_server: Server) -> None:
    [task] = submit(quarterdeck_server, task_pb2.TaskSpec(name="mail"))
    app = ConsoleApp(quarterdeck_server.address)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.shows("● live")
        await driver.type(":freeze")
        await driver.shows("Freeze the namespace")
        await driver.press("right", "enter")
        await driver.shows("FROZEN by")
        await driver.press("2")
        await driver.shows("1 task\n", "○ ready")
        await driver.press("H")
        await driver.shows("Hold the task name mail?")
        await driver.press("right", "enter")
        await driver.shows("1 task name held")
        await driver.type(f":task {task}")
        await driver.press("greater_than_sign")
        await driver.shows("what keeps it", "frozen", "where the time went")
        await driver.press("escape")
        await driver.type(":thaw")
        await driver.shows("Thaw the namespace")
        await driver.press("right", "enter")
        await driver.until(lambda: "FROZEN" not in driver.text())
        await driver.type(":holds")
        await driver.shows("task name mail", "1 hold\n")
