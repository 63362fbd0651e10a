"""Unique keys: who has one, chains of tasks that share one, and who may replace whom; on dicts and on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import (
    ACTIVE,
    AFTER_EXISTING,
    PENDING,
    PERIOD,
    REJECT,
    REPLACE_PENDING,
    RETURN_EXISTING,
)
from quarterdeck_server.engine.flow import limits
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    ENDED,
    FAILED,
    READY,
    RUNNING,
    SCHEDULED,
)

from . import make
from .bench import Bench
from .make import SECOND
from .memory import Memory


def unique(
    how: int = REJECT, scope: int = ACTIVE, key: str = "k", period: int = 0, **fields: Any
) -> c.Spec:
    return make.spec(admission=c.Unique(key, scope, how, period), **fields)


def full(most: int, overflow: int) -> c.UpdateQueue:
    """Set how many tasks of the default queue may be active."""
    cap = limits.Concurrency(most, overflow)
    return c.UpdateQueue("default", "default", None, "", None, limits.QueueLimits(concurrency=cap))


class TestUnique:
    """At most one task of a name has the key."""

    def test_a_second_task_is_refused_with_the_id_of_the_first(self, bench: Bench) -> None:
        first = bench.one(unique())
        (item,) = bench.do(make.submit(unique()))
        assert (item.task_id, item.refusal.reason) == (first, "UNIQUE_KEY_TAKEN")
        assert dict(item.refusal.metadata)["unique_key"] == "k"
        assert len(bench.driver.tasks) == 1

    def test_two_in_one_request_are_decided_in_order(self, bench: Bench) -> None:
        one, two, three = bench.do(
            make.submit(unique(), unique(), unique(RETURN_EXISTING, depends_on=()))
        )
        assert two.refusal.reason == "UNIQUE_KEY_TAKEN"
        assert (three.task_id, three.existed) == (one.task_id, True)

    def test_two_commands_of_one_group_are_decided_in_order(self, bench: Bench) -> None:
        (one,), (two,) = bench.group(make.submit(unique()), make.submit(unique(RETURN_EXISTING)))
        assert (two.task_id, two.existed) == (one.task_id, True)

    def test_another_name_key_or_namespace_is_another(self, bench: Bench) -> None:
        bench.submit(unique(), unique(name="other"), unique(key="other"))
        (item,) = bench.do(c.Submit("tenant", [unique()]))
        assert item.refusal is None

    def test_pending_ends_with_the_first_start(self, bench: Bench) -> None:
        task = bench.running(unique(scope=PENDING))
        second = bench.one(unique(scope=PENDING))
        bench.end(task, c.Release(""))
        (item,) = bench.do(make.submit(unique(scope=PENDING)))
        assert item.task_id == second and item.refusal is not None

    def test_active_ends_with_the_task(self, bench: Bench) -> None:
        task = bench.running(unique())
        (item,) = bench.do(make.submit(unique()))
        assert item.refusal is not None
        bench.end(task, make.succeed())
        bench.one(unique())

    def test_a_key_is_free_in_the_group_that_cancels_its_task(self, bench: Bench) -> None:
        first = bench.one(unique())
        _, (item,) = bench.group(make.cancel(first), make.submit(unique()))
        assert item.refusal is None and item.task_id != first

    def test_a_period_outlives_the_task_and_its_retention(self, bench: Bench) -> None:
        task = bench.running(unique(RETURN_EXISTING, PERIOD, period=10 * SECOND))
        bench.end(task, make.succeed())
        bench.prune()
        assert task.id not in bench.driver.tasks
        (item,) = bench.do(make.submit(unique(RETURN_EXISTING, PERIOD, period=10 * SECOND)))
        assert (item.task_id, item.existed) == (task.id, True)
        bench.pass_time(10)
        bench.prune()
        assert not bench.driver.admissions
        assert bench.one(unique(scope=PERIOD, period=SECOND)) != task.id

    def test_the_rows_of_pruned_tasks_go_with_them(self, bench: Bench) -> None:
        task = bench.running(unique())
        bench.end(task, make.succeed())
        assert bench.driver.admissions
        bench.prune()
        assert not bench.driver.admissions


class TestReplacement:
    """REPLACE_PENDING: the new task instead of the one that waits."""

    def test_a_waiting_task_is_replaced(self, bench: Bench) -> None:
        first = bench.one(unique())
        second = bench.one(unique(REPLACE_PENDING))
        old = bench.task(first)
        assert (old.state, old.reason) == (CANCELLED, "REPLACED")
        assert bench.task(second).state == READY

    def test_a_task_that_was_started_is_not_replaced(self, bench: Bench) -> None:
        task = bench.running(unique())
        bench.end(task, c.Release(""))
        (item,) = bench.do(make.submit(unique(REPLACE_PENDING)))
        assert item.refusal.reason == "UNIQUE_KEY_TAKEN"
        assert bench.task(task.id).state == READY

    def test_a_dropped_replacement_replaces_nothing(self, bench: Bench) -> None:
        first = bench.one(unique())
        bench.do(c.UpdateQueue("default", "default", True, "", drops=True))
        second = bench.one(unique(REPLACE_PENDING))
        assert bench.task(second).reason == "DROPPED"
        assert bench.task(first).state == READY

    def test_a_refused_replacement_replaces_nothing(self, bench: Bench) -> None:
        first = bench.one(unique())
        (item,) = bench.do(make.submit(unique(REPLACE_PENDING, depends_on=(999,))))
        assert item.refusal.reason == "TASK_NOT_FOUND"
        assert bench.task(first).state == READY

    @pytest.mark.parametrize("link", [False, True])
    def test_a_submit_after_a_replacement_in_its_batch_meets_the_new_task(
        self, bench: Bench, link: bool
    ) -> None:
        first = bench.one(unique())
        if link:
            bench.claim()
            first = bench.one(unique(AFTER_EXISTING))
        new, refused, same = bench.do(
            make.submit(unique(REPLACE_PENDING), unique(REJECT), unique(RETURN_EXISTING))
        )
        assert bench.task(first).reason == "REPLACED"
        assert new.refusal is None and bench.task(new.task_id).state == (BLOCKED if link else READY)
        assert (refused.task_id, refused.refusal.reason) == (new.task_id, "UNIQUE_KEY_TAKEN")
        assert (same.task_id, same.existed) == (new.task_id, True)

    @pytest.mark.parametrize("overflow", [limits.REJECT, limits.CANCEL_NEWEST])
    def test_a_replacement_has_the_room_of_the_task_that_it_replaces(
        self, bench: Bench, overflow: int
    ) -> None:
        bench.do(full(2, overflow))
        other, first = bench.submit(make.spec(), unique())
        second = bench.one(unique(REPLACE_PENDING))
        assert bench.task(first).reason == "REPLACED"
        assert [bench.task(i).state for i in (other, second)] == [READY, READY]

    def test_a_replacement_displaces_nobody_else(self, bench: Bench) -> None:
        bench.do(full(2, limits.CANCEL_OLDEST))
        oldest, first = bench.submit(make.spec(), unique())
        second = bench.one(unique(REPLACE_PENDING))
        assert bench.task(first).reason == "REPLACED"
        assert [bench.task(i).state for i in (oldest, second)] == [READY, READY]

    @pytest.mark.parametrize("overflow", [limits.REJECT, limits.CANCEL_NEWEST])
    def test_a_replacement_without_room_leaves_the_old_task_in_its_place(
        self, bench: Bench, overflow: int
    ) -> None:
        tasks = bench.submit(make.spec(), make.spec(), unique())
        bench.do(full(2, overflow))
        (item,) = bench.do(make.submit(unique(REPLACE_PENDING)))
        if overflow == limits.REJECT:
            assert item.refusal.reason == "LIMIT_EXCEEDED"
        else:
            assert bench.task(item.task_id).reason == "OVERFLOW"
        assert [bench.task(i).state for i in tasks] == [READY] * 3
        bench.do(make.cancel(*tasks[:2]))
        bench.one()
        (item,) = bench.do(make.submit())
        assert item.refusal is not None or bench.task(item.task_id).state == CANCELLED

    def test_a_replacement_that_is_cancelled_with_its_parent_replaces_nothing(
        self, bench: Bench
    ) -> None:
        first = bench.one(unique())
        parent = bench.one()
        bench.do(make.cancel(parent))
        new, refused = bench.do(
            make.submit(unique(REPLACE_PENDING, parent_id=parent), unique(REJECT))
        )
        assert bench.task(new.task_id).state == CANCELLED
        assert bench.task(first).state == READY
        assert (refused.task_id, refused.refusal.reason) == (first, "UNIQUE_KEY_TAKEN")


class TestChain:
    """AFTER_EXISTING: one after the other."""

    def test_each_starts_after_the_one_before_however_that_ended(self, bench: Bench) -> None:
        ids = bench.submit(*[unique(AFTER_EXISTING) for _ in range(3)])
        assert [bench.task(i).state for i in ids] == [READY, BLOCKED, BLOCKED]
        (task,) = bench.claim()
        bench.end(task, make.fail(final=True))
        assert [bench.task(i).state for i in ids[1:]] == [READY, BLOCKED]
        bench.do(make.cancel(ids[1]))
        assert bench.task(ids[2]).state == READY

    def test_a_link_that_is_cancelled_leaves_no_gap(self, bench: Bench) -> None:
        task = bench.running(unique())
        ids = bench.submit(*[unique(AFTER_EXISTING) for _ in range(3)])
        bench.do(make.cancel(ids[1]))
        bench.do(make.cancel(ids[0]))
        assert bench.task(ids[2]).state == BLOCKED, "the first still runs"
        bench.end(task, make.succeed())
        assert bench.task(ids[2]).state == READY

    def test_the_last_link_gives_the_key_back(self, bench: Bench) -> None:
        task = bench.running(unique())
        ids = bench.submit(*[unique(AFTER_EXISTING) for _ in range(3)])
        _, (item,) = bench.group(make.cancel(*ids), make.submit(unique()))
        assert item.task_id == task.id and item.refusal is not None
        bench.end(task, make.succeed())
        bench.one(unique())

    def test_links_cancelled_in_the_group_that_made_them_leave_no_gap(self, bench: Bench) -> None:
        task = bench.running(unique())
        replies = bench.group(
            make.submit(*[unique(AFTER_EXISTING) for _ in range(3)]),
            make.cancel(task.id + 1, task.id + 2),
            make.submit(unique(AFTER_EXISTING)),
        )
        last, after = replies[0][2].task_id, replies[2][0].task_id
        assert [bench.task(i).state for i in (last, after)] == [BLOCKED, BLOCKED]
        bench.end(task, make.succeed())
        assert [bench.task(i).state for i in (last, after)] == [READY, BLOCKED]

    def test_a_link_is_replaced_in_its_place(self, bench: Bench) -> None:
        task = bench.running(unique())
        (link,) = bench.submit(unique(AFTER_EXISTING))
        (new,) = bench.submit(unique(REPLACE_PENDING))
        assert bench.task(link).reason == "REPLACED"
        assert bench.task(new).state == BLOCKED
        bench.end(task, make.succeed())
        assert bench.task(new).state == READY

    def test_links_that_are_dropped_leave_the_key_where_it_is(self, bench: Bench) -> None:
        first = bench.one(unique())
        bench.do(c.UpdateQueue("default", "default", True, "", drops=True))
        dropped = bench.submit(unique(AFTER_EXISTING), unique(AFTER_EXISTING))
        assert [bench.task(i).reason for i in dropped] == ["DROPPED"] * 2
        bench.do(c.UpdateQueue("default", "default", False, ""))
        (item,) = bench.do(make.submit(unique()))
        assert item.task_id == first and item.refusal is not None


def failed(bench: Bench, **fields: Any) -> int:
    """A task of the key that has failed."""
    task = bench.running(unique(policy=Policy(max_attempts=1), **fields))
    bench.end(task, make.fail())
    return task.id


class TestRetries:
    def test_a_retried_task_has_its_key_again(self, bench: Bench) -> None:
        first = failed(bench)
        (item,) = bench.do(make.retry(first))
        assert (item.state, item.refusal) == (READY, None)
        (item,) = bench.do(make.submit(unique()))
        assert (item.task_id, item.refusal.reason) == (first, "UNIQUE_KEY_TAKEN")

    def test_a_task_whose_key_another_has_is_not_retried_beside_it(self, bench: Bench) -> None:
        first = failed(bench)
        second = bench.running(unique())
        (item,) = bench.do(make.retry(first))
        assert (item.state, item.refusal.reason) == (FAILED, "UNIQUE_KEY_TAKEN")
        assert dict(item.refusal.metadata)["task_id"] == encode_task_id(second.id)
        bench.end(second, make.succeed())
        (item,) = bench.do(make.retry(first))
        assert (item.state, item.refusal) == (READY, None)

    def test_of_several_of_one_key_one_is_retried_at_a_time(self, bench: Bench) -> None:
        tasks = [failed(bench) for _ in range(3)]
        items = bench.do(make.retry(*tasks))
        assert [item.state for item in items] == [READY, FAILED, FAILED]
        assert bench.group(make.submit(unique()), make.retry(tasks[1]))[1][0].refusal is not None

    def test_one_that_was_never_started_needs_its_key_however_short_it_has_it(
        self, bench: Bench
    ) -> None:
        first = bench.one(unique(scope=PENDING))
        bench.do(make.cancel(first))
        second = bench.one(unique(scope=PENDING))
        (item,) = bench.do(make.retry(first))
        assert dict(item.refusal.metadata)["task_id"] == encode_task_id(second)
        bench.claim()
        (item,) = bench.do(make.retry(first))
        assert (item.state, item.refusal) == (READY, None)
        (item,) = bench.do(make.submit(unique(scope=PENDING)))
        assert (item.task_id, item.refusal.reason) == (first, "UNIQUE_KEY_TAKEN")

    @pytest.mark.parametrize("scope", [PENDING, PERIOD])
    def test_a_key_that_a_started_task_no_longer_needs_keeps_no_retry_back(
        self, bench: Bench, scope: int
    ) -> None:
        first = failed(bench, scope=scope, period=SECOND)
        bench.pass_time(2)
        bench.submit(unique(scope=scope, period=SECOND))
        (item,) = bench.do(make.retry(first))
        assert item.refusal is None


acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.sampled_from([REJECT, RETURN_EXISTING, REPLACE_PENDING, AFTER_EXISTING]),
        ),
        st.tuples(st.sampled_from(["claim", "end", "fail", "time"]), st.just(0)),
        st.tuples(st.sampled_from(["cancel", "retry"]), st.integers(0, 5)),
    ),
    max_size=25,
)


def _of_name(bench: Bench, name: str) -> list[int]:
    return sorted(task.id for task in bench.driver.tasks.values() if task.name == name)


def _holders(tasks: Iterator[Task]) -> list[Task]:
    return [task for task in tasks if task.state in (READY, RUNNING, SCHEDULED)]


@settings(max_examples=150, deadline=None)
@given(acts)
def test_never_two_tasks_may_run_under_one_key(steps: list[tuple[str, int]]) -> None:
    bench = Bench(Memory())
    running: list[Task] = []
    for act, value in steps:
        if act == "submit":
            bench.do(make.submit(unique(value, policy=Policy(max_attempts=2))))
        elif act == "claim":
            running += bench.claim()
        elif act in ("end", "fail") and running:
            bench.do(
                make.report(
                    running[-1].id,
                    running.pop().lease_token,
                    make.succeed() if act == "end" else make.fail(),
                )
            )
        elif act == "cancel" and bench.driver.tasks:
            known = sorted(bench.driver.tasks)
            bench.do(make.cancel(known[value % len(known)]))
        elif act == "retry" and (known := _of_name(bench, "work")):
            bench.do(make.retry(*(known[(value + n) % len(known)] for n in range(2))))
        elif act == "time":
            bench.pass_time(2)
        active = _holders(iter(bench.driver.tasks.values()))
        assert len(active) <= 1, active
        blocked = [task for task in bench.driver.tasks.values() if task.state == BLOCKED]
        assert not blocked or active, "the chain moves on"
        live = [task for task in bench.driver.tasks.values() if task.state not in ENDED]
        (item,) = bench.do(make.submit(unique(RETURN_EXISTING, name="probe")))
        bench.do(make.cancel(item.task_id))
        if live:
            (row,) = [r for k, r in bench.driver.admissions.items() if k.name == "work"]
            assert row.task_id in {task.id for task in live}, "one that is active has the key"


def test_a_chain_is_marked_in_the_policy_of_its_links() -> None:
    assert policy_text(Policy(serial=True)) == '{"serial":true}'
