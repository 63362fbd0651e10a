"""The explanation of a task is true as long as it is shown."""

from __future__ import annotations

import pytest
from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet
from tests.console.speech import stamp

from quarterdeck.v1 import task_service_pb2
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Context
from quarterdeck_console.model.fleet import Fleet as Known
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.why import Why, brief_lines, why_lines
from quarterdeck_console.stream import detail_feed


def explained(fleet: Fleet, key: str, summary: str) -> task_service_pb2.ExplainTaskResponse:
    """What the server says of a task from now on."""
    answer = task_service_pb2.ExplainTaskResponse(summary=summary)
    fleet.explanations[key] = answer
    return answer


async def test_an_explanation_goes_on_while_the_task_does_not_change(
    console: Open, fleet: Fleet, size: tuple[int, int]
) -> None:
    key = fleet.task("slow", "RUNNING")
    why = explained(fleet, key, "attempt 1 runs for 3 s")
    async with console(size) as driver:
        await driver.type(f":task {key}")
        if size == SMALL:
            await driver.press("greater_than_sign")
        await driver.shows("runs for 3 s")
        why.summary = "attempt 1 runs for 4 s"
        await driver.shows("runs for 4 s")


async def test_only_an_explanation_that_is_shown_is_asked_for(
    console: Open, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_feed, "EXPLAIN", 0.0)
    key = fleet.task("slow", "RUNNING")
    explained(fleet, key, "attempt 1 runs")
    async with console() as driver:
        await driver.type(f":task {key}")
        await driver.shows("attempt 1", "timeline")
        assert fleet.calls["ExplainTask"] == 0
        await driver.press("greater_than_sign")
        await driver.until(lambda: fleet.calls["ExplainTask"] > 3)
        await driver.press("greater_than_sign")
        await driver.ticked()
        asked = fleet.calls["ExplainTask"]
        for _ in range(10):
            await driver.ticked()
        assert fleet.calls["ExplainTask"] <= asked + 1
        await driver.press("less_than_sign")
        await driver.until(lambda: fleet.calls["ExplainTask"] > asked + 3)


async def test_what_has_ended_is_explained_anew_only_when_it_changes(
    console: Open, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_feed, "EXPLAIN", 0.0)
    key = fleet.task("slow", "FAILED")
    why = explained(fleet, key, "its only attempt failed")
    async with console(LARGE) as driver:
        await driver.type(f":task {key}")
        await driver.shows("its only attempt failed")
        for _ in range(10):
            await driver.ticked()
        # At the opening, and once more for the state that the watch begins with.
        assert fleet.calls["ExplainTask"] <= 2
        why.summary = "it is next"
        fleet.change_task(key, "READY")
        await driver.shows("it is next")


@pytest.mark.parametrize(
    ("state", "old", "shown"),
    [(words.RUNNING, 2.0, False), (words.RUNNING, 41.0, True), (words.FAILED, 41.0, False)],
)
def test_an_old_explanation_says_of_when_it_is(state: int, old: float, shown: bool) -> None:
    answer = task_service_pb2.ExplainTaskResponse(summary="attempt 1 runs for 3 s")
    answer.task.state = state  # type: ignore[assignment]
    context = Context(Known(), 1_000.0)
    why = Why.of(answer, context.now - old)
    for lines in (why_lines(why, context, 60), brief_lines(why, context, 60)):
        assert ("as it was 41s ago" in _text(lines)) == shown


def test_bars_are_not_behind_the_words_beside_them() -> None:
    answer = task_service_pb2.ExplainTaskResponse(summary="runs", time_summary="of 36 s")
    span = answer.spans.add(phase=task_service_pb2.LIFE_PHASE_READY)
    stamp(span.start_time, 964.0)
    assert "36s" in _text(why_lines(Why.of(answer, 1_000.0), Context(Known(), 999.1), 60))


def _text(lines: list[Line]) -> str:
    return "\n".join("".join(piece.text for piece in line) for line in lines)
