"""Each screen at both sizes, driven by keys."""

from __future__ import annotations

from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet

VIEWS = {
    "1": ("needs attention", "activity", "crow-0004", "TimeoutError"),
    "2": ("digest", "134 tasks", "running"),
    "3": ("crow-0004", "✗ lost", "4 agents"),
    "4": ("hourly-digest", "0 * * * *", "3 schedules"),
    "5": ("research", "‖ paused", "3 queues"),
}


async def test_each_view_shows_the_fleet_and_fills_the_screen_exactly(
    console: Open, size: tuple[int, int]
) -> None:
    async with console(size) as driver:
        for key, texts in VIEWS.items():
            await driver.press(key)
            await driver.shows(*texts)
            lines = driver.strips()
            assert len(lines) == size[1]
            assert {sum(width for _, width in line) for line in lines} == {size[0]}


async def test_the_inspector_stands_beside_the_tasks_only_where_there_is_room(
    console: Open, fleet: Fleet
) -> None:
    async with console(SMALL) as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        assert "priority 5" not in driver.text()
    async with console(LARGE) as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "priority 5", '"source": "arxiv"')
        await driver.press("i")
        await driver.until(lambda: "priority 5" not in driver.text())


async def test_a_task_opens_with_its_course_its_error_and_its_log(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    failed = next(key for key, task in fleet.items["task"].items() if task.state == 7)
    fleet.write_log(failed, "retry budget 1/5 left", level="warning")
    async with console(size) as driver:
        await driver.type(f":task {failed}")
        await driver.shows("fetch-papers", "✗ failed", "attempt 3", "TimeoutError")
        await driver.press("greater_than_sign")
        await driver.shows("Nothing keeps it.")
        await driver.press("greater_than_sign")
        await driver.shows("WARN  retry budget 1/5 left")
        await driver.press("greater_than_sign")
        await driver.shows('"source": "arxiv"')
        await driver.press("greater_than_sign")
        await driver.shows('File "fetch.py", line 7')
        await driver.press("escape")
        await driver.shows("needs attention")


async def test_a_log_is_followed_until_the_reader_scrolls_away(console: Open, fleet: Fleet) -> None:
    key = fleet.task("long", "RUNNING")
    fleet.write_log(key, *(f"line {number}" for number in range(60)))
    async with console(SMALL) as driver:
        await driver.type(f":logs {key}")
        await driver.shows("line 59", "following")
        fleet.write_log(key, "line 60")
        await driver.shows("line 60")
        await driver.press("g")
        await driver.shows("line 0", "F follows")
        fleet.write_log(key, "line 61")
        await driver.shows("1 newer")
        assert "line 61" not in driver.text()
        await driver.press("F")
        await driver.shows("line 61", "following")


async def test_a_search_in_a_log_moves_to_the_matches(console: Open, fleet: Fleet) -> None:
    key = fleet.task("long", "RUNNING")
    fleet.write_log(key, *("needle" if number in (3, 90) else "hay" for number in range(120)))
    async with console(SMALL) as driver:
        await driver.type(f":logs {key}")
        await driver.shows("120 lines")
        await driver.press("g", "slash")
        await driver.type("needle")
        await driver.shows("2 matches; n and N move", "needle")
        await driver.press("n")
        await driver.until(lambda: driver.app.screen.query_one("#log").scroll_offset.y == 90)


async def test_a_filter_goes_to_the_server_and_esc_clears_it(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.filtered("state:failed", "1 task\n", "filter state:failed", "✗ failed")
        await driver.press("escape")
        await driver.shows("134 tasks", "0000003r")
        assert "filter" not in driver.text().splitlines()[-2]


async def test_a_wrong_filter_is_refused_with_its_position_and_changes_nothing(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.filtered("state:ready colour:red", "unknown field 'colour'")
        assert driver.app.focused.cursor_position == len("state:ready ")  # type: ignore[union-attr]
        await driver.press("escape")
        await driver.shows("134 tasks", "0000003r")


async def test_problems_only_asks_the_server_for_them(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2", "exclamation_mark")
        await driver.shows("problems only", "1 task\n")
        assert driver.tasks.feed.filter == "state:failed,expired"


async def test_the_server_sorts_the_tasks(console: Open, fleet: Fleet) -> None:
    async with console() as driver:

        def names() -> list[str]:
            table = driver.tasks.table
            return [table.row(key).name for key in table.ids]  # type: ignore[union-attr]

        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("N")
        await driver.shows("by name ↑")
        # The rows of the old order stay until those of the new one are there.
        await driver.until(lambda: names() and names() == sorted(names()))
        await driver.press("O")
        await driver.shows("by name ↓", "triage")


async def test_the_sort_menu_offers_what_the_server_can_sort_by(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("o")
        await driver.shows("sort by", "name", "state", "age")
        await driver.press("k", "enter")
        await driver.until(lambda: driver.tasks.sorted_by != "age")


async def test_an_empty_fleet_says_what_to_do() -> None:
    from tests.console.driving import Driver

    from quarterdeck_console.app import ConsoleApp

    empty = Fleet()
    address = await empty.start()
    app = ConsoleApp(address)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.shows("All quiet: nothing needs you", "no agents yet")
        await driver.press("2")
        await driver.shows("No tasks yet: submit one with n")
        await driver.press("3")
        await driver.shows("No agents: start one with")
    await empty.stop()


async def test_help_lists_the_live_keys_with_remapped_ones(console: Open, fleet: Fleet) -> None:
    async with console(LARGE, {"task.retry": "ctrl+y"}) as driver:
        await driver.press("2", "question_mark")
        await driver.shows("help: tasks", "^y", "retry", "cancel (asks)", "mark range")
        await driver.press("escape")
        await driver.shows("134 tasks", "0000003r")


async def test_help_tells_the_filters_of_its_own_list(console: Open, fleet: Fleet) -> None:
    said = {
        "1": "",
        "2": "state:failed,expired",
        "3": "!state:a",
        "4": "zone:",
        "5": "paused:yes",
    }
    async with console(LARGE) as driver:
        for view, text in said.items():
            await driver.press(view, "question_mark")
            await driver.shows("esc closes", text)
            assert ("FILTER" in driver.text()) == bool(text)
            await driver.press("escape")
            await driver.until(lambda: "esc closes" not in driver.text())


async def test_the_command_line_goes_places_completes_and_complains(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        await driver.press("colon", "s", "c", "h", "tab", "enter")
        await driver.shows("3 schedules")
        await driver.press("colon")
        await driver.type("tasks state:failed")
        await driver.shows("1 task\n", "filter state:failed")
        await driver.press("colon")
        await driver.type("nonsense")
        await driver.shows("no command 'nonsense' here")


async def test_the_palette_offers_the_actions_of_the_screen(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("ctrl+p", *"problems", "enter")
        await driver.shows("problems only")


async def test_enter_on_a_queue_shows_its_tasks(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("5")
        await driver.shows("3 queues")
        await driver.press("j", "j", "enter")
        await driver.shows("filter queue:research")


async def test_frozen_nothing_moves_and_thawed_it_catches_up(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("P")
        await driver.shows("‖ held still")
        seen = driver.tasks.feed.window.version
        key = fleet.task("newcomer")
        await driver.until(lambda: driver.tasks.feed.window.version > seen)
        assert "newcomer" not in driver.text()
        await driver.press("P")
        await driver.shows("newcomer", "● live")
        assert driver.tasks.table.ids[0] == key


async def test_q_quits_only_at_the_top(console: Open, fleet: Fleet) -> None:
    async with console() as driver:
        await driver.press("2")
        await driver.shows("134 tasks", "0000003r")
        await driver.press("enter")
        await driver.shows("< > moves")
        await driver.press("q")
        await driver.shows("134 tasks", "0000003r")
        assert driver.app.is_running
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running or driver.app._exit)
