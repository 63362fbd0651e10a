"""Every state and what may happen in it, by example; on dicts and on SQLite."""

from __future__ import annotations

import json

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Progress, Task
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.retry import backoff
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    ENDED,
    EXPIRED,
    FAILED,
    FOLLOWERS,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    Outcome,
    Reason,
    TaskState,
)

from . import make
from .bench import Bench
from .make import NOW, SECOND

ONCE = Policy(max_attempts=1)
STEADY = Policy(initial_backoff=10 * SECOND, jitter=0.0)


def _reach(bench: Bench, state: int) -> Task:
    """A task in a state."""
    if state == BLOCKED:
        first = bench.one(make.spec(queue="elsewhere"))
        return bench.task(bench.one(make.spec(depends_on=(first,))))
    if state == SCHEDULED:
        return bench.task(bench.one(make.spec(delay=60 * SECOND)))
    if state == READY:
        return bench.task(bench.one())
    if state == EXPIRED:
        task_id = bench.one(make.spec(policy=Policy(schedule_to_start=SECOND)))
        bench.pass_time(1)
        return bench.task(task_id)
    running = bench.running(make.spec(policy=ONCE))
    if state == RUNNING:
        return running
    if state == SUCCEEDED:
        return bench.end(running, make.succeed())
    if state == FAILED:
        return bench.end(running, make.fail())
    return bench.end(running, c.StopCancelled("gave up"))


LIVING = (BLOCKED, SCHEDULED, READY, RUNNING)
REACHABLE = (*LIVING, SUCCEEDED, FAILED, CANCELLED, EXPIRED)


@pytest.mark.parametrize("state", REACHABLE)
def test_a_task_gets_to_its_state(bench: Bench, state: int) -> None:
    assert _reach(bench, state).state == state


@pytest.mark.parametrize("state", REACHABLE)
def test_cancel(bench: Bench, state: int) -> None:
    task = _reach(bench, state)
    (result,) = bench.do(make.cancel(task.id))
    after = bench.task(task.id)
    if state in (BLOCKED, SCHEDULED, READY):
        assert (result.state, after.state, after.reason) == (
            CANCELLED,
            CANCELLED,
            Reason.CANCEL_REQUESTED,
        )
    elif state == RUNNING:
        assert result == c.ItemResult(RUNNING) and after.state == RUNNING and after.cancel
    elif state == CANCELLED:
        assert result == c.ItemResult(CANCELLED) and after == task
    else:
        assert result.refusal.reason == "WRONG_STATE" and after == task
        assert ("state", TaskState(state).name) in result.refusal.metadata


@pytest.mark.parametrize("state", REACHABLE)
def test_retry(bench: Bench, state: int) -> None:
    task = _reach(bench, state)
    (result,) = bench.do(make.retry(task.id))
    after = bench.task(task.id)
    if state in (FAILED, CANCELLED, EXPIRED):
        assert result == c.ItemResult(READY)
        assert (after.state, after.end_time, after.cancel, after.crashes) == (READY, None, None, 0)
        assert after.max_attempts == task.attempt + (3 if state == EXPIRED else 1)
    else:
        assert result.refusal.reason == "WRONG_STATE" and after == task


@pytest.mark.parametrize("state", REACHABLE)
def test_a_report_without_the_lease(bench: Bench, state: int) -> None:
    task = _reach(bench, state)
    (result,) = bench.do(make.report(task.id, 999, make.succeed()))
    assert result.refusal.reason == "LEASE_LOST"
    assert bench.task(task.id) == task


@pytest.mark.parametrize("state", REACHABLE)
def test_a_lease_that_is_lost(bench: Bench, state: int) -> None:
    task = _reach(bench, state)
    bench.do(c.Expire([(task.id, task.lease_token or 999)]))
    assert (bench.task(task.id) == task) == (state != RUNNING)


@pytest.mark.parametrize("state", REACHABLE)
def test_only_ready_tasks_are_claimed(bench: Bench, state: int) -> None:
    task = _reach(bench, state)
    assert [one.id for one in bench.claim(max_tasks=9)] == ([task.id] if state == READY else [])


def test_an_ended_state_is_left_only_by_a_retry() -> None:
    assert all(FOLLOWERS[state] <= {READY} for state in ENDED)
    assert FOLLOWERS.keys() == set(TaskState)


def test_a_success_ends_the_task_with_its_result(bench: Bench) -> None:
    task = bench.end(bench.running(), make.succeed(b"42"))
    assert (task.state, task.lease_token, task.end_time) == (SUCCEEDED, None, NOW)
    assert bench.driver.results[task.id].data == b"42"
    assert bench.driver.attempts[task.id, 1].outcome == Outcome.SUCCEEDED
    assert bench.driver.queues["default", "default"].succeeded_total == 1


