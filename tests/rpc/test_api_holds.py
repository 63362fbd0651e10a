"""Freezes, paused names and quarantines over a real channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.v1 import audit_pb2, hold_pb2, queue_pb2, task_pb2
from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck.v1 import watch_service_pb2 as watch_pb

from .api import Api, agent, agents_pb, fleet_pb, refused, spec
from .conftest import Server
from .test_api_watch import watching

NAMESPACE, NAME = hold_pb2.HOLD_KIND_NAMESPACE, hold_pb2.HOLD_KIND_TASK_NAME
AGENT, VERSION = hold_pb2.HOLD_KIND_AGENT, hold_pb2.HOLD_KIND_AGENT_VERSION


async def hold(api: Api, kind: hold_pb2.HoldKind.ValueType, subject: str, **more: Any) -> Any:
    """Hold something by hand."""
    request = pb.PutHoldRequest(kind=kind, subject=subject, actor="ops", **more)
    return (await api.fleet.PutHold(request)).hold


async def release(api: Api, kind: hold_pb2.HoldKind.ValueType, subject: str) -> Any:
    """Release what is held."""
    request = pb.ReleaseHoldRequest(kind=kind, subject=subject, actor="ops", reason="mended")
    return (await api.fleet.ReleaseHold(request)).hold


async def holds(api: Api, namespace: str = "") -> list[hold_pb2.Hold]:
    """All that is held."""
    return list((await api.fleet.ListHolds(pb.ListHoldsRequest(namespace=namespace))).holds)


async def entries(api: Api) -> list[audit_pb2.AuditEntry]:
    """The audit log, the newest first."""
    return list((await api.fleet.ListAuditEntries(pb.ListAuditEntriesRequest())).entries)


async def test_one_call_stops_all_claiming_while_what_runs_goes_on(api: Api) -> None:
    await api.submit(*[spec(queue=queue) for queue in ("red", "blue", "green")])
    running = await api.claim_one(queues=["red"])
    freeze = pb.FreezeRequest(reason="the provider is down", actor="ops")
    hold = (await api.fleet.Freeze(freeze)).hold
    assert (hold.kind, hold.subject, hold.actor) == (NAMESPACE, "", "ops")
    await api.submit(spec(queue="new"))
    for queue in ("blue", "green", "new"):
        assert not (await api.claim(queues=[queue], wait={})).tasks
    beat = {"task_id": running.task_id, "lease_token": running.lease_token}
    heartbeat = agents_pb.HeartbeatRequest(agent=agent(), leases=[beat])
    assert not (await api.agents.Heartbeat(heartbeat)).directives
    result = await api.report(running, succeeded={})
    assert result.state == task_pb2.TASK_STATE_SUCCEEDED
    assert (await api.fleet.Thaw(pb.ThawRequest())).thawed
    for queue in ("blue", "green", "new"):
        assert (await api.claim(queues=[queue], wait={})).tasks


async def test_another_namespace_is_not_frozen(api: Api) -> None:
    await api.fleet.Freeze(pb.FreezeRequest(namespace="other"))
    await api.submit()
    assert await api.claim_one()


async def test_a_thaw_serves_the_claim_that_waits(api: Api) -> None:
    await api.submit()
    await api.fleet.Freeze(pb.FreezeRequest())
    claim = asyncio.ensure_future(api.claim(wait={"seconds": 20}))
    await api.settle()
    begun = time.monotonic()
    await api.fleet.Thaw(pb.ThawRequest())
    assert len((await claim).tasks) == 1
    assert time.monotonic() - begun < 5, "it did not wait for its own end"


async def test_a_second_freeze_answers_the_first_and_a_second_thaw_says_so(api: Api) -> None:
    first = (await api.fleet.Freeze(pb.FreezeRequest(reason="first", actor="ann"))).hold
    again = (await api.fleet.Freeze(pb.FreezeRequest(reason="second", actor="bob"))).hold
    assert again == first
    assert await holds(api) == [first]
    assert (await api.fleet.Thaw(pb.ThawRequest(actor="ann", reason="over"))).thawed
    assert not (await api.fleet.Thaw(pb.ThawRequest())).thawed
    assert await holds(api) == []
    told = [(e.action, e.actor, e.reason, e.done) for e in await entries(api)]
    assert told == [
        ("Thaw", "unknown", "", 0),
        ("Thaw", "ann", "over", 1),
        ("Freeze", "bob", "second", 0),
        ("Freeze", "ann", "first", 1),
    ]


async def test_a_held_name_waits_while_others_go_on(api: Api) -> None:
    await api.submit(spec("mail", priority=9), spec("work"))
    assert (await hold(api, NAME, "mail")).arrivals == queue_pb2.ARRIVAL_POLICY_QUEUE
    assert (await api.claim_one()).name == "work"
    waiting = asyncio.ensure_future(api.claim(wait={"seconds": 20}))
    await api.settle()
    assert (await release(api, NAME, "mail")).subject == "mail"
    (task,) = (await waiting).tasks
    assert task.name == "mail"


@pytest.mark.parametrize(
    ("kind", "subject"), [(AGENT, "agent-1"), (VERSION, "tester@1.2")], ids=["agent", "version"]
)
async def test_a_held_agent_is_given_nothing_until_it_is_released(
    api: Api, kind: hold_pb2.HoldKind.ValueType, subject: str
) -> None:
    await hold(api, kind, subject)
    (task_id,) = await api.submit()
    info = agent("agent-1", version="1.2")
    answer = await api.claim(agent=info, wait={"nanos": 50_000_000})
    assert not answer.tasks and not answer.drain
    waiting = asyncio.ensure_future(api.claim(agent=info, wait={"seconds": 20}))
    await api.settle()
    await release(api, kind, subject)
    (task,) = (await waiting).tasks
    assert task.task_id == task_id


async def test_what_a_held_agent_waits_for_goes_to_the_next(api: Api) -> None:
    await hold(api, AGENT, "agent-1")
    first = asyncio.ensure_future(api.claim("agent-1", wait={"seconds": 1}))
    await api.settle()
    second = asyncio.ensure_future(api.claim("agent-2", wait={"seconds": 20}))
    await api.settle()
    await api.submit()
    assert len((await second).tasks) == 1
    assert not (await first).tasks


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(NAMESPACE, ""), (NAME, "mail"), (AGENT, "agent-1"), (VERSION, "tester@1.2")],
    ids=["namespace", "name", "agent", "version"],
)
@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
async def test_queues_with_limits_and_batches_are_held_alike(
    api: Api, kind: hold_pb2.HoldKind.ValueType, subject: str, batch: bool
) -> None:
    limits = {
        "concurrency": {"limit": 50},
        "rate_per_key": {"units": 100, "period": {"seconds": 1}},
    }
    await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="default", limits=limits))
    await api.submit(*[spec("mail", group_key="tenant-1") for _ in range(3)])
    info = agent("agent-1", version="1.2")
    asks: dict[str, Any] = {"agent": info, "names": ["mail"]}
    if batch:
        asks |= {"batch": {"size": 3, "linger": {"nanos": 1_000_000}}}
    freeze, thaw = pb.FreezeRequest(), pb.ThawRequest()
    await (api.fleet.Freeze(freeze) if kind == NAMESPACE else hold(api, kind, subject))
    assert not (await api.claim(**asks, wait={"nanos": 50_000_000})).tasks
    waiting = asyncio.ensure_future(api.claim(**asks, wait={"seconds": 20}))
    await api.settle()
    begun = time.monotonic()
    await (api.fleet.Thaw(thaw) if kind == NAMESPACE else release(api, kind, subject))
    assert len((await waiting).tasks) == 3
    assert time.monotonic() - begun < 5


async def test_holds_outlive_the_server(make_server: Callable[..., Server]) -> None:
    for expected in (0, 2):
        server = await make_server().start()
        try:
            assert len(await holds(server.api)) == expected
            if not expected:
                await server.api.submit()
                await server.api.fleet.Freeze(pb.FreezeRequest(reason="over night"))
                await hold(server.api, NAME, "mail")
            assert not (await server.api.claim(wait={})).tasks
        finally:
            await server.stop()


async def test_a_watch_shows_holds(api: Api) -> None:
    await hold(api, NAME, "mail", reason="bounces")
    async with watching(api, kinds=[watch_pb.RESOURCE_KIND_HOLD]) as watcher:
        (known,) = await watcher.snapshot()
        assert (known.hold.subject, known.hold.reason) == ("mail", "bounces")
        await api.fleet.Freeze(pb.FreezeRequest(actor="ops"))
        await release(api, NAME, "mail")
        frozen, gone = await watcher.until(lambda changes: len(changes) == 2)
    assert frozen.type == watch_pb.CHANGE_TYPE_CREATED
    assert (frozen.hold.kind, frozen.hold.actor) == (NAMESPACE, "ops")
    assert gone.type == watch_pb.CHANGE_TYPE_DELETED
    assert (gone.hold.kind, gone.hold.subject, gone.hold.namespace) == (NAME, "mail", "default")
    assert gone.hold.reason == ""


async def test_a_hold_is_replaced_and_keeps_its_beginning(api: Api) -> None:
    first = await hold(api, NAME, "mail", reason="bounces")
    drop = queue_pb2.ARRIVAL_POLICY_DROP
    second = await hold(api, NAME, "mail", reason="still", arrivals=drop)
    assert second.create_time == first.create_time
    assert (second.reason, second.arrivals) == ("still", drop)
    assert second.revision > first.revision
    assert await holds(api) == [second]


async def test_the_first_at_sign_parts_an_agents_name_from_its_version(api: Api) -> None:
    await api.submit(spec(), spec())
    await hold(api, VERSION, "worker@main@2024")
    held = agent("agent-1", name="worker", version="main@2024")
    assert not (await api.claim(agent=held, wait={})).tasks
    assert await api.claim_one("agent-2", agent=agent("agent-2", name="worker", version="main"))
    error = await refused(api.claim(agent=agent("agent-3", name="worker@main", version="2024")))
    assert error.fields.keys() == {"agent.name"}
    assert "without @" in error.fields["agent.name"]
    for subject in ("x" * 257 + "@1", "worker@" + "1" * 129):
        error = await refused(api.fleet.PutHold(pb.PutHoldRequest(kind=VERSION, subject=subject)))
        assert "256 characters before @ and 128 after it" in error.fields["subject"]


async def test_holds_are_listed_page_by_page(api: Api) -> None:
    names = [f"name-{n:02}" for n in range(5)]
    for name in reversed(names):
        await hold(api, NAME, name)
    await hold(api, AGENT, "agent-1")
    await api.fleet.Freeze(pb.FreezeRequest())
    seen: list[str] = []
    token, more = "", True
    while more:
        page = await api.fleet.ListHolds(pb.ListHoldsRequest(page_size=2, page_token=token))
        assert 0 < len(page.holds) <= 2
        assert page.watch_token
        seen += [found.subject for found in page.holds]
        token, more = page.next_page_token, bool(page.next_page_token)
    assert seen == ["", *names, "agent-1"]
    other = pb.ListAuditEntriesRequest(page_size=1)
    token = (await api.fleet.ListAuditEntries(other)).next_page_token
    error = await refused(api.fleet.ListHolds(pb.ListHoldsRequest(page_token=token)))
    assert error.reason == "INVALID_PAGE_TOKEN"


async def test_what_is_wrong_is_named(api: Api) -> None:
    error = await refused(api.fleet.PutHold(pb.PutHoldRequest()))
    assert error.fields.keys() == {"kind"}
    request = pb.PutHoldRequest(kind=NAMESPACE, reason="x" * 1025)
    error = await refused(api.fleet.PutHold(request))
    assert error.fields.keys() == {"kind", "reason"}
    assert "call Freeze" in error.fields["kind"]
    error = await refused(api.fleet.ReleaseHold(pb.ReleaseHoldRequest(kind=NAMESPACE)))
    assert "call Thaw" in error.fields["kind"]
    drop = queue_pb2.ARRIVAL_POLICY_DROP
    request = pb.PutHoldRequest(kind=VERSION, subject="worker", arrivals=drop)
    error = await refused(api.fleet.PutHold(request))
    assert error.fields.keys() == {"subject", "arrivals"}
    for kind in (NAME, AGENT):
        error = await refused(api.fleet.PutHold(pb.PutHoldRequest(kind=kind, subject="a b")))
        assert error.fields.keys() == {"subject"}
    error = await refused(api.fleet.ReleaseHold(pb.ReleaseHoldRequest(kind=NAME, subject="mail")))
    assert error.reason == "HOLD_NOT_FOUND"
    assert error.metadata == {"kind": "TASK_NAME", "subject": "mail"}
