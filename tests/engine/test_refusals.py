"""What a refusal says: the reason for programs, the sentence for people, and whom it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import ACTIVE, REJECT
from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.flow.holds import TASK_NAME
from quarterdeck_server.engine.flow.limits import REJECT as REJECTS
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.engine.policy import Policy

from . import make
from .bench import Bench

NOBODY = 999


def ended(bench: Bench, outcome: Any) -> None:
    """One task that ended."""
    bench.end(bench.running(make.spec(policy=Policy(max_attempts=1))), outcome)


def key_twice(bench: Bench) -> Any:
    bench.one(make.spec(key="k", content=b"1"))
    return bench.do(make.submit(make.spec(key="k", content=b"2")))[0].refusal


def unique_twice(bench: Bench) -> Any:
    spec = make.spec(admission=c.Unique("k", ACTIVE, REJECT, 0))
    bench.one(spec)
    return bench.do(make.submit(spec))[0].refusal


def no_parent(bench: Bench) -> Any:
    return bench.do(make.submit(make.spec(parent_id=NOBODY)))[0].refusal


def no_origin(bench: Bench) -> Any:
    spec = make.spec(policy=Policy(same_agent_as=NOBODY))
    return bench.do(make.submit(spec))[0].refusal


def no_dependency(bench: Bench) -> Any:
    return bench.do(make.submit(make.spec(depends_on=(NOBODY,))))[0].refusal


def refused_sibling(bench: Bench) -> Any:
    specs = (make.spec(parent_id=NOBODY), make.spec(depends_on=(-1,)))
    return bench.do(make.submit(*specs))[1].refusal


def failed_dependency(bench: Bench) -> Any:
    ended(bench, make.fail())
    return bench.do(make.submit(make.spec(depends_on=(1,))))[0].refusal


def full_queue(bench: Bench) -> Any:
    limits = QueueLimits(Concurrency(1, REJECTS))
    bench.do(c.UpdateQueue("default", "default", None, "", None, limits))
    bench.one()
    return bench.do(make.submit())[0].refusal


def full_key(bench: Bench) -> Any:
    limits = QueueLimits(concurrency_per_key=Concurrency(1, REJECTS))
    bench.do(c.UpdateQueue("default", "default", None, "", None, limits))
    bench.one(make.spec(group_key="acme"))
    return bench.do(make.submit(make.spec(group_key="acme")))[0].refusal


def cancel_ended(bench: Bench) -> Any:
    ended(bench, make.succeed())
    return bench.do(make.cancel(1))[0].refusal


def cancel_nothing(bench: Bench) -> Any:
    return bench.do(make.cancel(NOBODY))[0].refusal


def retry_waiting(bench: Bench) -> Any:
    bench.one()
    return bench.do(make.retry(1))[0].refusal


def rerun_waiting(bench: Bench) -> Any:
    bench.one()
    return bench.do(c.Rerun("default", [1]))[0].refusal


def update_ended(bench: Bench) -> Any:
    ended(bench, make.fail())
    return bench.do(c.UpdateTasks("default", [1], c.TaskChange(priority=1)))[0].refusal


def move_running(bench: Bench) -> Any:
    bench.running()
    return bench.do(c.UpdateTasks("default", [1], c.TaskChange(run_at=0)))[0].refusal


def many_labels(bench: Bench) -> Any:
    bench.one()
    labels = tuple((f"l{number}", "x") for number in range(200))
    return bench.do(c.UpdateTasks("default", [1], c.TaskChange(labels=labels)))[0].refusal


def pause_waiting(bench: Bench) -> Any:
    bench.one()
    return bench.do(c.PauseTasks("default", [1], "", ""))[0].refusal


def stale_report(bench: Bench) -> Any:
    task = bench.running()
    bench.do(c.Expire([(1, task.lease_token or 0)]))
    return bench.do(make.report(1, task.lease_token, make.succeed()))[0].refusal


def strange_report(bench: Bench) -> Any:
    bench.one()
    return bench.do(make.report(1, 5, make.succeed()))[0].refusal


def reused_request(bench: Bench) -> Any:
    bench.do(make.submit(request=make.request("r", b"1")))
    return bench.do(make.submit(request=make.request("r", b"2")))


def no_agent(bench: Bench) -> Any:
    return bench.do(c.SetAgentState("default", ["a9"], 1))[0]


def no_schedule(bench: Bench) -> Any:
    return bench.do(c.PauseSchedule("default", "s9", True))


def no_hold(bench: Bench) -> Any:
    return bench.do(c.ReleaseHold("default", TASK_NAME, "work"))


CASES: tuple[tuple[Callable[[Bench], Any], Refusal], ...] = (
    (
        key_twice,
        Refusal(
            "IDEMPOTENCY_KEY_REUSED",
            "idempotency key 'k' belongs to task_0000000000001, which was submitted with "
            "other content; use another key, or submit the same content",
            (("idempotency_key", "k"), ("task_id", "task_0000000000001")),
        ),
    ),
    (
        unique_twice,
        Refusal(
            "UNIQUE_KEY_TAKEN",
            "unique key 'k' of 'work' belongs to task_0000000000001; wait for it, or submit "
            "with another key",
            (("unique_key", "k"), ("task_id", "task_0000000000001")),
        ),
    ),
    (
        no_parent,
        Refusal(
            "TASK_NOT_FOUND",
            "parent_id: there is no task task_00000000000z7",
            (("task_id", "task_00000000000z7"),),
        ),
    ),
    (
        no_origin,
        Refusal(
            "TASK_NOT_FOUND",
            "affinity.same_agent_as: there is no task task_00000000000z7",
            (("task_id", "task_00000000000z7"), ("field", "affinity.same_agent_as")),
        ),
    ),
    (
        no_dependency,
        Refusal(
            "TASK_NOT_FOUND",
            "depends_on: there is no task task_00000000000z7",
            (("task_id", "task_00000000000z7"),),
        ),
    ),
    (
        refused_sibling,
        Refusal(
            "INVALID_FIELD",
            "depends_on: item #0 of this request was refused, so this one was not accepted",
            (("field", "depends_on"),),
        ),
    ),
    (
        failed_dependency,
        Refusal(
            "WRONG_STATE",
            "depends_on: task_0000000000001 has ended without success, so this task could "
            "never start",
            (("task_id", "task_0000000000001"), ("state", "FAILED")),
        ),
    ),
    (
        full_queue,
        Refusal(
            "LIMIT_EXCEEDED",
            "queue 'default' is full (active tasks: 1, limit: 1); submit again when one has "
            "ended: task_0000000000001 is the oldest",
            (
                ("limit", "1"),
                ("queue", "default"),
                ("group_key", ""),
                ("task_id", "task_0000000000001"),
            ),
        ),
    ),
    (
        full_key,
        Refusal(
            "LIMIT_EXCEEDED",
            "queue 'default' is full (active tasks of group key 'acme': 1, limit: 1); submit "
            "again when one has ended: task_0000000000001 is the oldest",
            (
                ("limit", "1"),
                ("queue", "default"),
                ("group_key", "acme"),
                ("task_id", "task_0000000000001"),
            ),
        ),
    ),
    (
        cancel_ended,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is SUCCEEDED: it cannot be cancelled any more",
            (("task_id", "task_0000000000001"), ("state", "SUCCEEDED")),
        ),
    ),
    (
        cancel_nothing,
        Refusal(
            "TASK_NOT_FOUND",
            "there is no task task_00000000000z7; it never existed, or retention has removed it",
            (("task_id", "task_00000000000z7"),),
        ),
    ),
    (
        retry_waiting,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is READY: only a failed, cancelled or expired task can be retried",
            (("task_id", "task_0000000000001"), ("state", "READY")),
        ),
    ),
    (
        rerun_waiting,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is READY: only a task that has ended can be run again",
            (("task_id", "task_0000000000001"), ("state", "READY")),
        ),
    ),
    (
        update_ended,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is FAILED: only a task that has not ended can be changed",
            (("task_id", "task_0000000000001"), ("state", "FAILED")),
        ),
    ),
    (
        move_running,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is RUNNING: run_time can only be changed while it waits",
            (("task_id", "task_0000000000001"), ("state", "RUNNING")),
        ),
    ),
    (
        many_labels,
        Refusal(
            "INVALID_FIELD",
            "update.labels: the task would have more than 64 labels",
            (("field", "update.labels"),),
        ),
    ),
    (
        pause_waiting,
        Refusal(
            "WRONG_STATE",
            "task_0000000000001 is READY: only a running task can be paused",
            (("task_id", "task_0000000000001"), ("state", "READY")),
        ),
    ),
    (
        stale_report,
        Refusal(
            "LEASE_LOST",
            "the lease of task_0000000000001 is not the caller's: attempt 1 ended as LOST; "
            "stop working on it",
            (("task_id", "task_0000000000001"), ("attempt", "1")),
        ),
    ),
    (
        strange_report,
        Refusal(
            "LEASE_LOST",
            "the lease of task_0000000000001 is not the caller's: the token is not of any "
            "attempt of it; stop working on it",
            (("task_id", "task_0000000000001"), ("attempt", "0")),
        ),
    ),
    (
        reused_request,
        Refusal(
            "REQUEST_ID_REUSED",
            "request id 'r' was used before with another body; use a new one for a new request",
            (("request_id", "r"),),
        ),
    ),
    (
        no_agent,
        Refusal(
            "AGENT_NOT_FOUND",
            "there is no agent 'a9'; it never called, or retention has removed it",
            (("agent_id", "a9"),),
        ),
    ),
    (
        no_schedule,
        Refusal("SCHEDULE_NOT_FOUND", "there is no schedule 's9'", (("schedule_id", "s9"),)),
    ),
    (
        no_hold,
        Refusal(
            "HOLD_NOT_FOUND",
            "task name 'work' is not held; ListHolds has all that is",
            (("kind", "TASK_NAME"), ("subject", "work")),
        ),
    ),
)


@pytest.mark.parametrize(("case", "expected"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_refusal_says(bench: Bench, case: Callable[[Bench], Any], expected: Refusal) -> None:
    assert case(bench) == expected
