"""Facts that the larger tests pass by: what a row says of how it came to be so; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import ACTIVE, REJECT
from quarterdeck_server.engine.flow.limits import REJECT as REJECTS
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.engine.model import Payload, Task, cancellation_of
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.schedule.firing import template_text
from quarterdeck_server.engine.states import CANCELLED, EXPIRED, FAILED, READY, SCHEDULED

from . import make
from .bench import Bench
from .make import SECOND


def how_it_ended(task: Task) -> tuple[int, str | None, str | None, str | None]:
    return task.state, task.reason, task.error_type, task.error_message


def test_a_task_of_a_schedule_is_what_its_template_says(bench: Bench) -> None:
    policy = policy_text(Policy(max_attempts=7))
    text = template_text(8, policy, '{"a":"b"}', '["k",[],null]', '{"n":1}')
    rule = make.interval("s")._replace(task_spec=text, input_type="text/plain", input=b"in")
    bench.do(c.PutSchedule(rule))
    reply = bench.do(c.TriggerSchedule("default", "s"))
    task = bench.task(reply.task_id)
    assert (task.queue, task.name, task.priority, task.policy, task.labels, task.attributes, task.lane) == (
        "default", "tick", 8, policy, '{"a":"b"}', '{"n":1}', '["k",[],null]',
    )  # fmt: skip
    assert bench.driver.inputs[task.id] == Payload("text/plain", b"in")
    assert (task.schedule_id, task.state, task.max_attempts) == ("s", READY, 7)


def test_a_task_of_a_schedule_without_input_has_none(bench: Bench) -> None:
    bench.do(c.PutSchedule(make.interval("s")))
    assert bench.do(c.TriggerSchedule("default", "s")).task_id not in bench.driver.inputs


def test_the_same_trigger_instant_is_not_used_twice(bench: Bench) -> None:
    bench.do(c.PutSchedule(make.interval("s")))
    first = bench.do(c.TriggerSchedule("default", "s")).task_id
    bench.do(c.DeleteSchedule("default", "s"))
    bench.do(c.PutSchedule(make.interval("s")))
    second = bench.do(c.TriggerSchedule("default", "s")).task_id
    one, two = bench.task(first).schedule_time, bench.task(second).schedule_time
    assert one is not None and two == one + 1


def test_what_depended_on_a_failure_says_on_which(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(max_attempts=1)))
    other = bench.one(make.spec(depends_on=(task.id,)))
    bench.now += SECOND
    bench.end(task, make.fail())
    ended = bench.task(other)
    reason = "DEPENDENCY_FAILED"
    assert how_it_ended(ended) == (CANCELLED, reason, reason, "task_0000000000001 did not succeed")
    assert ended.end_time == bench.now and ended.wake_at is None


def test_a_task_whose_time_was_over_before_it_started_says_so(bench: Bench) -> None:
    late = bench.one(make.spec(policy=Policy(task_timeout=5 * SECOND)))
    unstarted = bench.one(make.spec(policy=Policy(schedule_to_start=5 * SECOND)))
    bench.pass_time(5)
    first, second = bench.task(late), bench.task(unstarted)
    assert (first.state, first.reason, first.error_type) == (FAILED, "TASK_TIMEOUT", "TASK_TIMEOUT")
    assert (second.state, second.reason) == (EXPIRED, "SCHEDULE_TO_START_TIMEOUT")
    assert first.end_time == second.end_time == bench.now
    assert first.wake_at is second.wake_at is None


def test_a_full_queue_refuses_a_task_with_a_free_unique_key(bench: Bench) -> None:
    limits = QueueLimits(Concurrency(1, REJECTS))
    bench.do(c.UpdateQueue("default", "default", None, "", None, limits))
    bench.one()
    spec = make.spec(admission=c.Unique("k", ACTIVE, REJECT, 0))
    (item,) = bench.do(make.submit(spec))
    assert item.refusal is not None and item.refusal.reason == "LIMIT_EXCEEDED"
    assert not bench.driver.admissions
    delayed = make.spec(admission=c.Unique("k", ACTIVE, REJECT, 0), delay=SECOND)
    assert bench.task(bench.one(delayed)).state == SCHEDULED


def test_late_heartbeats_of_one_group_are_each_counted(bench: Bench) -> None:
    task = bench.running()
    token = task.lease_token or 0
    late = c.Beat(task.id, token, late=True)
    bench.group(c.Expire([(task.id, token)]), c.RecordBeats([late, late]), c.RecordBeats([late]))
    assert bench.driver.attempts[task.id, 1].late_heartbeats == 3
    assert bench.driver.attempts[task.id, 1].late_reports == 0


def test_late_reports_of_one_group_are_each_counted(bench: Bench) -> None:
    task = bench.running()
    report = make.report(task.id, task.lease_token, make.succeed())
    bench.group(c.Expire([(task.id, task.lease_token or 0)]), report, report)
    assert bench.driver.attempts[task.id, 1].late_reports == 2
    assert bench.task(task.id).late_reports == 2


def test_all_children_are_cancelled_past_those_that_have_ended(bench: Bench) -> None:
    parent = bench.running()
    children = bench.submit(*[make.spec(parent_id=parent.id) for _ in range(3)])
    bench.do(make.cancel(children[1], children[2]))
    below = bench.one(make.spec(parent_id=children[0]))
    bench.do(make.cancel(parent.id))
    for task_id in (*children, below):
        task = bench.task(task_id)
        cancel = cancellation_of(task)
        assert task.state == CANCELLED and task.end_time == bench.now
        assert cancel is not None and (cancel.actor, cancel.reason) == ("tester", "not needed")


@pytest.mark.parametrize("fresh", [False, True])
def test_a_copy_has_the_input_that_its_origin_has_then(bench: Bench, fresh: bool) -> None:
    key = c.Debounce("k", SECOND, None)
    spec = make.spec(data=b"1", admission=key)
    task_id = bench.one(spec)
    again = make.submit(spec._replace(input=Payload("t", b"2")))
    stop = make.cancel(task_id)
    rerun = c.Rerun("default", [task_id])
    if fresh:
        (*_, (copy,)) = bench.group(again, stop, rerun)
    else:
        bench.group(again, stop)
        ((copy,),) = bench.group(rerun)
    assert bench.driver.inputs[copy.task_id] == Payload("t", b"2")


def test_a_copy_of_a_task_of_the_same_group_has_its_input(bench: Bench) -> None:
    submit = make.submit(make.spec(data=b"in"), make.spec())
    first = bench.one() + 1
    rerun = c.Rerun("default", [first, first + 1])
    *_, copies = bench.group(submit, make.cancel(first, first + 1), rerun)
    assert bench.driver.inputs[copies[0].task_id].data == b"in"
    assert copies[1].task_id not in bench.driver.inputs


def test_limits_of_a_moved_task_count_where_it_is(bench: Bench) -> None:
    for queue, most in (("default", 1), ("other", 2)):
        limits = QueueLimits(Concurrency(most, REJECTS))
        bench.do(c.UpdateQueue("default", queue, None, "", None, limits))
    moved = bench.one()
    bench.do(make.submit(make.spec(queue="other")))
    bench.do(c.UpdateTasks("default", [moved], c.TaskChange(queue="other")))
    assert bench.do(make.submit())[0].refusal is None, "its place is free"
    assert bench.do(make.submit(make.spec(queue="other")))[0].refusal is not None


def test_a_queue_that_rejects_lets_in_again_when_one_has_ended(bench: Bench) -> None:
    limits = QueueLimits(concurrency_per_key=Concurrency(1, REJECTS))
    bench.do(c.UpdateQueue("default", "default", None, "", None, limits))
    spec = make.spec(group_key="a")
    task = bench.running(spec)
    assert bench.do(make.submit(spec))[0].refusal is not None
    assert bench.do(make.submit(replace_key(spec)))[0].refusal is None
    bench.end(task, make.succeed())
    assert bench.do(make.submit(spec))[0].refusal is None


def replace_key(spec: c.Spec) -> c.Spec:
    return spec._replace(lane=make.spec(group_key="b").lane)


def test_claims_of_held_agents_are_passed_by(bench: Bench) -> None:
    bench.do(c.PutHold("default", 3, "a1", "tester", "why"))
    bench.one()
    bench.group(claims=[make.claim("a1"), make.claim("a2", place=1)])
    assert [task.agent_id for task in bench.driver.tasks.values()] == ["a2"]


def test_lines_of_a_log_are_numbered_through_and_repeated_ones_are_dropped(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(initial_backoff=0)))
    token = task.lease_token or 0

    def send(offset: int, *texts: str) -> None:
        lines = [c.Line(None, "info", "log", text) for text in texts]
        (refusal,) = bench.do(c.AppendLogs("default", [c.LogItem(task.id, token, offset, lines)]))
        assert refusal is None

    send(0, "a", "b")
    send(1, "b", "c")
    bench.end(task, make.fail())
    (again,) = bench.claim()
    token = again.lease_token or 0
    send(0, "d", "e")
    rows = sorted(bench.driver.logs, key=lambda row: row.sequence)
    assert [(row.sequence, row.attempt, row.offset, row.text) for row in rows] == [
        (1, 1, 0, "a"),
        (2, 1, 1, "b"),
        (3, 1, 2, "c"),
        (4, 2, 0, "d"),
        (5, 2, 1, "e"),
    ]


def test_lines_for_a_task_that_is_not_there_are_refused(bench: Bench) -> None:
    item = c.LogItem(99, 1, 0, [c.Line(None, "info", "log", "x")])
    (refusal,) = bench.do(c.AppendLogs("default", [item]))
    assert refusal.reason == "TASK_NOT_FOUND" and dict(refusal.metadata)["task_id"].endswith("33")
    task = bench.running()
    item = c.LogItem(task.id, task.lease_token or 0, 0, [c.Line(None, "info", "log", "x")])
    (refusal,) = bench.do(c.AppendLogs("elsewhere", [item]))
    assert refusal.reason == "TASK_NOT_FOUND"


def test_a_cancel_that_is_not_heeded_ends_the_attempt_after_its_grace(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(cancel_grace=3 * SECOND)))
    bench.do(make.cancel(task.id))
    bench.do(c.RecordBeats([c.Beat(task.id, task.lease_token or 0, delivered=True)]))
    bench.pass_time(3)
    ended = bench.task(task.id)
    cancel = cancellation_of(ended)
    assert (ended.state, ended.reason) == (CANCELLED, "CANCEL_ESCALATED")
    assert (ended.end_time, ended.wake_at, ended.lease_token) == (bench.now, None, None)
    assert cancel is not None and (cancel.stop_time, cancel.escalate_time) == (None, bench.now)
    bench.do(make.retry(task.id))
    revived = bench.task(task.id)
    assert (revived.state, revived.cancel, revived.reason, revived.end_time) == (
        READY,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (Policy(stall_timeout=SECOND), "STALLED", "the attempt reported no progress for 1 s"),
        (Policy(attempt_timeout=SECOND), "ATTEMPT_TIMEOUT", "the attempt did not end within 1 s"),
        (Policy(task_timeout=SECOND), "TASK_TIMEOUT", "the time for all attempts was over"),
    ],
)
def test_a_limit_of_time_says_which(bench: Bench, policy: Policy, error: str, message: str) -> None:
    task = bench.running(make.spec(policy=policy))
    waiting = None if policy.task_timeout is None else bench.one(make.spec(policy=policy))
    bench.pass_time(1)
    ended = bench.task(task.id)
    assert (ended.error_type, ended.error_message) == (error, message)
    if waiting is not None:
        late = bench.task(waiting)
        assert (late.error_type, late.error_message) == (error, message)


def test_a_limit_that_a_task_had_moves_and_one_it_had_not_begins_with_it(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(attempt_timeout=10 * SECOND)))
    bench.now += SECOND
    longer = Policy(attempt_timeout=30 * SECOND, task_timeout=60 * SECOND)
    bench.do(c.UpdateTasks("default", [task.id], c.TaskChange(timeouts=longer)))
    after = bench.task(task.id)
    assert after.attempt_deadline == (task.claim_time or 0) + 30 * SECOND
    assert after.task_deadline == task.create_time + 60 * SECOND


def test_a_task_that_is_not_paused_is_not_resumed(bench: Bench) -> None:
    task = bench.running()
    (result,) = bench.do(c.ResumeTasks("default", [task.id]))
    assert result.refusal.message == "task_0000000000001 is RUNNING: it is not paused"


def test_as_many_labels_as_a_task_may_have(bench: Bench) -> None:
    task_id = bench.one()
    labels = tuple((f"l{number}", "x") for number in range(64))
    (result,) = bench.do(c.UpdateTasks("default", [task_id], c.TaskChange(labels=labels)))
    assert result.refusal is None
    more = c.TaskChange(labels=(("one", "more"),))
    (result,) = bench.do(c.UpdateTasks("default", [task_id], more))
    assert result.refusal.reason == "INVALID_FIELD"


def test_a_queue_says_why_it_is_paused_until_it_goes_on(bench: Bench) -> None:
    for paused, note in ((True, "deploy"), (False, None)):
        bench.do(c.UpdateQueue("default", "default", paused, "deploy"))
        queue = bench.driver.queues["default", "default"]
        assert (queue.paused, queue.pause_note) == (int(paused), note)


def test_a_cancel_that_a_lost_agent_never_answered_is_escalated(bench: Bench) -> None:
    task = bench.running()
    bench.do(make.cancel(task.id))
    bench.do(c.Expire([(task.id, task.lease_token or 0)]))
    assert bench.task(task.id).reason == "CANCEL_ESCALATED"


def test_a_cancel_that_a_report_answers_is_not_escalated(bench: Bench) -> None:
    task = bench.running()
    bench.do(make.cancel(task.id))
    assert bench.end(task, make.fail()).reason == "CANCEL_REQUESTED"
