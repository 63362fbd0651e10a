"""Limits of queues over a real channel: what may be said, and that it holds at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.v1 import queue_pb2, task_pb2

from .api import Api, Error, agent, agents_pb, fleet_pb, refused, schedules_pb, spec, tasks_pb
from .conftest import Server

LIMITS: dict[str, Any] = {
    "concurrency": {"limit": 3, "overflow": queue_pb2.OVERFLOW_POLICY_CANCEL_OLDEST},
    "concurrency_per_key": {"limit": 1, "overflow": queue_pb2.OVERFLOW_POLICY_WAIT},
    "rate": {"units": 10, "period": {"seconds": 60}, "burst": 20},
    "rate_per_key": {"units": 1, "period": {"seconds": 1}},
    "ageing": {"seconds": 5},
    "weights": {"big": 3},
}


async def update(api: Api, queue: str = "default", **fields: Any) -> Any:
    """Change a queue; return it."""
    response = await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue=queue, **fields))
    return response.queue


async def test_limits_come_back_as_they_were_set_and_an_empty_message_removes_them(
    api: Api,
) -> None:
    sent = queue_pb2.QueueLimits(**LIMITS)
    assert (await update(api, limits=LIMITS)).limits == sent
    untouched = await update(api, paused=True, reason="a rest")
    assert (untouched.limits, untouched.paused) == (sent, True)
    (listed,) = (await api.fleet.ListQueues(fleet_pb.ListQueuesRequest())).queues
    assert listed.limits == sent
    assert not (await update(api, limits={})).HasField("limits")


async def test_new_limits_replace_all_of_the_old_ones(api: Api) -> None:
    await update(api, limits=LIMITS)
    queue = await update(api, limits={"ageing": {"seconds": 1}})
    assert queue.limits == queue_pb2.QueueLimits(ageing={"seconds": 1})  # type: ignore[arg-type]


async def test_arrivals_are_set_beside_the_limits(api: Api) -> None:
    drop = queue_pb2.ARRIVAL_POLICY_DROP
    assert (await update(api)).paused_arrivals == queue_pb2.ARRIVAL_POLICY_QUEUE
    assert (await update(api, paused_arrivals=drop)).paused_arrivals == drop
    assert (await update(api, limits=LIMITS)).paused_arrivals == drop
    again = await update(api, paused_arrivals=queue_pb2.ARRIVAL_POLICY_QUEUE)
    assert again.paused_arrivals == queue_pb2.ARRIVAL_POLICY_QUEUE


@pytest.mark.parametrize(
    ("limits", "field", "says"),
    [
        ({"concurrency": {"limit": -1}}, "limits.concurrency.limit", "expected 0 to 1000000"),
        ({"concurrency": {"limit": 1_000_001}}, "limits.concurrency.limit", "got 1000001"),
        ({"concurrency_per_key": {"overflow": 2}}, "limits.concurrency_per_key.limit", "required"),
        ({"concurrency": {"limit": 1, "overflow": 9}}, "limits.concurrency.overflow", "Overflow"),
        ({"rate": {"units": -1}}, "limits.rate.units", "expected 0 to 1000000000"),
        ({"rate": {"burst": 5}}, "limits.rate.units", "required"),
        (
            {"rate": {"units": 1, "period": {"seconds": 31 * 86_400}, "burst": 2000}},
            "limits.rate.burst",
            "fills again",
        ),
        ({"rate": {"units": 1, "period": {"nanos": 5}}}, "limits.rate.period", "at least 0.001 s"),
        ({"rate_per_key": {"period": {"seconds": 1}}}, "limits.rate_per_key.units", "required"),
        (
            {"rate": {"units": 1, "period": {"seconds": 32 * 86_400}}},
            "limits.rate.period",
            "at most 31 days",
        ),
        ({"ageing": {"seconds": 0}}, "limits.ageing", "at least 0.001 s"),
        ({"weights": {"a": 0}}, 'limits.weights["a"]', "expected 1 to 1000"),
        ({"weights": {"a": 1001}}, 'limits.weights["a"]', "got 1001"),
        ({"weights": {"k" * 257: 2}}, f'limits.weights["{"k" * 40}"]', "at most 256 characters"),
        ({"weights": {f"k{i}": 2 for i in range(1001)}}, "limits.weights", "at most 1000 keys"),
    ],
)
async def test_wrong_limits_are_refused_by_field_and_change_nothing(
    api: Api, limits: dict[str, Any], field: str, says: str
) -> None:
    before = await update(api, limits=LIMITS)
    error = await refused(update(api, limits=limits))
    assert error.reason == "INVALID_FIELD"
    assert says in error.fields[field]
    (after,) = (await api.fleet.ListQueues(fleet_pb.ListQueuesRequest())).queues
    assert after == before


async def test_every_wrong_field_is_named(api: Api) -> None:
    limits = {"concurrency": {"limit": -1}, "rate": {"units": -1}, "ageing": {"seconds": -1}}
    error = await refused(update(api, limits=limits, paused_arrivals=7))
    assert set(error.fields) == {
        "limits.concurrency.limit",
        "limits.rate.units",
        "limits.ageing",
        "paused_arrivals",
    }


async def test_a_queue_over_its_limit_refuses_and_says_so(api: Api) -> None:
    reject = queue_pb2.OVERFLOW_POLICY_REJECT
    await update(api, limits={"concurrency_per_key": {"limit": 1, "overflow": reject}})
    (first,) = await api.submit(spec(group_key="red"))
    request = tasks_pb.SubmitRequest(tasks=[spec(group_key="red"), spec(group_key="blue")])
    refused_item, accepted = (await api.tasks.Submit(request)).results
    assert not accepted.HasField("error")
    error = Error(refused_item.error)
    assert error.reason == "LIMIT_EXCEEDED"
    assert error.metadata == {
        "limit": "1",
        "queue": "default",
        "group_key": "red",
        "task_id": first,
    }


async def test_the_oldest_that_runs_is_told_to_stop(api: Api) -> None:
    oldest = queue_pb2.OVERFLOW_POLICY_CANCEL_OLDEST
    await update(api, limits={"concurrency": {"limit": 1, "overflow": oldest}})
    await api.submit()
    task = await api.claim_one()
    (second,) = await api.submit()
    beats = [{"task_id": task.task_id, "lease_token": task.lease_token}]
    request = agents_pb.HeartbeatRequest(agent=agent(), leases=beats, wait={"seconds": 5})
    (directive,) = (await api.agents.Heartbeat(request)).directives
    assert (directive.directive, directive.reason) == (agents_pb.DIRECTIVE_CANCEL, "OVERFLOW")
    assert not (await api.claim("agent-2", wait={})).tasks
    await api.report(task, cancelled={})
    assert (await api.claim_one("agent-2")).task_id == second


async def test_what_arrives_in_a_pause_is_dropped_if_told_to(api: Api) -> None:
    await update(api, paused=True, paused_arrivals=queue_pb2.ARRIVAL_POLICY_DROP)
    (dropped,) = await api.submit()
    task = (await api.get(dropped)).task
    assert (task.state, task.reason) == (task_pb2.TASK_STATE_CANCELLED, "DROPPED")
    queue = await update(api, paused=False)
    assert (queue.submitted_total, queue.cancelled_total) == (1, 1)
    assert not (await api.claim(wait={})).tasks


async def test_a_higher_limit_reaches_a_claim_that_waits(api: Api) -> None:
    await update(api, limits={"concurrency": {"limit": 1}})
    await api.submit(spec(), spec())
    await api.claim_one()
    waiting = asyncio.create_task(api.claim("agent-2", wait={"seconds": 20}))
    await api.settle()
    assert not waiting.done()
    await update(api, limits={"concurrency": {"limit": 2}})
    assert len((await waiting).tasks) == 1


@pytest.mark.parametrize("key", ["", "red"])
@pytest.mark.parametrize("rate", ["rate", "rate_per_key"])
async def test_a_rate_lets_the_next_start_by_itself(api: Api, rate: str, key: str) -> None:
    limit = {"units": 1, "period": {"nanos": 200_000_000}}
    await update(api, limits={rate: limit})
    await api.submit(spec(group_key=key), spec(group_key=key), spec(group_key=key))
    begun = asyncio.get_running_loop().time()
    for _ in range(3):
        assert len((await api.claim(wait={"seconds": 20})).tasks) == 1
    took = asyncio.get_running_loop().time() - begun
    assert 0.35 < took < 5


async def test_removing_a_rate_reaches_a_claim_that_waits(api: Api) -> None:
    await update(api, limits={"rate": {"units": 1, "period": {"seconds": 86_400}}})
    await api.submit(spec(), spec())
    await api.claim_one()
    waiting = asyncio.create_task(api.claim(wait={"seconds": 20}))
    await api.settle()
    assert not waiting.done()
    await update(api, limits={})
    assert len((await waiting).tasks) == 1


async def test_a_rate_goes_on_after_a_restart(make_server: Callable[..., Server]) -> None:
    first = await make_server().start()
    await update(first.api, limits={"rate": {"units": 2, "period": {"seconds": 86_400}}})
    await first.api.submit(spec(), spec(units=2), spec())
    assert len((await first.api.claim(max_tasks=1)).tasks) == 1
    await first.stop()
    second = await make_server().start()
    try:
        assert not (await second.api.claim(wait={})).tasks
        await update(second.api, limits={"rate": {"units": 100, "period": {"seconds": 1}}})
        assert len((await second.api.claim()).tasks) == 2
    finally:
        await second.stop()


@pytest.mark.parametrize("key", ["", "red"])
@pytest.mark.parametrize("key_only", [True, False])
async def test_a_queue_or_a_key_rests_when_an_agent_says_so(
    api: Api, key_only: bool, key: str
) -> None:
    await api.submit(spec(group_key=key), spec(group_key=key))
    task = await api.claim_one()
    rest = {"back_off": {"seconds": 1}, "back_off_key_only": key_only}
    begun = asyncio.get_running_loop().time()
    await api.report(task, failed={"failure": {"message": "429"}, "retry_delay": {}, **rest})
    (queue,) = (await api.fleet.ListQueues(fleet_pb.ListQueuesRequest())).queues
    assert queue.HasField("back_off_until") != key_only
    await api.submit(spec(group_key="blue"))
    others = (await api.claim("agent-2", wait={})).tasks
    assert [other.group_key for other in others] == (["blue"] if key_only else [])
    assert (await api.claim(wait={"seconds": 20})).tasks
    assert asyncio.get_running_loop().time() - begun > 0.9


async def test_a_rest_is_an_hour_at_most(api: Api) -> None:
    await api.submit()
    task = await api.claim_one()
    result = await api.report(task, failed={"back_off": {"seconds": 3601}})
    error = Error(result.error)
    assert error.fields == {"reports[0].failed.back_off": "expected at most 1 h"}


async def test_whose_task_it_is_and_whom_it_waits_for_is_shown(api: Api) -> None:
    affinity = {
        "required": {"gpu": "yes"},
        "preferred": {"fast": "yes"},
        "patience": {"seconds": 60},
    }
    (task_id,) = await api.submit(spec(group_key="red", units=3, affinity=affinity))
    task = (await api.get(task_id)).task
    assert task.group_key == "red"
    assert dict(task.required_labels) == {"gpu": "yes", "fast": "yes"}
    slow = agent(labels={"gpu": "yes"})
    assert not (await api.claim(agent=slow, wait={})).tasks
    fast = agent("agent-2", labels={"gpu": "yes", "fast": "yes"})
    assert (await api.claim_one(agent=fast)).group_key == "red"


async def test_the_agent_of_an_earlier_task_is_waited_for(api: Api) -> None:
    (first,) = await api.submit()
    task = await api.claim_one("agent-1")
    await api.report(task, succeeded={})
    affinity = {"same_agent_as": first, "patience": {"seconds": 60}}
    (second,) = await api.submit(spec(affinity=affinity))
    assert (await api.get(second)).task.preferred_agent_id == "agent-1"
    assert not (await api.claim("agent-2", wait={})).tasks
    assert (await api.claim_one("agent-1")).task_id == second


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"group_key": "k" * 257}, "group_key", "at most 256 characters"),
        ({"group_key": "a\0b"}, "group_key", "NUL"),
        ({"units": -1}, "units", "expected 1 to 1000000"),
        ({"units": 1_000_001}, "units", "got 1000001"),
        ({"affinity": {"required": {"": "x"}}}, 'affinity.required[""]', "1 to 128"),
        ({"affinity": {"preferred": {"k": "v" * 257}}}, 'affinity.preferred["k"]', "256"),
        (
            {"affinity": {"required": {f"k{i}": "v" for i in range(65)}}},
            "affinity.required",
            "at most 64 pairs",
        ),
        ({"affinity": {"same_agent_as": "nobody"}}, "affinity.same_agent_as", "task_"),
        ({"affinity": {"patience": {"seconds": -1}}}, "affinity.patience", "not negative"),
    ],
)
async def test_wrong_lanes_are_refused_by_field(
    api: Api, fields: dict[str, Any], field: str, says: str
) -> None:
    (result,) = (await api.tasks.Submit(tasks_pb.SubmitRequest(tasks=[spec(**fields)]))).results
    assert says in Error(result.error).fields[f"tasks[0].{field}"]


async def test_the_agent_of_an_unknown_task_cannot_be_waited_for(api: Api) -> None:
    unknown = spec(affinity={"same_agent_as": "task_0000000000001"})
    (result,) = (await api.tasks.Submit(tasks_pb.SubmitRequest(tasks=[unknown]))).results
    error = Error(result.error)
    assert error.reason == "TASK_NOT_FOUND"
    assert error.metadata["field"] == "tasks[0].affinity.same_agent_as"


async def test_the_tasks_of_a_schedule_have_its_lane(api: Api) -> None:
    task = {
        "name": "work",
        "group_key": "red",
        "units": 2,
        "affinity": {"required": {"gpu": "yes"}},
    }
    request = schedules_pb.ScheduleRequest(
        schedule_id="tick", spec={"interval": {"seconds": 3600}, "task": task}
    )
    kept = (await api.schedules.Schedule(request)).schedule.spec.task
    assert (kept.group_key, kept.units, dict(kept.affinity.required)) == ("red", 2, {"gpu": "yes"})
    trigger = schedules_pb.TriggerScheduleRequest(schedule_id="tick")
    made = (await api.schedules.TriggerSchedule(trigger)).task_id
    found = (await api.get(made)).task
    assert (found.group_key, dict(found.required_labels)) == ("red", {"gpu": "yes"})