def test_a_failure_waits_for_its_backoff(bench: Bench) -> None:
    task = bench.end(bench.running(make.spec(policy=STEADY)), make.fail())
    assert (task.state, task.reason, task.run_at) == (SCHEDULED, "BACKOFF", NOW + 10 * SECOND)
    bench.pass_time(9.9)
    assert bench.task(task.id).state == SCHEDULED
    bench.pass_time(0.1)
    (again,) = bench.claim()
    assert (again.id, again.attempt, again.reason) == (task.id, 2, None)
    assert again.error_type == "ValueError", "what went wrong last stays to be seen"


def test_the_last_failure_ends_the_task(bench: Bench) -> None:
    task = bench.end(bench.running(make.spec(policy=ONCE)), make.fail())
    assert (task.state, task.reason) == (FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert (task.error_type, task.error_message) == ("ValueError", "it went wrong")


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        (None, make.fail(final=True)),
        (Policy(non_retryable_types=("Fatal",)), make.fail("Fatal")),
    ],
)
def test_what_cannot_be_helped_is_not_tried_again(
    bench: Bench, policy: Policy | None, outcome: c.Fail
) -> None:
    task = bench.end(bench.running(make.spec(policy=policy)), outcome)
    assert (task.state, task.attempt, task.reason) == (FAILED, 1, Reason.NON_RETRYABLE)


def test_a_report_may_say_when_to_try_again(bench: Bench) -> None:
    task = bench.end(bench.running(), make.fail(retry_delay=7 * SECOND))
    assert task.run_at == NOW + 7 * SECOND
    other = bench.end(bench.running(), make.fail(retry_delay=0))
    assert other.state == READY


def test_a_released_attempt_costs_nothing(bench: Bench) -> None:
    task = bench.running(make.spec(policy=ONCE))
    for number in range(1, 4):
        assert task.attempt == number
        assert bench.end(task, c.Release("stopping")).state == READY
        (task,) = bench.claim()
    assert bench.end(task, make.fail()).state == FAILED


def test_a_lost_lease_costs_an_attempt_and_needs_no_backoff(bench: Bench) -> None:
    task = bench.running()
    bench.do(c.Expire([(task.id, task.lease_token or 0)]))
    after = bench.task(task.id)
    assert (after.state, after.attempt, after.crashes, after.error_type) == (
        READY,
        1,
        1,
        "LEASE_LOST",
    )
    assert bench.driver.attempts[task.id, 1].outcome == Outcome.LOST


def test_a_task_that_kills_its_agents_is_poison(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(max_attempts=10, max_crashes=2)))
    bench.do(c.Expire([(task.id, task.lease_token or 0)]))
    (task,) = bench.claim()
    bench.do(c.Expire([(task.id, task.lease_token or 0)]))
    after = bench.task(task.id)
    assert (after.state, after.reason, after.attempt) == (FAILED, Reason.POISON, 2)


def test_a_long_error_is_cut_on_the_row_and_whole_at_the_attempt(bench: Bench) -> None:
    task = bench.running(make.spec(policy=ONCE))
    outcome = make.fail()
    long = outcome._replace(failure=outcome.failure._replace(message="x" * 1000))
    assert len(bench.end(task, long).error_message or "") == 256
    assert len(bench.driver.attempts[task.id, 1].error_message or "") == 1000


class TestLimits:
    """Limits of time, each with a named end."""

    def _after(self, bench: Bench, seconds: float, policy: Policy, *, claim: bool = True) -> Task:
        task_id = (
            bench.running(make.spec(policy=policy)).id
            if claim
            else bench.one(make.spec(policy=policy))
        )
        bench.pass_time(seconds - 0.1)
        before = bench.task(task_id)
        assert before.state == (RUNNING if claim else READY), "not early"
        bench.pass_time(0.1)
        return bench.task(task_id)

    def test_time_to_start(self, bench: Bench) -> None:
        task = self._after(bench, 5, Policy(schedule_to_start=5 * SECOND), claim=False)
        assert (task.state, task.reason) == (EXPIRED, Reason.SCHEDULE_TO_START_TIMEOUT)

    def test_time_to_start_is_of_no_matter_after_the_start(self, bench: Bench) -> None:
        task = bench.running(make.spec(policy=Policy(schedule_to_start=5 * SECOND)))
        bench.pass_time(60)
        assert bench.task(task.id).state == RUNNING

    def test_time_of_an_attempt(self, bench: Bench) -> None:
        policy = Policy(attempt_timeout=5 * SECOND, initial_backoff=0)
        task = self._after(bench, 5, policy)
        assert (task.state, task.error_type) == (READY, "ATTEMPT_TIMEOUT")
        assert "5 s" in (task.error_message or "")
        assert bench.driver.attempts[task.id, 1].outcome == Outcome.REVOKED

    def test_time_of_all_attempts_while_running(self, bench: Bench) -> None:
        task = self._after(bench, 5, Policy(task_timeout=5 * SECOND))
        assert (task.state, task.reason) == (FAILED, Reason.TASK_TIMEOUT)

    def test_time_of_all_attempts_while_waiting(self, bench: Bench) -> None:
        task = self._after(bench, 5, Policy(task_timeout=5 * SECOND), claim=False)
        assert (task.state, task.reason) == (FAILED, Reason.TASK_TIMEOUT)

    def test_a_stalled_attempt(self, bench: Bench) -> None:
        policy = Policy(stall_timeout=5 * SECOND, max_attempts=1)
        task = bench.running(make.spec(policy=policy))
        bench.pass_time(4)
        moved = Progress("half", 0.5, 1.0, bench.now)
        bench.do(c.RecordBeats([c.Beat(task.id, task.lease_token or 0, moved)]))
        bench.pass_time(4.9)
        assert bench.task(task.id).state == RUNNING
        bench.pass_time(0.1)
        after = bench.task(task.id)
        assert (after.state, after.error_type) == (FAILED, "STALLED")

    def test_a_delay_is_never_cut_short(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(delay=5 * SECOND))
        bench.pass_time(4.999999)
        assert bench.claim() == []
        bench.pass_time(0.000001)
        assert [task.id for task in bench.claim()] == [task_id]


