"""Keys that move between views and show one thing alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet
from textual.events import Key

from quarterdeck.v1 import task_pb2


async def test_history_goes_back_and_forward_among_views(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2", "5", "left_square_bracket")
        await driver.until(lambda: driver.app.current_mode == "tasks")
        await driver.press("left_square_bracket", "left_square_bracket")
        await driver.until(lambda: driver.app.current_mode == "overview")
        await driver.press("right_square_bracket", "right_square_bracket")
        await driver.until(lambda: driver.app.current_mode == "queues")
        await driver.press("left_square_bracket", "3", "right_square_bracket")
        await driver.until(lambda: driver.app.current_mode == "agents")


async def test_a_row_is_described_on_the_whole_screen_where_it_is_narrow(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("d")
        await driver.shows("priority 5", '"source": "arxiv"')
        assert "NAME" not in driver.text()
        await driver.press("escape")
        await driver.shows("NAME", "0000003r")


async def test_a_task_is_shown_as_the_server_tells_it(console: Open, fleet: Fleet) -> None:
    key = fleet.task("odd", "FAILED", reason="\x1b[31mred")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("odd")
        await driver.press("y")
        await driver.shows(f'"id": "{key}"', '"name": "odd"')
        assert "\x1b" not in driver.text()
        await driver.press("escape")
        await driver.until(lambda: '"id"' not in driver.text())


async def test_the_log_has_the_screen_alone_and_shares_it_again(
    console: Open, fleet: Fleet
) -> None:
    key = fleet.task("long", "RUNNING")
    fleet.write_log(key, "line 1")
    async with console(LARGE) as driver:
        await driver.type(f":logs {key}")
        await driver.shows("line 1", "priority 5")
        await driver.press("f")
        await driver.until(lambda: "priority 5" not in driver.text() and "line 1" in driver.text())
        await driver.press("f")
        await driver.shows("priority 5", "line 1")


async def test_the_log_of_the_attempt_before_is_read_alone(console: Open, fleet: Fleet) -> None:
    key = fleet.task("again", "FAILED", attempt=3)
    fleet.write_log(key, "of all")
    fleet.attempts[key] = [task_pb2.Attempt(attempt=3)]
    async with console(SMALL) as driver:
        await driver.filtered("name:again", "1 task\n")
        await driver.press("p")
        await driver.shows("attempt 2, 1 line")
        await driver.press("p")
        await driver.shows("attempt 1, 1 line")
        await driver.press("p")
        await driver.until(lambda: "attempt 1, 1 line" not in driver.text())
        asked = [r.attempt for r in fleet.requests if type(r).__name__ == "ReadLogsRequest"]
        assert [number for number in dict.fromkeys(asked) if number] == [2, 1]
        assert asked[-1] == 0


def saved_rows(folder: Path) -> list[dict[str, str]]:
    [path] = folder.iterdir()
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


async def test_a_list_is_saved_as_it_reads_and_holds_no_formula(
    console: Open, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fleet.task("=2+2", "READY", queue='a,"b')
    async with console() as driver:
        await driver.press("2")
        await driver.shows("=2+2")
        await driver.press("ctrl+s")
        await driver.shows("saved 123 tasks to")
    rows = saved_rows(tmp_path)
    assert len(rows) == 123
    row = next(row for row in rows if "2+2" in row["name"])
    assert (row["name"], row["queue"], row["priority"]) == ("'=2+2", 'a,"b', "5")


async def test_what_is_typed_in_one_burst_finds_the_prompt_open(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks")
        for line, found in ((":holds", "Nothing is held"), (":tasks", "134 tasks")):
            for character in line:
                driver.app.post_message(Key("colon" if character == ":" else character, character))
            driver.app.post_message(Key("enter", "\r"))
            await driver.shows(found)
        for key, character in (("slash", "/"), ("n", "n"), ("a", "a"), ("colon", ":"), ("x", "x")):
            driver.app.post_message(Key(key, character))
        driver.app.post_message(Key("enter", "\r"))
        await driver.until(lambda: driver.list.filter_text == "na:x" or "na" in driver.text())
        assert driver.app.current_mode == "tasks"
