"""The cancel of a running task, from its request to the proof that it stopped; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.changes import TASK
from quarterdeck_server.engine.model import cancellation_of
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import (
    CANCELLED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    Reason,
)

from . import make
from .bench import Bench
from .make import NOW, SECOND


class TestCancelOfARunningTask:
    """A cancel is a process with proof."""

    def test_it_is_requested_delivered_acknowledged_and_stopped(self, bench: Bench) -> None:
        task = bench.running()
        token = task.lease_token or 0
        bench.do(make.cancel(task.id))
        steps = [c.Beat(task.id, token, delivered=True), c.Beat(task.id, token, acknowledged=True)]
        for beat in steps:
            bench.now += SECOND
            bench.do(c.RecordBeats([beat]))
        bench.now += SECOND
        after = bench.end(bench.task(task.id), c.StopCancelled(""))
        proof = cancellation_of(after)
        assert proof is not None and after.state == CANCELLED
        assert (proof.actor, proof.reason) == ("tester", "not needed")
        assert [
            proof.request_time,
            proof.deliver_time,
            proof.acknowledge_time,
            proof.stop_time,
        ] == [NOW + i * SECOND for i in range(4)]
        assert proof.escalate_time is None

    def test_a_second_request_changes_nothing(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(make.cancel(task.id))
        before = bench.task(task.id)
        bench.now += SECOND
        bench.do(make.cancel(task.id))
        assert bench.task(task.id) == before

    def test_it_is_revoked_when_its_grace_is_over(self, bench: Bench) -> None:
        task = bench.running(make.spec(policy=Policy(cancel_grace=3 * SECOND)))
        bench.do(make.cancel(task.id))
        bench.pass_time(60)
        assert bench.task(task.id).state == RUNNING, "the grace begins with the delivery"
        bench.do(c.RecordBeats([c.Beat(task.id, task.lease_token or 0, delivered=True)]))
        bench.pass_time(3)
        self._escalated(bench, task.id)
        (result,) = bench.do(make.report(task.id, task.lease_token, c.StopCancelled("")))
        assert result.refusal.reason == "LEASE_LOST"

    def _escalated(self, bench: Bench, task_id: int) -> None:
        after = bench.task(task_id)
        proof = cancellation_of(after)
        assert (after.state, after.reason) == (CANCELLED, Reason.CANCEL_ESCALATED)
        assert proof is not None and proof.escalate_time == bench.now and proof.stop_time is None

    def test_a_lost_lease_is_no_proof_that_it_stopped(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(make.cancel(task.id))
        bench.do(c.Expire([(task.id, task.lease_token or 0)]))
        self._escalated(bench, task.id)

    @pytest.mark.parametrize(
        "policy",
        [
            Policy(attempt_timeout=5 * SECOND),
            Policy(task_timeout=5 * SECOND),
            Policy(stall_timeout=5 * SECOND),
        ],
    )
    def test_a_timeout_is_no_proof_that_it_stopped(self, bench: Bench, policy: Policy) -> None:
        task = bench.running(make.spec(policy=policy))
        bench.do(make.cancel(task.id))
        bench.pass_time(5)
        self._escalated(bench, task.id)

    @pytest.mark.parametrize("outcome", [make.fail(), c.Release("")])
    def test_it_is_not_tried_again(self, bench: Bench, outcome: c.Fail | c.Release) -> None:
        task = bench.running()
        bench.do(make.cancel(task.id))
        assert bench.end(task, outcome).state == CANCELLED

    def test_a_completion_that_came_first_wins(self, bench: Bench) -> None:
        task = bench.running()
        done = make.report(task.id, task.lease_token, make.succeed())
        _, (cancelled,) = bench.group(done, make.cancel(task.id))
        assert cancelled.refusal.reason == "WRONG_STATE"
        assert bench.task(task.id).state == SUCCEEDED

    def test_a_completion_that_came_after_the_request_still_counts(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(make.cancel(task.id))
        after = bench.end(task, make.succeed())
        assert after.state == SUCCEEDED and cancellation_of(after) is not None

    def test_children_are_cancelled_to_any_depth_unless_they_are_kept(self, bench: Bench) -> None:
        root = bench.one()
        child = bench.one(make.spec(parent_id=root))
        grandchild = bench.one(make.spec(parent_id=child, delay=SECOND))
        bench.do(make.cancel(root, keep_children=True))
        assert [bench.task(x).state for x in (child, grandchild)] == [READY, SCHEDULED]
        bench.do(make.cancel(root))
        assert [bench.task(x).state for x in (child, grandchild)] == [CANCELLED, CANCELLED]

    def test_a_cancel_that_names_a_whole_tree_several_times_visits_each_task_once(
        self, bench: Bench
    ) -> None:
        root = bench.running()
        chain = [root.id]
        for _ in range(20):
            chain.append(bench.one(make.spec(parent_id=chain[-1])))
        bench.end(root, make.succeed())
        before = len(bench.driver.changes)
        results = bench.do(make.cancel(*chain, *reversed(chain)))
        assert [result.refusal for result in results] == [None] * 42
        assert results[:21] == results[:20:-1]
        tasks = [change.row.id for change in bench.driver.changes[before:] if change.kind == TASK]
        assert sorted(tasks) == chain[1:]
