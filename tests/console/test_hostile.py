"""What agents and producers write is harmless wherever it is shown."""

from __future__ import annotations

import unicodedata

import pytest
from rich.cells import cell_len
from tests.console.conftest import Open
from tests.console.driving import Driver
from tests.console.fleet import Fleet

from quarterdeck.v1 import audit_pb2, hold_pb2, payload_pb2, task_pb2, task_service_pb2
from quarterdeck_console.model.format import bar
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.text import MAX_LABEL, fit, sanitize, width, wrap

EVIL = {
    "escape": "\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07after",
    "c1": "\x9b31mred\x9d52;c;ZXZpbA==\x9cafter\x85\x90q\x9c",
    "markup": "[/x] [@click=app.quit]click[/] [link=file:///etc]x[/link] [bold",
    "wide": "漢字かな交じり文 한국어 ＡＢＣ 🎉👩‍👩‍👧‍👦🇩🇪",
    "combining": "Z" + "\u0301\u0302\u0303\u0304\u0305" * 200 + "algo",
    "lone mark": "\u0301\u0302start",
    "bidi": "\u202egnp.exe\u202c \u2066a\u2069 \u200f\u200eb\ufeff\u200b",
    "controls": "a\x00b\x07c\x08d\x0be\x0cf\rg\x7fh\ni\tj",
    "surrogates": "a\ufffdb",
    "megabyte": "x" * 1_000_000,
    "megabyte wide": "漢" * 300_000,
}


def harmless(text: str) -> bool:
    """No byte that a terminal obeys, nothing without a shape."""
    return all(unicodedata.category(char) not in {"Cc", "Cf", "Cs"} for char in text)


@pytest.mark.parametrize("name", EVIL)
def test_sanitised_text_has_nothing_that_a_terminal_obeys(name: str) -> None:
    clean = sanitize(EVIL[name])
    assert harmless(clean)
    assert len(clean) <= MAX_LABEL + 1


def test_an_escape_sequence_goes_as_a_whole() -> None:
    assert sanitize(EVIL["escape"]) == "red"
    assert sanitize(EVIL["clipboard"]) == "after"
    assert sanitize("plain [/x] text") == "plain [/x] text"


def test_lone_surrogates_go() -> None:
    assert sanitize("a\ud800b\udfffc") == "abc"


def test_surplus_combining_marks_go() -> None:
    assert sanitize(EVIL["combining"]) == "Z\u0301\u0302algo"


def test_line_breaks_stay_only_where_lines_are_wanted() -> None:
    assert sanitize("a\r\nb\tc", lines=True) == "a\nb    c"
    assert sanitize("a\r\nb\tc") == "a b c"


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("cells", [1, 2, 7, 40])
def test_fitted_text_takes_exactly_its_cells(name: str, cells: int) -> None:
    assert cell_len(fit(sanitize(EVIL[name]), cells)) == cells


@pytest.mark.parametrize("name", EVIL)
def test_wrapped_text_loses_nothing_but_spaces_and_stays_inside(name: str) -> None:
    clean = sanitize(EVIL[name])
    pieces = wrap(clean, 20)
    assert all(width(piece) <= 20 for piece in pieces)
    assert "".join(pieces).replace(" ", "") == clean.replace(" ", "")


def _poison_flow(fleet: Fleet, key: str, text: str) -> None:
    """The same into an explanation, a hold and an audit entry."""
    why = task_service_pb2.ExplainTaskResponse(summary=text, time_summary=text)
    why.obstacles.add(message=text, actor=text, task_ids=[text], agent_ids=[text])
    why.spans.add(phase=77)
    fleet.explanations[key] = why
    fleet.put(
        "hold",
        f"2:{text[:200]}",
        hold_pb2.Hold(kind=hold_pb2.HOLD_KIND_TASK_NAME, subject=text, actor=text, reason=text),
    )
    fleet.audit.append(
        audit_pb2.AuditEntry(
            id=f"audit_{len(fleet.audit)}",
            actor=text,
            action=text,
            reason=text,
            target=text,
            filter=text,
        )
    )


