"""New tasks for which there is no room, or which arrive where it is paused."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine.commands import (
    Debounce,
    ItemResult,
    PutSchedule,
    Release,
    Rerun,
    Spec,
    Submitted,
    TaskChange,
    TriggerSchedule,
    UpdateQueue,
    UpdateTasks,
)
from quarterdeck_server.engine.flow.claim import NOBODY
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    NO_LIMITS,
    REJECT,
    WAIT,
    Concurrency,
    QueueLimits,
)
from quarterdeck_server.engine.model import Task, cancellation_of
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.schedule.firing import template_text
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    Reason,
)

from . import make
from .bench import Bench


def limit(bench: Bench, limits: QueueLimits, **changes: Any) -> None:
    bench.do(
        UpdateQueue(
            "default", "default", changes.get("paused"), "", None, limits, changes.get("drops")
        )
    )


def whole(overflow: int, most: int = 2) -> QueueLimits:
    return QueueLimits(concurrency=Concurrency(most, overflow))


def per_key(overflow: int, most: int = 1) -> QueueLimits:
    return QueueLimits(concurrency_per_key=Concurrency(most, overflow))


def of_key(key: str) -> Spec:
    return make.spec()._replace(lane=lane_text(LaneKey(key)))


def states(bench: Bench, *task_ids: int) -> list[int]:
    return [bench.task(task_id).state for task_id in task_ids]


def submit(bench: Bench, *specs: Spec) -> list[Submitted]:
    replies: list[Submitted] = bench.do(make.submit(*specs))
    return replies


def test_a_task_that_waits_is_always_accepted(bench: Bench) -> None:
    limit(bench, whole(WAIT))
    assert states(bench, *bench.submit(*[make.spec()] * 5)) == [READY] * 5


def test_a_full_queue_refuses_and_names_the_oldest(bench: Bench) -> None:
    limit(bench, whole(REJECT))
    first, second, third = submit(bench, make.spec(), make.spec(), make.spec())
    assert first.refusal is None and second.refusal is None
    refusal = third.refusal
    assert refusal is not None and refusal.reason == "LIMIT_EXCEEDED"
    assert dict(refusal.metadata) == {
        "limit": "2",
        "queue": "default",
        "group_key": "",
        "task_id": "task_0000000000001",
    }
    assert len(bench.driver.tasks) == 2


def test_there_is_room_again_when_an_active_task_ended(bench: Bench) -> None:
    limit(bench, whole(REJECT))
    running = bench.running()
    bench.one()
    assert submit(bench, make.spec())[0].refusal is not None
    bench.end(running, make.succeed())
    assert submit(bench, make.spec())[0].refusal is None


def test_an_end_makes_room_for_a_submit_in_its_group(bench: Bench) -> None:
    limit(bench, whole(REJECT, 1))
    running = bench.running()
    done = make.report(running.id, running.lease_token, make.succeed())
    _, (submitted,) = bench.group(done, make.submit())
    assert submitted.refusal is None


def test_keys_are_full_one_by_one(bench: Bench) -> None:
    limit(bench, per_key(REJECT))
    red, blue, again = submit(bench, of_key("red"), of_key("blue"), of_key("red"))
    assert red.refusal is None and blue.refusal is None
    assert again.refusal is not None
    facts = dict(again.refusal.metadata)
    assert (facts["group_key"], facts["task_id"]) == ("red", "task_0000000000001")


def test_a_refused_item_leaves_its_neighbours_alone(bench: Bench) -> None:
    limit(bench, per_key(REJECT))
    replies = submit(bench, of_key("red"), of_key("red"), of_key("blue"))
    assert [reply.refusal is None for reply in replies] == [True, False, True]


def test_the_oldest_that_waits_is_cancelled_at_once(bench: Bench) -> None:
    limit(bench, whole(CANCEL_OLDEST))
    first, second = bench.submit(make.spec(), make.spec())
    third = bench.one()
    assert states(bench, first, second, third) == [CANCELLED, READY, READY]
    task = bench.task(first)
    cancel = cancellation_of(task)
    assert task.reason == Reason.OVERFLOW and cancel is not None
    assert (cancel.actor, cancel.reason) == ("server", "OVERFLOW")


def test_the_oldest_that_runs_is_asked_to_stop_and_then_the_next(bench: Bench) -> None:
    limit(bench, whole(CANCEL_OLDEST))
    bench.submit(make.spec(), make.spec())
    first, second = bench.claim(max_tasks=2)
    third = bench.one()
    assert [bench.task(t.id).cancel is not None for t in (first, second)] == [True, False]
    fourth = bench.one()
    assert [bench.task(t.id).cancel is not None for t in (first, second)] == [True, True]
    assert states(bench, third, fourth) == [READY, READY]
    fifth = bench.one()
    assert states(bench, first.id, third, fourth, fifth) == [RUNNING, CANCELLED, READY, READY]


def test_only_the_last_of_many_stay(bench: Bench) -> None:
    limit(bench, whole(CANCEL_OLDEST))
    ids = bench.submit(*[make.spec()] * 6)
    assert states(bench, *ids) == [CANCELLED] * 4 + [READY] * 2


def test_the_oldest_of_the_key_makes_room(bench: Bench) -> None:
    limit(bench, per_key(CANCEL_OLDEST))
    red, blue = bench.submit(of_key("red"), of_key("blue"))
    again = bench.one(of_key("red"))
    assert states(bench, red, blue, again) == [CANCELLED, READY, READY]


def test_the_newest_is_created_and_cancelled(bench: Bench) -> None:
    limit(bench, whole(CANCEL_NEWEST, 1))
    first, second = bench.submit(make.spec(), make.spec())
    assert states(bench, first, second) == [READY, CANCELLED]
    task = bench.task(second)
    assert (task.reason, task.end_time, task.cancel) == (Reason.OVERFLOW, bench.now, None)
    queue = bench.driver.queues["default", "default"]
    assert (queue.submitted_total, queue.cancelled_total) == (2, 1)


def test_who_depends_on_a_task_that_was_turned_away_is_told(bench: Bench) -> None:
    limit(bench, whole(CANCEL_NEWEST, 1))
    _, turned_away, dependent = submit(
        bench, make.spec(), make.spec(), make.spec(queue="other", depends_on=(-2,))
    )
    assert turned_away.refusal is None
    assert dependent.refusal is not None and dependent.refusal.reason == "WRONG_STATE"


@pytest.mark.parametrize("overflow", [REJECT, CANCEL_OLDEST, CANCEL_NEWEST])
def test_what_is_not_ready_is_no_arrival(bench: Bench, overflow: int) -> None:
    limit(bench, whole(overflow, 1))
    first = bench.running()
    later, dependent = bench.submit(make.spec(delay=make.SECOND), make.spec(depends_on=(first.id,)))
    assert states(bench, first.id, later, dependent) == [RUNNING, SCHEDULED, BLOCKED]
    bench.pass_time(1)
    bench.end(first, make.succeed())
    assert states(bench, first.id, later, dependent) == [SUCCEEDED, READY, READY]


@pytest.mark.parametrize("overflow", [REJECT, CANCEL_OLDEST, CANCEL_NEWEST])
def test_retries_and_released_tasks_do_not_overflow(bench: Bench, overflow: int) -> None:
    limit(bench, whole(overflow, 2))
    bench.submit(make.spec(policy=Policy(max_attempts=1)), make.spec())
    failing, releasing = bench.claim(max_tasks=2)
    bench.end(failing, make.fail())
    new = bench.one()
    bench.do(make.retry(failing.id))
    bench.end(releasing, Release("later"))
    assert states(bench, failing.id, releasing.id, new) == [READY] * 3


def test_without_the_limit_nothing_overflows_any_more(bench: Bench) -> None:
    limit(bench, whole(REJECT, 1))
    bench.one()
    limit(bench, NO_LIMITS)
    bench.submit(make.spec(), make.spec())
    limit(bench, whole(REJECT, 4))
    fourth, fifth = submit(bench, make.spec(), make.spec())
    assert fourth.refusal is None and fifth.refusal is not None


def test_a_group_that_failed_leaves_no_trace_in_what_is_active(bench: Bench) -> None:
    limit(bench, whole(REJECT, 2))
    bench.one()
    broken = make.submit(make.spec(queue="other")._replace(policy="broken"))
    replies = bench.driver.run([make.submit(), broken], NOBODY, bench.now).replies
    assert replies[0][0].refusal is None
    assert isinstance(replies[1], ValueError)
    assert submit(bench, make.spec())[0].refusal is not None


def test_a_paused_queue_drops_what_arrives_if_told_to(bench: Bench) -> None:
    kept = bench.one()
    limit(bench, NO_LIMITS, paused=True, drops=True)
    now, later = bench.submit(make.spec(), make.spec(delay=make.SECOND))
    for task_id in (now, later):
        task: Task = bench.task(task_id)
        assert (task.state, task.reason, task.wake_at) == (CANCELLED, Reason.DROPPED, None)
    limit(bench, NO_LIMITS, paused=False)
    assert states(bench, kept, bench.one()) == [READY, READY]


def test_a_paused_queue_keeps_what_arrives_unless_told_otherwise(bench: Bench) -> None:
    bench.do(UpdateQueue("default", "default", True, ""))
    assert states(bench, bench.one()) == [READY]


@pytest.mark.parametrize("overflow", [REJECT, CANCEL_NEWEST])
def test_a_schedule_over_the_limit_makes_a_task_that_is_seen_to_be_cancelled(
    bench: Bench, overflow: int
) -> None:
    limit(bench, whole(overflow, 1))
    bench.one()
    bench.do(PutSchedule(make.interval("tick", 10)))
    bench.pass_time(10)
    (made,) = (task for task in bench.driver.tasks.values() if task.schedule_id == "tick")
    assert (made.state, made.reason) == (CANCELLED, Reason.OVERFLOW)


def test_a_schedule_that_is_made_and_triggered_in_one_group_finds_its_queue_full(
    bench: Bench,
) -> None:
    limit(bench, whole(REJECT, 1))
    bench.submit(make.spec())
    _, made = bench.group(PutSchedule(make.interval("tick")), TriggerSchedule("default", "tick"))
    task = bench.task(made.task_id)
    assert (task.state, task.reason) == (CANCELLED, Reason.OVERFLOW)


def test_the_task_of_a_schedule_displaces_the_oldest(bench: Bench) -> None:
    limit(bench, whole(CANCEL_OLDEST, 1))
    first = bench.one()
    bench.do(PutSchedule(make.interval("tick", 10)))
    bench.pass_time(10)
    assert states(bench, first) == [CANCELLED]
    assert bench.driver.queues["default", "default"].submitted_total == 2


def test_a_rerun_does_not_overflow(bench: Bench) -> None:
    limit(bench, whole(CANCEL_OLDEST, 1))
    done = bench.running()
    bench.end(done, make.succeed())
    kept = bench.one()
    (again,) = bench.do(Rerun("default", [done.id]))
    assert states(bench, kept, again.task_id) == [READY, READY]


def test_one_arrival_makes_room_in_its_queue_and_in_its_key(bench: Bench) -> None:
    tasks = bench.submit(make.spec(), make.spec())
    both = QueueLimits(Concurrency(1, CANCEL_OLDEST), Concurrency(1, CANCEL_OLDEST))
    bench.do(UpdateQueue("default", "default", None, "", None, both))
    new = bench.one()
    assert [bench.task(i).state for i in (*tasks, new)] == [CANCELLED, CANCELLED, READY]


def test_an_arrival_displaces_the_oldest_that_is_left_when_older_ones_ended_in_its_group(
    bench: Bench,
) -> None:
    ids = bench.submit(*[make.spec()] * 10)
    limit(bench, whole(CANCEL_OLDEST, 5))
    bench.group(make.cancel(*ids[:4]), make.submit())
    assert bench.task(ids[4]).reason == Reason.OVERFLOW
    assert states(bench, *ids[5:]) == [READY] * 5


def test_many_schedules_that_are_due_together_displace_one_each(bench: Bench) -> None:
    ids = bench.submit(*[make.spec()] * 100)
    limit(bench, whole(CANCEL_OLDEST, 100))
    for n in range(80):
        bench.do(PutSchedule(make.interval(f"tick-{n}", 10)))
    bench.pass_time(10)
    assert states(bench, *ids) == [CANCELLED] * 80 + [READY] * 20


def test_the_task_of_a_schedule_displaces_the_oldest_of_its_key(bench: Bench) -> None:
    bench.submit(*[of_key("blue")] * 70)
    red = bench.one(of_key("red"))
    limit(bench, per_key(CANCEL_OLDEST))
    lane = lane_text(LaneKey("red"))
    bench.do(
        PutSchedule(make.interval()._replace(task_spec=template_text(5, None, None, lane=lane)))
    )
    bench.pass_time(10)
    assert bench.task(red).reason == Reason.OVERFLOW


class TestMoves:
    """A task that an operator moves into a queue."""

    @staticmethod
    def move(bench: Bench, *task_ids: int, **change: Any) -> list[ItemResult]:
        """Move tasks into the default queue."""
        results: list[ItemResult] = bench.do(
            UpdateTasks("default", task_ids, TaskChange(queue="default", **change))
        )
        return results

    def test_a_full_queue_that_rejects_refuses_what_is_moved_into_it(self, bench: Bench) -> None:
        limit(bench, whole(REJECT))
        bench.one()
        first, second = bench.submit(make.spec(queue="other"), make.spec(queue="other"))
        moved, refused = self.move(bench, first, second, priority=7)
        assert moved.refusal is None and bench.task(first).queue == "default"
        assert refused.refusal is not None and refused.refusal.reason == "LIMIT_EXCEEDED"
        assert "move it again" in refused.refusal.message
        task = bench.task(second)
        assert (refused.state, task.state, task.queue, task.priority) == (READY, READY, "other", 5)

    def test_a_full_key_refuses_what_is_moved_to_it(self, bench: Bench) -> None:
        limit(bench, per_key(REJECT))
        bench.one(of_key("red"))
        red, blue = bench.submit(
            make.spec(queue="other", group_key="red"), make.spec(queue="other", group_key="blue")
        )
        refused, moved = self.move(bench, red, blue)
        assert refused.refusal is not None and moved.refusal is None

    def test_a_queue_that_is_read_from_its_tables_refuses_too(self, bench: Bench) -> None:
        limit(bench, whole(REJECT, 1))
        bench.one()
        other = bench.one(make.spec(queue="other"))
        bench.driver.restart()
        (refused,) = self.move(bench, other)
        assert refused.refusal is not None

    def test_a_task_that_is_not_ready_is_no_arrival(self, bench: Bench) -> None:
        limit(bench, whole(REJECT, 1))
        first = bench.one()
        others = bench.submit(
            make.spec(queue="other", delay=10 * make.SECOND),
            make.spec(queue="other", depends_on=[first]),
        )
        assert [result.refusal for result in self.move(bench, *others)] == [None, None]
        ready = bench.one(make.spec(queue="other"))
        (result,) = self.move(bench, ready, delay=10 * make.SECOND)
        assert (result.state, result.refusal) == (SCHEDULED, None)

    def test_what_is_in_the_queue_already_may_be_changed(self, bench: Bench) -> None:
        limit(bench, whole(REJECT, 1))
        first = bench.one()
        (result,) = self.move(bench, first, priority=7)
        assert result.refusal is None and bench.task(first).priority == 7

    @pytest.mark.parametrize("overflow", [WAIT, CANCEL_OLDEST, CANCEL_NEWEST])
    def test_nothing_is_cancelled_because_of_a_move(self, bench: Bench, overflow: int) -> None:
        other = bench.one(make.spec(queue="other"))
        limit(bench, whole(overflow, 1))
        first = bench.one()
        (result,) = self.move(bench, other)
        assert result.refusal is None
        assert states(bench, first, other) == [READY, READY]
        assert len(bench.claim(max_tasks=9)) == 1

    def test_what_is_moved_counts_as_submitted_to_both_queues(self, bench: Bench) -> None:
        limit(bench, whole(REJECT, 1))
        ready, waiting, refused = bench.submit(
            make.spec(queue="other"),
            make.spec(queue="other", delay=10 * make.SECOND),
            make.spec(queue="other"),
        )
        self.move(bench, ready, waiting, refused)
        self.move(bench, ready)
        queues = bench.driver.queues
        assert queues["default", "default"].submitted_total == 2
        assert queues["default", "other"].submitted_total == 3

    def test_a_debounced_submit_that_changes_the_queue_is_counted_there(self, bench: Bench) -> None:
        debounced = Debounce("k", 10 * make.SECOND, None)
        for queue in ("other", "default", "default"):
            bench.one(make.spec(queue=queue, admission=debounced))
        queues = bench.driver.queues
        assert queues["default", "other"].submitted_total == 1
        assert queues["default", "default"].submitted_total == 1
