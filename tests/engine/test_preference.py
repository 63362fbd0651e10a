"""Whom tasks wait for when they become ready."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine.commands import (
    PutAgents,
    PutHold,
    Release,
    SetAgentState,
    Spec,
    Submitted,
)
from quarterdeck_server.engine.flow.affinity import required_lane
from quarterdeck_server.engine.flow.lane import LaneKey, lane_of
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import BLOCKED, READY, AgentState, HoldKind

from . import make
from .bench import Bench
from .make import SECOND

GPU = (("gpu", "yes"),)
FAST = (("fast", "yes"),)


def wanting(key: str = "", **policy: Any) -> Spec:
    """A spec as the edge makes it: its lane is what it requires."""
    made = Policy(**policy)
    return make.spec(policy=made)._replace(lane=required_lane(key, made))


def lane(bench: Bench, task_id: int) -> LaneKey:
    return lane_of(bench.task(task_id).lane)


def origin(bench: Bench) -> int:
    """A task that agent a1, which is active, has run."""
    bench.do(PutAgents([make.agent("a1")]))
    task = bench.running()
    bench.end(task, make.succeed())
    return task.id


def test_preferred_labels_are_waited_for_until_patience_is_over(bench: Bench) -> None:
    task_id = bench.one(wanting("red", required=GPU, preferred=FAST, patience=2 * SECOND))
    assert lane(bench, task_id) == LaneKey("red", FAST + GPU)
    assert bench.task(task_id).wake_at == bench.now + 2 * SECOND
    bench.pass_time(2)
    assert lane(bench, task_id) == LaneKey("red", GPU)
    assert bench.task(task_id).wake_at is None


def test_the_agent_of_an_earlier_task_is_waited_for(bench: Bench) -> None:
    first = origin(bench)
    second = bench.one(wanting("red", same_agent_as=first))
    assert lane(bench, second) == LaneKey("red", (), "a1")
    bench.pass_time(5)
    assert lane(bench, second) == LaneKey("red")


@pytest.mark.parametrize(
    ("kind", "subject"), [(HoldKind.AGENT, "a1"), (HoldKind.AGENT_VERSION, "a1@1")]
)
def test_a_held_agent_is_not_waited_for(bench: Bench, kind: HoldKind, subject: str) -> None:
    first = origin(bench)
    bench.do(PutHold("default", int(kind), subject, "ann", ""))
    second = bench.one(wanting(same_agent_as=first))
    assert bench.task(second).lane is None
    assert bench.task(second).wake_at is None


def test_an_agent_that_takes_no_work_is_not_waited_for(bench: Bench) -> None:
    first = origin(bench)
    bench.do(SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    second = bench.one(wanting(same_agent_as=first))
    assert bench.task(second).lane is None


def test_a_task_that_was_never_started_is_not_waited_for(bench: Bench) -> None:
    first = bench.one(make.spec(queue="other"))
    second = bench.one(wanting(same_agent_as=first))
    assert bench.task(second).lane is None


def test_an_unknown_task_is_named(bench: Bench) -> None:
    replies: list[Submitted] = bench.do(make.submit(wanting(same_agent_as=77), make.spec()))
    refused, accepted = replies
    assert refused.refusal is not None and accepted.refusal is None
    assert refused.refusal.reason == "TASK_NOT_FOUND"
    assert dict(refused.refusal.metadata)["field"] == "affinity.same_agent_as"
    assert refused.refusal.message.startswith("affinity.same_agent_as: ")


def test_whom_to_wait_for_is_found_out_when_the_delay_is_over(bench: Bench) -> None:
    bench.do(PutAgents([make.agent("a1")]))
    first = bench.running(make.spec(queue="default"))
    later = bench.one(wanting(same_agent_as=first.id)._replace(delay=3 * SECOND))
    assert bench.task(later).lane is None
    bench.pass_time(3)
    assert lane(bench, later) == LaneKey("", (), "a1")


def test_a_dependent_waits_for_the_agent_of_what_it_depends_on(bench: Bench) -> None:
    bench.do(PutAgents([make.agent("a1")]))
    first = bench.one()
    second = bench.one(wanting(same_agent_as=first)._replace(depends_on=(first,)))
    assert (bench.task(second).state, bench.task(second).lane) == (BLOCKED, None)
    (task,) = bench.claim()
    bench.end(task, make.succeed())
    assert (bench.task(second).state, lane(bench, second)) == (READY, LaneKey("", (), "a1"))


def test_a_retried_task_waits_again(bench: Bench) -> None:
    first = origin(bench)
    second = bench.one(wanting(same_agent_as=first, max_attempts=1, patience=SECOND))
    bench.pass_time(1)
    bench.do(make.cancel(second))
    bench.pass_time(60)
    bench.do(make.retry(second))
    assert lane(bench, second) == LaneKey("", (), "a1")


def test_a_released_task_whose_patience_was_over_goes_to_anybody(bench: Bench) -> None:
    second = bench.one(wanting(preferred=FAST, patience=SECOND))
    bench.pass_time(1)
    (task,) = bench.claim()
    assert task.id == second
    assert bench.end(task, Release("later")).lane is None