def poison(fleet: Fleet) -> list[str]:
    """Puts every evil text into every field that takes one."""
    keys = []
    frozen = hold_pb2.Hold(kind=hold_pb2.HOLD_KIND_NAMESPACE, actor=EVIL["bidi"])
    frozen.reason = EVIL["escape"] + EVIL["markup"]
    fleet.put("hold", f"{frozen.kind}:", frozen)
    for text in EVIL.values():
        failure = payload_pb2.Failure(type=text, message=text, stack_trace=f"{text}\n{text}")
        key = fleet.task(
            text, "FAILED", queue=text, reason=text, agent_id=text, labels={"team": text},
            failure=failure, group_key=text, required_labels={"gpu": text},
            attributes={"a": task_pb2.AttributeValue(text=text)}, rerun_of=text,
            preferred_agent_id=text, pause=task_pb2.TaskPause(actor=text, reason=text),
        )  # fmt: skip
        fleet.inputs[key] = text.encode("utf-8", "replace")
        fleet.results[key] = f'{{"a": "{text[:100]}"}}'.encode("utf-8", "replace")
        _poison_flow(fleet, key, text)
        fleet.attempts[key] = [task_pb2.Attempt(attempt=1, agent_id=text, failure=failure)]
        fleet.write_log(key, text, text)
        fleet.agent(text, text, hostname=text, queues=[text], labels={"a": text}, pool=text)
        fleet.queue(text[:200], counts={3: 1}, pause_note=text, paused=True)
        fleet.schedule(text[:200], text, task_name=text, pause_note=text)
        fleet.pool(text[:200], detail=text)
        keys.append(key)
    return keys


def assert_clean(driver: Driver, size: tuple[int, int]) -> None:
    """Nothing on the screen that a terminal obeys, and every line of the right width."""
    lines = driver.strips()
    for line in lines:
        text = "".join(piece for piece, _ in line)
        assert harmless(text), repr(text)
        assert sum(cells for _, cells in line) == size[0], repr(text)
        assert cell_len(text) == size[0], repr(text)
    assert len(lines) == size[1]


async def test_every_list_survives_hostile_text(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    poison(fleet)
    async with console(size) as driver:
        for key in "12345":
            await driver.press(key)
            await driver.ticked()
            await driver.until(lambda: driver.text().count("\n") == size[1] - 1)
            assert_clean(driver, size)
            await driver.press("j", "j", "j", "w" if key != "1" else "j")
            await driver.ticked()
            assert_clean(driver, size)
        for view in ("holds", "audit"):
            await driver.type(f":{view}")
            await driver.until(lambda: driver.list.table.row_count >= len(EVIL))
            for _ in range(4):
                await driver.press("j")
                await driver.ticked()
                assert_clean(driver, size)
        assert driver.app.is_running


async def test_every_section_of_a_task_survives_hostile_text(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    keys = poison(fleet)
    async with console(size) as driver:
        for key in (keys[0], keys[3], keys[4], keys[-1]):
            driver.app.open_task(key)
            await driver.shows("< > moves", "attempt 1")
            for _ in range(6):
                await driver.press("greater_than_sign")
                await driver.ticked()
                assert_clean(driver, size)
            await driver.press("escape")


@pytest.mark.parametrize(
    ("done", "total"),
    [(float("nan"), 1.0), (float("inf"), float("inf")), (-5.0, 1.0), (1e308, 1e-308), (5.0, 2.0)],
)
def test_an_agents_figures_cannot_break_a_bar(done: float, total: float) -> None:
    task = task_pb2.Task(id="task_1", state=task_pb2.TASK_STATE_RUNNING)
    task.progress.done, task.progress.total = done, total
    row = TaskRow.of(task)
    assert row.progress_share == -1.0 or 0.0 <= row.progress_share <= 1.0
    assert len(bar(row.progress_share, 1.0, 20)) == 20


async def test_markup_in_a_name_is_shown_and_never_obeyed(console: Open, fleet: Fleet) -> None:
    key = fleet.task("[@click=app.quit]x[/]", "READY")
    async with console() as driver:
        await driver.press("2")
        await driver.shows("[@click=ap")
        await driver.pilot.click("#table", offset=(14, 1))
        await driver.press("X")
        await driver.shows("please confirm", "[@click=app.quit]x[/]")
        await driver.pilot.click(".dialog-fact", offset=(2, 0))
        await driver.press("escape")
        assert driver.app.is_running
        assert key in fleet.items["task"]


async def test_a_refusal_that_quotes_hostile_text_is_shown_clean(
    console: Open, fleet: Fleet
) -> None:
    async with console() as driver:
        driver.app.say("refused: \x1b]52;c;ZXZpbA==\x07[/x] name")
        await driver.shows("refused: [/x] name")
        assert_clean(driver, (80, 24))
