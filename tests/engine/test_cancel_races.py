"""A cancel and the end of an attempt in one group: whichever comes first, both answers say what became of the task."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import cancellation_of
from quarterdeck_server.engine.states import CANCELLED, FAILED, RUNNING, SUCCEEDED, TaskState

from . import make
from .bench import Bench

ENDS: list[tuple[Any, int]] = [
    (make.succeed(b"result"), SUCCEEDED),
    (make.fail(final=True), FAILED),
    (c.StopCancelled("gave up"), CANCELLED),
]


@pytest.mark.parametrize(("outcome", "state"), ENDS)
def test_an_end_that_comes_first_is_told_to_the_canceller(
    bench: Bench, outcome: Any, state: int
) -> None:
    task = bench.running()
    report = make.report(task.id, task.lease_token, outcome)
    ((ended,), (asked,)) = bench.group(report, make.cancel(task.id))
    assert ended == c.ItemResult(state)
    assert asked.state == state == bench.task(task.id).state
    if state == CANCELLED:
        assert asked.refusal is None
    else:
        assert asked.refusal.reason == "WRONG_STATE"
        assert dict(asked.refusal.metadata)["state"] == TaskState(state).name
        assert bench.task(task.id).cancel is None, "it left no trace on the task"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(ENDS[0][0], SUCCEEDED), (ENDS[1][0], CANCELLED), (ENDS[2][0], CANCELLED)],
)
def test_a_cancel_that_comes_first_is_kept_with_its_proof(
    bench: Bench, outcome: Any, state: int
) -> None:
    task = bench.running()
    report = make.report(task.id, task.lease_token, outcome)
    ((asked,), (ended,)) = bench.group(make.cancel(task.id), report)
    assert asked == c.ItemResult(RUNNING), "the agent was to be told"
    assert ended == c.ItemResult(state)
    after = bench.task(task.id)
    proof = cancellation_of(after)
    assert after.state == state and proof is not None
    assert (proof.actor, proof.stop_time) == ("tester", bench.now)
    (again,) = bench.do(make.cancel(task.id))
    assert (again.refusal is None) == (state == CANCELLED)


@pytest.mark.parametrize("outcome", [make.fail(), c.Release("")])
def test_a_cancel_ends_what_would_have_been_tried_again(bench: Bench, outcome: Any) -> None:
    task = bench.running()
    report = make.report(task.id, task.lease_token, outcome)
    (_, (ended,)) = bench.group(make.cancel(task.id), report)
    assert ended == c.ItemResult(CANCELLED) and bench.task(task.id).state == CANCELLED


@pytest.mark.parametrize("outcome", [make.fail(retry_delay=0), c.Release("")])
def test_a_cancel_takes_out_of_line_what_is_to_be_tried_again(bench: Bench, outcome: Any) -> None:
    task = bench.running()
    report = make.report(task.id, task.lease_token, outcome)
    (_, (asked,)) = bench.group(report, make.cancel(task.id))
    assert asked == c.ItemResult(CANCELLED) and bench.claim() == []
