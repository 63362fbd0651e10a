"""Staying alive while user code blocks, and giving up only when the lease is over."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import grpc
from google.protobuf import timestamp_pb2

import quarterdeck
from quarterdeck.v1 import agent_service_pb2 as pb

from .conftest import Fleet
from .fake import FakeServer

AWAY = [(grpc.StatusCode.UNAVAILABLE, "away")] * 1_000


async def test_heartbeats_go_on_while_a_handler_blocks_the_loop(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.interval = 0.05
    agent = quarterdeck.Agent("a")
    beats: list[int] = []

    @agent.task
    async def blocks(run: quarterdeck.Run) -> None:
        before = len(fake.beats)
        time.sleep(0.5)  # noqa: ASYNC251  (what is tested)
        beats.append(len(fake.beats) - before)

    fleet(agent)
    task_id = fake.give("blocks")
    await fake.until(lambda: task_id in fake.reports)
    assert beats[0] >= 5


async def test_failed_heartbeats_are_no_lost_lease(fake: FakeServer, fleet: Fleet) -> None:
    fake.interval = 0.05
    fake.failures["Heartbeat"] = [(grpc.StatusCode.UNAVAILABLE, "away")] * 5
    agent = quarterdeck.Agent("a")
    release = asyncio.Event()

    @agent.task
    async def holds(run: quarterdeck.Run) -> bool:
        await release.wait()
        return run.cancelled.is_set()

    fleet(agent)
    task_id = fake.give("holds")
    await fake.until(lambda: not fake.failures["Heartbeat"])
    release.set()
    await fake.until(lambda: task_id in fake.reports)
    assert fake.reports[task_id][0].succeeded.result.data == b"false"


async def test_handler_is_stopped_when_the_lease_is_over_without_contact(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.lease, fake.interval = 0.4, 0.1
    agent = quarterdeck.Agent("a")
    started, stopped = asyncio.Event(), asyncio.Event()
    reasons: list[str] = []

    @agent.task
    async def holds(run: quarterdeck.Run) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(run.cancelled.reason)
            stopped.set()

    fleet(agent)
    task_id = fake.give("holds")
    await started.wait()
    fake.failures |= {"Report": AWAY[:], "Heartbeat": AWAY[:]}
    began = time.monotonic()
    await asyncio.wait_for(stopped.wait(), 5)
    # The last renewal may have been on its way; never less than what is left of it.
    assert 0.2 < time.monotonic() - began < 2
    assert "lease ran out" in reasons[0]
    # Back, it may have kept the lease: the task did nothing wrong, and is given back.
    fake.failures.clear()
    await fake.until(lambda: task_id in fake.reports)
    assert "no contact" in fake.reports[task_id][0].released.message


async def test_result_of_a_handler_that_did_not_stop_without_contact_is_reported(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.lease, fake.interval = 0.2, 0.05
    agent = quarterdeck.Agent("a")
    started, interrupted, release = threading.Event(), threading.Event(), threading.Event()

    @agent.task
    def ignores(run: quarterdeck.Run) -> int:
        started.set()
        if run.cancelled.sleep(5):
            interrupted.set()
        release.wait(5)
        return 7

    fleet(agent)
    task_id = fake.give("ignores")
    assert await asyncio.to_thread(started.wait, 5)
    fake.failures |= {"Report": AWAY[:], "Heartbeat": AWAY[:]}
    assert await asyncio.to_thread(interrupted.wait, 5)
    fake.failures.clear()
    release.set()
    await fake.until(lambda: task_id in fake.reports)
    assert fake.reports[task_id][0].succeeded.result.data == b"7"


async def test_attempt_is_timed_out_by_the_agents_own_clock(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def holds(run: quarterdeck.Run) -> None:
        await asyncio.Event().wait()

    fleet(agent)
    # The fake's clock stands at 1970: leases of 30 s end at second 30 there.
    task_id = fake.give("holds", deadline=timestamp_pb2.Timestamp(nanos=200_000_000))
    await fake.until(lambda: task_id in fake.reports)
    failure = fake.reports[task_id][0].failed.failure
    assert failure.type == "ATTEMPT_TIMEOUT"
    assert not failure.non_retryable


async def test_report_outlives_a_lease_that_nobody_could_renew(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.lease, fake.interval = 0.2, 0.05
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> int:
        fake.failures |= {"Report": AWAY[:], "Heartbeat": AWAY[:], "Claim": AWAY[:]}
        return 7

    fleet(agent)
    task_id = fake.give("quick")
    await fake.until(lambda: fake.failures.get("Report"))
    began = time.monotonic()
    await fake.until(lambda: time.monotonic() - began > 3 * fake.lease)
    assert task_id not in fake.reports
    # The server is back. Restarted, it gives each lease a whole term.
    fake.failures.clear()
    await fake.until(lambda: task_id in fake.reports)
    assert fake.reports[task_id][0].succeeded.result.data == b"7"


async def test_handler_that_goes_on_without_its_lease_keeps_its_slot(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.interval = 0.05
    agent = quarterdeck.Agent("a", slots=2)
    started, release = threading.Event(), threading.Event()
    finish = asyncio.Event()

    @agent.task
    def deaf(run: quarterdeck.Run) -> None:
        started.set()
        release.wait()

    @agent.task
    async def holds(run: quarterdeck.Run) -> None:
        await finish.wait()

    fleet(agent)
    lost, held = fake.give("deaf"), fake.give("holds")
    await asyncio.to_thread(started.wait)
    await fake.until(lambda: fake.beats and len(fake.beats[-1].leases) == 2)
    fake.direct(lost, pb.DIRECTIVE_LOST)
    await fake.until(lambda: not fake.directives and len(fake.beats[-1].leases) == 1)
    claims = len(fake.claims)
    finish.set()
    await fake.until(lambda: held in fake.reports)
    beats = len(fake.beats)
    await fake.until(lambda: len(fake.beats) > beats + 3)
    assert sum(claim.max_tasks for claim in fake.claims[claims:]) == 1
    release.set()
    await fake.until(lambda: sum(claim.max_tasks for claim in fake.claims[claims:]) == 2)
    assert lost not in fake.reports


async def test_an_ended_attempt_is_gone_without_the_cycle_collector(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def on_loop(run: quarterdeck.Run) -> None:
        run.progress("half", 1, 2)

    @agent.task
    def in_thread(run: quarterdeck.Run) -> None:
        run.log.info("there")

    def alive() -> int:
        return sum(isinstance(found, quarterdeck.Run) for found in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        fleet(agent)
        given = [fake.give(name) for name in ("on_loop", "in_thread") * 5]
        await fake.until(lambda: fake.reports.keys() >= set(given))
        await fake.until(lambda: alive() <= before)
    finally:
        gc.enable()
