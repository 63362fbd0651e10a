"""Changing tasks that have not ended; on dicts and on SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.policy import Policy, policy_of
from quarterdeck_server.engine.states import (
    BLOCKED,
    EXPIRED,
    FAILED,
    READY,
    RUNNING,
    SCHEDULED,
)

from . import make
from .bench import Bench
from .make import NOW, SECOND


def change(bench: Bench, task_id: int, **fields: Any) -> c.ItemResult:
    command = c.UpdateTasks("default", [task_id], c.TaskChange(**fields))
    result: c.ItemResult = bench.do(command)[0]
    return result


class TestWaiting:
    """Everything may be changed."""

    def test_a_higher_priority_is_handed_out_first(self, bench: Bench) -> None:
        bench.one()
        second = bench.one()
        assert change(bench, second, priority=9) == (READY, None)
        assert [task.id for task in bench.claim()] == [second]

    def test_a_time_to_come_postpones_and_one_that_passed_makes_ready(self, bench: Bench) -> None:
        task_id = bench.one()
        assert change(bench, task_id, delay=60 * SECOND).state == SCHEDULED
        assert bench.task(task_id).run_at == NOW + 60 * SECOND
        assert not bench.claim()
        bench.pass_time(5)
        assert change(bench, task_id, run_at=NOW - SECOND).state == READY
        assert bench.task(task_id).run_at == bench.now, "nobody jumps the line by an old time"
        assert len(bench.claim()) == 1

    def test_a_postponed_task_is_ready_in_time(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(delay=5 * SECOND))
        change(bench, task_id, run_at=NOW + 9 * SECOND)
        bench.pass_time(8)
        assert bench.task(task_id).state == SCHEDULED
        bench.pass_time(1)
        assert bench.task(task_id).state == READY

    def test_the_time_to_start_counts_from_the_new_start(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(policy=Policy(schedule_to_start=2 * SECOND)))
        change(bench, task_id, delay=10 * SECOND)
        bench.pass_time(11.9)
        assert bench.task(task_id).state == READY
        bench.pass_time(0.1)
        assert bench.task(task_id).state == EXPIRED

    def test_a_blocked_task_keeps_its_new_time(self, bench: Bench) -> None:
        first = bench.running()
        task_id = bench.one(make.spec(depends_on=(first.id,)))
        assert change(bench, task_id, delay=9 * SECOND).state == BLOCKED
        bench.end(first, make.succeed())
        assert bench.task(task_id).state == SCHEDULED

    def test_another_queue_is_made_and_the_counts_move_along(self, bench: Bench) -> None:
        task_id = bench.one()
        change(bench, task_id, queue="new")
        queues = bench.driver.queues
        assert queues["default", "default"].counts == ()
        assert queues["default", "new"].counts == (("work", READY, 1),)
        assert not bench.claim()
        claim = make.claim(profile=c.Profile("default", ("new",), None))
        bench.group(claims=[claim])
        assert [task.id for task in claim.taken] == [task_id]

    def test_a_move_and_a_delay_at_once_count_once(self, bench: Bench) -> None:
        task_id = bench.one()
        change(bench, task_id, queue="new", delay=SECOND, priority=1)
        queues = bench.driver.queues
        assert queues["default", "default"].counts == ()
        assert queues["default", "new"].counts == (("work", SCHEDULED, 1),)

    def test_labels_are_set_and_removed(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(labels='{"a":"1","b":"2"}'))
        change(bench, task_id, labels=(("b", ""), ("c", "3")))
        assert bench.task(task_id).labels == '{"a":"1","c":"3"}'
        change(bench, task_id, labels=(("a", ""), ("c", "")))
        assert bench.task(task_id).labels is None

    def test_too_many_labels_are_refused(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(labels='{"a":"1"}'))
        result = change(bench, task_id, labels=tuple((f"l{n}", "x") for n in range(64)))
        assert result.refusal is not None and result.refusal.reason == "INVALID_FIELD"
        assert bench.task(task_id).labels == '{"a":"1"}'

    def test_what_is_so_already_is_no_change(self, bench: Bench) -> None:
        task_id = bench.one()
        before = bench.task(task_id)
        assert change(bench, task_id, priority=5, queue="default").refusal is None
        assert bench.task(task_id) == before


class TestPolicies:
    """Retry and time limits, also of running tasks."""

    def test_only_what_was_named_is_another(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(policy=Policy(max_attempts=5, task_timeout=9 * SECOND)))
        change(bench, task_id, retry=Policy(delays=(SECOND,), jitter=0.0))
        task = bench.task(task_id)
        wanted = Policy(delays=(SECOND,), jitter=0.0, task_timeout=9 * SECOND)
        assert policy_of(task.policy) == wanted
        assert task.max_attempts == 3
        assert task.task_deadline == NOW + 9 * SECOND

    def test_fewer_attempts_never_take_the_one_that_runs(self, bench: Bench) -> None:
        task = bench.running(make.spec(policy=Policy(delays=(0,), jitter=0.0)))
        bench.end(task, make.fail())
        (task,) = bench.claim()
        assert change(bench, task.id, retry=Policy(max_attempts=1)).state == RUNNING
        assert bench.task(task.id).max_attempts == 2
        assert bench.end(task, make.fail()).state == FAILED

    def test_fewer_attempts_leave_a_waiting_task_the_one_it_waits_for(self, bench: Bench) -> None:
        task = bench.running()
        bench.end(task, make.fail())
        change(bench, task.id, retry=Policy(max_attempts=1))
        assert bench.task(task.id).max_attempts == 2

    def test_limits_count_from_where_they_counted(self, bench: Bench) -> None:
        limits = Policy(attempt_timeout=10 * SECOND, task_timeout=20 * SECOND)
        task = bench.running(make.spec(policy=limits))
        bench.pass_time(4)
        new = Policy(attempt_timeout=6 * SECOND, task_timeout=30 * SECOND)
        assert change(bench, task.id, timeouts=new).refusal is None
        after = bench.task(task.id)
        assert after.attempt_deadline == NOW + 6 * SECOND == after.wake_at
        assert after.task_deadline == NOW + 30 * SECOND
        change(bench, task.id, timeouts=Policy())
        after = bench.task(task.id)
        assert (after.attempt_deadline, after.task_deadline, after.wake_at) == (None, None, None)
        change(bench, task.id, timeouts=Policy(attempt_timeout=5 * SECOND))
        assert bench.task(task.id).attempt_deadline == NOW + 5 * SECOND

    def test_a_limit_that_passed_ends_the_task_at_once(self, bench: Bench) -> None:
        task = bench.running()
        bench.pass_time(30)
        change(bench, task.id, timeouts=Policy(task_timeout=10 * SECOND))
        bench.pass_time(0)
        after = bench.task(task.id)
        assert (after.state, after.reason) == (FAILED, "TASK_TIMEOUT")

    def test_a_waiting_task_gets_and_loses_its_time_to_start(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(delay=5 * SECOND))
        change(bench, task_id, timeouts=Policy(schedule_to_start=SECOND))
        assert bench.task(task_id).expire_at == NOW + 6 * SECOND
        change(bench, task_id, timeouts=Policy(schedule_to_start=3 * SECOND))
        assert bench.task(task_id).expire_at == NOW + 8 * SECOND
        change(bench, task_id, timeouts=Policy())
        assert bench.task(task_id).expire_at is None


class TestRefusals:
    """What cannot be."""

    @pytest.mark.parametrize(
        "fields", [{"priority": 9}, {"run_at": NOW}, {"delay": 0}, {"queue": "other"}]
    )
    def test_a_running_task_is_not_moved(self, bench: Bench, fields: dict[str, Any]) -> None:
        task = bench.running()
        result = change(bench, task.id, labels=(("a", "b"),), **fields)
        assert result.refusal is not None and result.refusal.reason == "WRONG_STATE"
        assert bench.task(task.id) == task, "nothing of it is done"

    def test_an_ended_or_unknown_task_is_not_changed(self, bench: Bench) -> None:
        task = bench.running()
        bench.end(task, make.succeed())
        results = bench.do(
            c.UpdateTasks("default", [task.id, 999], c.TaskChange(labels=(("a", "b"),)))
        )
        reasons = [result.refusal.reason for result in results]
        assert reasons == ["WRONG_STATE", "TASK_NOT_FOUND"]
        (result,) = bench.do(c.UpdateTasks("other", [task.id], c.TaskChange(priority=1)))
        assert result.refusal.reason == "TASK_NOT_FOUND"

    def test_a_repeated_request_gets_the_first_answer(self, bench: Bench) -> None:
        task_id = bench.one()
        command = c.UpdateTasks(
            "default", [task_id, 999], c.TaskChange(priority=9), make.request("r")
        )
        first = bench.do(command)
        change(bench, task_id, priority=1)
        assert bench.do(command) == first
        assert bench.task(task_id).priority == 1
