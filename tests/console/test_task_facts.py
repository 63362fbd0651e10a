"""What a task takes, prefers, saved and was let in by, on its page."""

from __future__ import annotations

import re

from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet

from quarterdeck.v1 import payload_pb2, task_pb2, task_service_pb2


async def test_a_task_shows_what_it_takes_prefers_and_saved(console: Open, fleet: Fleet) -> None:
    key = fleet.task("slow", "RUNNING")
    fleet.details[key] = task_service_pb2.GetTaskResponse(
        units=7,
        affinity=task_pb2.Affinity(preferred={"gpu": "a100"}),
        details=payload_pb2.Payload(data=b'{"page": 31}'),
        keys=[
            task_service_pb2.TaskKey(
                kind=task_service_pb2.TASK_KEY_KIND_UNIQUE, key="k", held=True
            ),
            task_service_pb2.TaskKey(kind=task_service_pb2.TASK_KEY_KIND_THROTTLE, key="[/mail]"),
        ],
    )
    async with console(LARGE) as driver:
        await driver.type(f":task {key}")
        await driver.shows("units", "7", "prefers", "gpu=a100", "saved", '"page": 31')
        await driver.shows("unique", "throttle", "[/mail]   free again")


async def test_names_of_sections_stay_whole_beside_the_state_of_the_log(
    console: Open, fleet: Fleet
) -> None:
    key = fleet.task("chatty", "RUNNING", attempt=2)
    for number in range(40):
        fleet.write_log(key, f"line {number}")
    async with console(SMALL) as driver:
        await driver.type(f":logs {key}")
        await driver.shows("error  facts", "▼ following  40 lines")
        assert "<" not in driver.text()
        await driver.press("k")
        for number in range(12_345):
            fleet.write_log(key, f"line {number}")
        await driver.shows("error  facts", "‖ 12,345 newer, F follows")
        await driver.press("p")
        await driver.shows("error  facts", "attempt 1")
    async with console(LARGE) as driver:
        await driver.type(f":logs {key}")
        await driver.shows("facts   < > moves", "▼ following  12,385 lines")


async def test_a_long_name_leaves_room_for_the_state(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("fetch-" + "x" * 200, "RUNNING", queue="q" * 100)
    async with console(size) as driver:
        await driver.type(f":task {key}")
        await driver.shows("fetch-", "attempt 1/3  queue qqq")
        head = next(line for line in driver.text().splitlines() if "attempt 1/3" in line)
        assert re.search(r"● running  [0-9.]+m?s  attempt", head)
