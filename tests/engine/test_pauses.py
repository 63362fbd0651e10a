"""Pauses of running tasks: steps with proof, and time limits that stand still meanwhile."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Progress, Task, cancellation_of, pause_of
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import CANCELLED, FAILED, READY, RUNNING, SUCCEEDED, Reason

from . import make
from .bench import Bench
from .make import SECOND

LIMITS = {
    "attempt": Policy(attempt_timeout=10 * SECOND, max_attempts=1),
    "stall": Policy(stall_timeout=10 * SECOND, max_attempts=1),
    "task": Policy(task_timeout=10 * SECOND),
}


def pause(bench: Bench, task: Task, namespace: str = "default") -> c.ItemResult:
    """Ask for a pause."""
    (result,) = bench.do(c.PauseTasks(namespace, [task.id], "look at it", "ops"))
    assert isinstance(result, c.ItemResult)
    return result


def resume(bench: Bench, task: Task) -> c.ItemResult:
    """End a pause."""
    (result,) = bench.do(c.ResumeTasks("default", [task.id]))
    assert isinstance(result, c.ItemResult)
    return result


def beat(bench: Bench, task: Task, **says: object) -> Task:
    """Take down what a heartbeat says of a task; return the task as it is then."""
    bench.do(c.RecordBeats([c.Beat(task.id, task.lease_token or 0, **says)]))  # type: ignore[arg-type]
    return bench.task(task.id)


def paused(bench: Bench, policy: Policy | None = None) -> Task:
    """A running task whose agent said that it stands still."""
    task = bench.running(make.spec(policy=policy))
    assert pause(bench, task).refusal is None
    return beat(bench, task, pause_acknowledged=True)


def test_a_pause_has_proof_of_every_step(bench: Bench) -> None:
    task = bench.running()
    asked = bench.now
    assert pause(bench, task) == c.ItemResult(RUNNING)
    bench.pass_time(1)
    beat(bench, task, pause_delivered=True)
    bench.pass_time(1)
    proof = pause_of(beat(bench, task, pause_acknowledged=True))
    assert proof == (asked, "ops", "look at it", asked + SECOND, asked + 2 * SECOND)
    bench.pass_time(1)
    again = beat(bench, task, pause_delivered=True, pause_acknowledged=True)
    assert pause_of(again) == proof, "each step is recorded once"


def test_a_second_pause_keeps_the_proof_of_the_first(bench: Bench) -> None:
    task = paused(bench)
    bench.pass_time(1)
    assert pause(bench, task).refusal is None
    assert bench.task(task.id).pause == task.pause


def test_only_a_running_task_that_is_not_cancelled_can_be_paused(bench: Bench) -> None:
    waiting = bench.task(bench.one())
    refusal = pause(bench, waiting).refusal
    assert refusal is not None and refusal.reason == "WRONG_STATE"
    (task,) = bench.claim()
    bench.do(make.cancel(task.id))
    refusal = pause(bench, task).refusal
    assert refusal is not None and refusal.reason == "WRONG_STATE"


def test_a_pause_does_not_reach_other_namespaces(bench: Bench) -> None:
    task = bench.running()
    refusal = pause(bench, task, "other").refusal
    assert refusal is not None and refusal.reason == "TASK_NOT_FOUND"
    assert bench.task(task.id).pause is None


def test_a_task_that_is_not_paused_cannot_be_resumed(bench: Bench) -> None:
    task = bench.running()
    result = resume(bench, task)
    assert result.state == RUNNING
    assert result.refusal is not None and result.refusal.reason == "WRONG_STATE"


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_stands_still_during_an_acknowledged_pause(bench: Bench, limit: str) -> None:
    task = bench.running(make.spec(policy=LIMITS[limit]))
    bench.pass_time(4)
    pause(bench, task)
    beat(bench, task, pause_acknowledged=True)
    bench.pass_time(100)
    assert bench.task(task.id).state == RUNNING
    assert resume(bench, task) == c.ItemResult(RUNNING)
    bench.pass_time(5.9)
    assert bench.task(task.id).state == RUNNING
    bench.pass_time(0.2)
    assert bench.task(task.id).state == FAILED


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_goes_on_until_the_pause_is_acknowledged(bench: Bench, limit: str) -> None:
    task = bench.running(make.spec(policy=LIMITS[limit]))
    pause(bench, task)
    beat(bench, task, pause_delivered=True)
    bench.pass_time(10)
    after = bench.task(task.id)
    assert (after.state, after.pause) == (FAILED, None)


def test_two_pauses_add_up(bench: Bench) -> None:
    task = bench.running(make.spec(policy=LIMITS["stall"]))
    beat(bench, task, progress=Progress("", 1, 2, bench.now))
    for _ in range(2):
        pause(bench, task)
        beat(bench, task, pause_acknowledged=True)
        bench.pass_time(30)
        resume(bench, task)
        bench.pass_time(4.5)
    assert bench.task(task.id).state == RUNNING
    bench.pass_time(1)
    assert bench.task(task.id).state == FAILED


def test_progress_after_a_pause_begins_the_stall_limit_anew(bench: Bench) -> None:
    task = paused(bench, LIMITS["stall"])
    bench.pass_time(30)
    resume(bench, task)
    beat(bench, task, progress=Progress("", 1, 2, bench.now))
    bench.pass_time(9.9)
    assert bench.task(task.id).state == RUNNING
    bench.pass_time(0.2)
    assert bench.task(task.id).state == FAILED


def test_a_cancel_ends_a_pause_and_its_grace_runs(bench: Bench) -> None:
    task = paused(bench, Policy(cancel_grace=3 * SECOND))
    bench.do(make.cancel(task.id))
    assert bench.task(task.id).pause is None
    beat(bench, task, delivered=True)
    bench.pass_time(3)
    after = bench.task(task.id)
    assert (after.state, after.reason) == (CANCELLED, Reason.CANCEL_ESCALATED)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(make.succeed(), SUCCEEDED), (c.Release(""), READY), (c.StopCancelled(""), CANCELLED)],
)
def test_a_report_ends_a_pause(bench: Bench, outcome: c.Release, state: int) -> None:
    after = bench.end(paused(bench), outcome)
    assert (after.state, after.pause) == (state, None)


def test_a_lost_lease_ends_a_pause_and_the_task_limit_moves(bench: Bench) -> None:
    task = paused(bench, LIMITS["task"])
    bench.pass_time(30)
    bench.do(c.Expire([(task.id, task.lease_token or 0)]))
    after = bench.task(task.id)
    assert (after.state, after.pause) == (READY, None)
    assert after.task_deadline == (task.task_deadline or 0) + 30 * SECOND


def test_a_report_of_a_cancel_acknowledges_it(bench: Bench) -> None:
    task = bench.running()
    bench.do(make.cancel(task.id))
    delivered = beat(bench, task, delivered=True)
    bench.pass_time(1)
    proof = cancellation_of(bench.end(delivered, c.StopCancelled("")))
    assert proof is not None
    assert proof.acknowledge_time == proof.stop_time == bench.now


def test_a_report_does_not_acknowledge_a_cancel_that_was_not_delivered(bench: Bench) -> None:
    task = bench.running()
    bench.do(make.cancel(task.id))
    proof = cancellation_of(bench.end(task, c.StopCancelled("")))
    assert proof is not None
    assert (proof.acknowledge_time, proof.stop_time) == (None, bench.now)
