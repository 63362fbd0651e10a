"""How an agent stops: by itself, by its pool, in a hurry."""

from __future__ import annotations

import asyncio
import threading

import pytest

import quarterdeck
from quarterdeck.v1 import agent_service_pb2 as pb

from .conftest import Fleet
from .fake import FakeServer


def outcome(fake: FakeServer, task_id: str) -> str | None:
    return fake.reports[task_id][0].WhichOneof("outcome")


async def test_running_handlers_finish_within_the_grace(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")
    started, release, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @agent.task
    async def holds(run: quarterdeck.Run) -> int:
        started.set()
        await release.wait()
        return 1

    serving = fleet(agent, stop=stop)
    task_id = fake.give("holds")
    await started.wait()
    stop.set()
    release.set()
    await serving
    assert outcome(fake, task_id) == "succeeded"
    assert fake.beats[-1].goodbye


async def test_what_does_not_finish_in_the_grace_is_released(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")
    started, stop = asyncio.Event(), asyncio.Event()

    @agent.task
    async def holds(run: quarterdeck.Run) -> None:
        started.set()
        await asyncio.Event().wait()

    serving = fleet(agent, stop=stop, grace=0.05)
    task_id = fake.give("holds")
    await started.wait()
    stop.set()
    await serving
    assert outcome(fake, task_id) == "released"


async def test_second_stop_ends_the_grace(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")
    started = threading.Event()

    @agent.task
    def holds(run: quarterdeck.Run) -> None:
        started.set()
        run.cancelled.sleep(60)

    serving = fleet(agent, grace=60)
    task_id = fake.give("holds")
    await asyncio.to_thread(started.wait)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert outcome(fake, task_id) == "released"


async def test_handler_that_never_stops_is_given_back(
    fake: FakeServer, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck._session._UNWIND_SECONDS", 0.05)
    monkeypatch.setattr("quarterdeck._session._KILLED_SECONDS", 0.05)
    agent = quarterdeck.Agent("a")
    started, release, stop = threading.Event(), threading.Event(), asyncio.Event()

    @agent.task
    def stubborn(run: quarterdeck.Run) -> int:
        started.set()
        release.wait()
        return 7

    serving = fleet(agent, stop=stop, grace=0.05)
    task_id = fake.give("stubborn")
    await asyncio.to_thread(started.wait)
    stop.set()
    await serving
    release.set()
    assert outcome(fake, task_id) == "released"
    assert len(fake.reports[task_id]) == 1


async def test_task_whose_claim_was_cut_by_the_stop_is_released(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a", slots=2)
    stop = asyncio.Event()
    ran: list[str] = []

    @agent.task
    async def late(run: quarterdeck.Run) -> None:
        ran.append(run.id)

    fake.hold_first = True
    serving = fleet(agent, stop=stop)
    await fake.until(lambda: fake.claims)
    task_id = fake.give("late")
    stop.set()
    await serving
    # The agent asked again under the id of the claim that it cut.
    assert [claim.request_id for claim in fake.claims] == [fake.claims[0].request_id] * 2
    assert outcome(fake, task_id) == "released"
    assert ran == []


async def test_agent_of_a_pool_ends_when_it_is_drained(
    fake: FakeServer, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTERDECK_INSTANCE_ID", "inst_1")
    monkeypatch.setenv("QUARTERDECK_SLOTS", "3")
    monkeypatch.setenv("QUARTERDECK_QUEUE", "pool")
    agent = quarterdeck.Agent("a", slots=1)
    started, release = asyncio.Event(), asyncio.Event()

    @agent.task
    async def holds(run: quarterdeck.Run) -> None:
        started.set()
        await release.wait()

    serving = fleet(agent)
    task_id = fake.give("holds")
    await started.wait()
    assert fake.claims[0].agent.instance_id == "inst_1"
    assert fake.claims[0].max_tasks == 3
    assert list(fake.claims[0].queues) == ["pool"]
    fake.drain = True
    fake.touch()
    release.set()
    await asyncio.wait_for(serving, 10)
    assert outcome(fake, task_id) == "succeeded"


async def test_agent_started_by_hand_idles_while_drained_and_goes_on_after(
    fake: FakeServer, fleet: Fleet
) -> None:
    fake.interval = 0.05
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> None: ...

    fleet(agent)
    await fake.until(lambda: fake.claims)
    fake.drain = True
    fake.touch()
    beats = len(fake.beats)
    await fake.until(lambda: len(fake.beats) > beats + 3)
    claims = len(fake.claims)
    task_id = fake.give("quick")
    await fake.until(lambda: len(fake.beats) > beats + 6)
    assert len(fake.claims) == claims
    fake.drain = False
    fake.touch()
    await fake.until(lambda: task_id in fake.reports)


def test_agent_without_handlers_is_refused() -> None:
    with pytest.raises(quarterdeck.DefinitionError, match="no handler"):
        quarterdeck.serve(quarterdeck.Agent("idle"))


async def test_serve_on_a_running_loop_names_its_twin() -> None:
    agent = quarterdeck.Agent("a")
    agent.task(name="x")(lambda run: None)
    with pytest.raises(RuntimeError, match="await serve_async instead"):
        quarterdeck.serve(agent)


def test_agent_with_more_handlers_than_a_claim_can_name_is_refused() -> None:
    agent = quarterdeck.Agent("many")
    for number in range(1_001):
        agent.task(name=f"task{number}")(lambda run: None)
    with pytest.raises(quarterdeck.DefinitionError, match="at most 1000 handlers"):
        quarterdeck.serve(agent)


def test_slots_of_a_pool_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_INSTANCE_ID", "inst_1")
    monkeypatch.setenv("QUARTERDECK_SLOTS", "many")
    agent = quarterdeck.Agent("a")
    agent.task(name="x")(lambda run: None)
    with pytest.raises(quarterdeck.DefinitionError, match="QUARTERDECK_SLOTS: expected a number"):
        quarterdeck.serve(agent)


async def test_cancelled_directive_does_not_outlive_its_attempt(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a", slots=1)

    @agent.task
    async def quick(run: quarterdeck.Run) -> int:
        return run.attempt

    fleet(agent)
    await fake.until(lambda: fake.claims)
    fake.direct("task_again", pb.DIRECTIVE_CANCEL)
    fake.give("quick", task_id="task_again", attempt=2)
    await fake.until(lambda: "task_again" in fake.reports)
    assert fake.reports["task_again"][0].succeeded.result.data == b"2"
