"""Limits of queues over a real channel: what may be said, and that it holds at once."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.v1 import queue_pb2

from .api import Api, fleet_pb, refused

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
    untouched = await update(api, paused=True, note="a rest")
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