class TestDelayOfABudget:
    """The delay grows with the attempts that were used, of the budget at hand."""

    POLICY = Policy(delays=(SECOND, 60 * SECOND, 3600 * SECOND), jitter=0.0, max_attempts=3)

    def _fail(self, bench: Bench) -> float:
        """Claim and fail; the seconds until the next attempt."""
        (task,) = bench.claim()
        after = bench.end(task, make.fail())
        delay = (after.run_at - bench.now) / SECOND
        if after.state == SCHEDULED:
            bench.pass_time(delay)
        return delay

    def test_what_was_given_back_makes_it_no_longer(self, bench: Bench) -> None:
        bench.one(make.spec(policy=self.POLICY))
        for _ in range(4):
            (task,) = bench.claim()
            bench.end(task, c.Release("stopping"))
        assert [self._fail(bench), self._fail(bench)] == [1, 60]

    def test_a_retry_by_an_operator_begins_with_the_first(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(policy=self.POLICY))
        for _ in range(3):
            self._fail(bench)
        assert bench.task(task_id).state == FAILED
        bench.do(c.Retry("default", [task_id]))
        assert [self._fail(bench), self._fail(bench)] == [1, 60]

    def test_an_update_of_the_policy_leaves_what_was_used(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(policy=self.POLICY))
        self._fail(bench)
        (task,) = bench.claim()
        change = c.TaskChange(retry=self.POLICY._replace(max_attempts=9))
        bench.do(c.UpdateTasks("default", [task_id], change))
        assert bench.end(task, make.fail()).run_at - bench.now == 60 * SECOND


class TestBackoff:
    """min(max, initial * factor ^ (attempt - 1)), spread by the jitter."""

    def test_it_grows_to_its_limit(self) -> None:
        policy = Policy(initial_backoff=SECOND, max_backoff=10 * SECOND, jitter=0.0)
        delays = [backoff(policy, attempt, 7) // SECOND for attempt in range(1, 7)]
        assert delays == [1, 2, 4, 8, 10, 10]

    def test_a_list_of_delays_stands_instead_and_its_last_is_repeated(self) -> None:
        policy = Policy(delays=(SECOND, 5 * SECOND, 0), jitter=0.0)
        assert [backoff(policy, n, 7) for n in range(1, 6)] == [SECOND, 5 * SECOND, 0, 0, 0]
        spread = policy._replace(jitter=0.5)
        assert 2.5 * SECOND <= backoff(spread, 2, 7) <= 7.5 * SECOND
        assert backoff(spread, 2, 7) != 5 * SECOND

    def test_a_huge_attempt_number_is_no_error(self) -> None:
        assert backoff(Policy(jitter=0.0), 1_000_000, 7) == Policy().max_backoff

    def test_jitter_spreads_tasks_and_is_the_same_each_time(self) -> None:
        policy = Policy(initial_backoff=SECOND)
        delays = [backoff(policy, 1, seed) for seed in range(500)]
        assert delays == [backoff(policy, 1, seed) for seed in range(500)]
        assert len(set(delays)) > 490
        assert 0.8 * SECOND <= min(delays) < 0.82 * SECOND
        assert 1.18 * SECOND < max(delays) <= 1.2 * SECOND


def test_what_the_row_keeps_is_json(bench: Bench) -> None:
    task = bench.running()
    moved = Progress("<b>\x1b[31m", 1.0, 2.0, NOW)
    bench.do(c.RecordBeats([c.Beat(task.id, task.lease_token or 0, moved)]))
    assert json.loads(bench.task(task.id).progress or "") == ["<b>\x1b[31m", 1.0, 2.0, NOW, 0]
