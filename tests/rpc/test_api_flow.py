"""Flow control over a real channel: turns, limits, rates, labels, batches."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from .api import Api, agent, fleet_pb, refused, spec

BATCH: dict[str, Any] = {"size": 3, "linger": {"seconds": 20}}


async def limit(api: Api, **limits: Any) -> None:
    """Set the limits of the default queue."""
    await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="default", limits=limits))


async def test_group_keys_take_turns(api: Api) -> None:
    await api.submit(*(spec(group_key="large") for _ in range(40)))
    await api.submit(*(spec(group_key="small") for _ in range(5)))
    given = (await api.claim(max_tasks=10)).tasks
    keys = Counter([(await api.get(task.task_id)).task.group_key for task in given])
    assert keys == {"large": 5, "small": 5}


async def test_a_limit_holds_until_a_lease_ends(api: Api) -> None:
    await limit(api, concurrency={"limit": 1})
    await api.submit(spec(), spec())
    first = await api.claim_one()
    waiting = asyncio.create_task(api.claim_one("agent-2", wait={"seconds": 20}))
    await api.settle()
    assert not waiting.done()
    await api.report(first, succeeded={})
    assert (await waiting).task_id != first.task_id


async def test_an_edited_limit_lets_a_waiting_claim_go_on(api: Api) -> None:
    await limit(api, concurrency_per_key={"limit": 1})
    await api.submit(spec(group_key="k"), spec(group_key="k"))
    await api.claim_one()
    waiting = asyncio.create_task(api.claim_one("agent-2", wait={"seconds": 20}))
    await api.settle()
    assert not waiting.done()
    await limit(api, concurrency_per_key={"limit": 2})
    await waiting


async def test_a_claim_waits_for_tokens(api: Api) -> None:
    await limit(api, rate={"units": 1, "period": {"nanos": 200_000_000}})
    await api.submit(spec(), spec())
    assert len((await api.claim()).tasks) == 1
    assert len((await api.claim("agent-2", wait={"seconds": 20})).tasks) == 1


async def test_required_labels_choose_the_agent(api: Api) -> None:
    plain = asyncio.create_task(api.claim(wait={"seconds": 20}))
    fit = agent("agent-2", labels={"gpu": "a100", "zone": "b"})
    fitting = asyncio.create_task(api.claim("agent-2", agent=fit, wait={"seconds": 20}))
    await api.settle()
    (task_id,) = await api.submit(spec(affinity={"required": {"gpu": "a100"}}))
    assert [task.task_id for task in (await fitting).tasks] == [task_id]
    assert not plain.done()
    await api.submit()
    assert len((await plain).tasks) == 1


async def test_a_preferred_agent_is_waited_for_no_longer_than_its_patience(api: Api) -> None:
    affinity = {"preferred": {"gpu": "a100"}, "patience": {"nanos": 100_000_000}}
    (task_id,) = await api.submit(spec(affinity=affinity))
    assert (await api.claim_one(wait={"seconds": 20})).task_id == task_id


async def test_a_batch_waits_until_it_is_full(api: Api) -> None:
    waiting = asyncio.create_task(api.claim(batch=BATCH, wait={"seconds": 20}))
    await api.settle()
    await api.submit(spec(group_key="k"), spec(group_key="k"))
    await api.submit(spec(group_key="other"), spec(name="other"))
    await api.settle()
    assert not waiting.done()
    await api.submit(spec(group_key="k"))
    assert len((await waiting).tasks) == 3


async def test_a_batch_waits_no_longer_than_its_linger(api: Api) -> None:
    batch = {"size": 3, "linger": {"nanos": 100_000_000}}
    waiting = asyncio.create_task(api.claim(batch=batch, wait={"seconds": 20}))
    await api.settle()
    await api.submit(spec(), spec())
    assert len((await waiting).tasks) == 2


async def test_a_repeated_batch_claim_returns_the_same_leases(api: Api) -> None:
    await api.submit(spec(), spec(), spec())
    first = await api.claim(request_id="r1", batch=BATCH)
    again = await api.claim(request_id="r1", batch=BATCH)
    assert [t.lease_token for t in again.tasks] == [t.lease_token for t in first.tasks]


async def test_a_batch_has_a_size(api: Api) -> None:
    error = await refused(api.claim(batch={"size": 1001}))
    assert error.reason == "INVALID_FIELD"
    assert (await refused(api.claim(batch={}))).reason == "INVALID_FIELD"
