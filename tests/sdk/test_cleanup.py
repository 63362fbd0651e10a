"""Clean-up after handlers that end without a result: under the lease, before the report."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

import quarterdeck
from quarterdeck.testing import Server, start_server

from .live import until_logged
from .process_handlers import agent as isolated

Cleanup = Callable[[quarterdeck.Run], object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the module's agents."""
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[quarterdeck.AsyncClient]:
    """A client of it."""
    async with quarterdeck.AsyncClient(server.address) as client:
        yield client


def sync_cleanup(run: quarterdeck.Run) -> None:
    """Say what is cleaned, and why."""
    run.log.info("cleaned %s of attempt %d: %s", run.input, run.attempt, run.cancelled.reason)


async def async_cleanup(run: quarterdeck.Run) -> None:
    """The same, with an await."""
    await asyncio.sleep(0)
    sync_cleanup(run)


def make(cleanup: Cleanup) -> quarterdeck.Agent:
    """An agent whose handlers have one clean-up."""
    agent = quarterdeck.Agent("tidy")

    @agent.task(cleanup=cleanup)
    async def on_loop(run: quarterdeck.Run, what: str) -> str:
        run.log.info("begun")
        if what == "wait":
            await asyncio.Event().wait()
        if what == "bad":
            raise ValueError(what)
        return what

    @agent.task(cleanup=cleanup)
    def in_thread(run: quarterdeck.Run, what: str) -> str | None:
        run.log.info("begun")
        if what == "wait":
            run.cancelled.sleep(30)
            return None
        if what == "bad":
            raise ValueError(what)
        return what

    return agent


async def lines_of(client: quarterdeck.AsyncClient, task_id: str) -> list[str]:
    """The log of a task that has ended: all of it is there."""
    return [line.text async for line in client.logs(task_id)]


NAMES = pytest.mark.parametrize("name", ["on_loop", "in_thread"])
CLEANUPS = pytest.mark.parametrize("cleanup", [sync_cleanup, async_cleanup])


@NAMES
@CLEANUPS
async def test_it_runs_after_a_failure_and_before_its_report(
    server: Server, client: quarterdeck.AsyncClient, name: str, cleanup: Cleanup
) -> None:
    with server.running(make(cleanup)):
        task_id = await client.submit(name, "bad", retry=1)
        task = await client.wait(task_id, timeout=20)
    assert task.failure is not None and task.failure.type == "ValueError"
    assert await lines_of(client, task_id) == ["begun", "cleaned bad of attempt 1: "]


@NAMES
@CLEANUPS
async def test_it_runs_after_a_cancel_and_before_its_report(
    server: Server, client: quarterdeck.AsyncClient, name: str, cleanup: Cleanup
) -> None:
    with server.running(make(cleanup)):
        task_id = await client.submit(name, "wait")
        await until_logged(client, task_id, "begun")
        await client.cancel(task_id, "enough")
        task = await client.wait(task_id, timeout=20)
    assert task.state == "cancelled"
    assert task.cancellation is not None and task.cancellation.stop_time is not None
    assert await lines_of(client, task_id) == ["begun", "cleaned wait of attempt 1: enough"]


@NAMES
async def test_it_runs_within_the_time_limit_of_the_attempt(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    with server.running(make(async_cleanup)):
        timeouts = quarterdeck.Timeouts(attempt=1.5)
        task_id = await client.submit(name, "wait", timeouts=timeouts, retry=1)
        details = await client.get((await client.wait(task_id, timeout=20)).id)
    assert [a.outcome for a in details.attempts] == ["failed"], "reported, not revoked"
    assert details.task.failure is not None
    assert details.task.failure.type == "ATTEMPT_TIMEOUT"
    lines = await lines_of(client, task_id)
    assert lines == ["begun", "cleaned wait of attempt 1: the attempt's time is over"]


@NAMES
async def test_it_runs_as_the_agent_stops(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    with server.running(make(sync_cleanup), grace=0.1):
        task_id = await client.submit(name, "wait")
        await until_logged(client, task_id, "begun")
    details = await client.get(task_id)
    assert [a.outcome for a in details.attempts] == ["released"]
    assert await lines_of(client, task_id) == [
        "begun",
        "cleaned wait of attempt 1: the agent stops",
    ]
    await client.cancel(task_id)


@NAMES
async def test_it_does_not_run_after_a_result(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    with server.running(make(sync_cleanup)):
        task_id = await client.submit(name, "good")
        assert await client.result(task_id, timeout=20) == "good"
    assert await lines_of(client, task_id) == ["begun"]


@NAMES
async def test_it_does_not_run_for_a_handler_that_was_not_called(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    with server.running(make(sync_cleanup)):
        task_id = await client.submit(name, 7)
        task = await client.wait(task_id, timeout=20)
    assert task.failure is not None and task.failure.type == "InputError"
    assert await lines_of(client, task_id) == []


@NAMES
async def test_its_failure_changes_nothing(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    def breaks(run: quarterdeck.Run) -> None:
        raise OSError("disk full")

    with server.running(make(breaks)):
        task_id = await client.submit(name, "bad", retry=1)
        task = await client.wait(task_id, timeout=20)
    assert task.failure is not None and task.failure.type == "ValueError"
    assert await lines_of(client, task_id) == ["begun", "clean-up failed: OSError: disk full"]


@NAMES
async def test_whatever_it_raises_the_attempt_ends(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    def breaks(run: quarterdeck.Run) -> None:
        raise GeneratorExit

    with server.running(make(breaks)):
        task_id = await client.submit(name, "bad", retry=1)
        task = await client.wait(task_id, timeout=20)
    assert task.failure is not None and task.failure.type == "ValueError"


@NAMES
async def test_one_that_does_not_end_is_left_behind_before_the_cancel_escalates(
    server: Server, client: quarterdeck.AsyncClient, name: str
) -> None:
    end = threading.Event()

    def hangs(run: quarterdeck.Run) -> None:
        end.wait(30)

    with server.running(make(hangs)):
        timeouts = quarterdeck.Timeouts(cancel_grace=1.0)
        task_id = await client.submit(name, "wait", timeouts=timeouts)
        await until_logged(client, task_id, "begun")
        await client.cancel(task_id)
        task = await client.wait(task_id, timeout=20)
        end.set()
    assert task.cancellation is not None
    assert task.cancellation.escalate_time is None
    assert (await lines_of(client, task_id))[-1] == "clean-up is not done in time"


async def test_it_runs_in_the_agents_process_after_a_child_that_was_killed(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    with server.running(isolated):
        timeouts = quarterdeck.Timeouts(cancel_grace=2.0)
        task_id = await client.submit("messy", "desk", timeouts=timeouts)
        await until_logged(client, task_id, "begun")
        await client.cancel(task_id, "enough")
        task = await client.wait(task_id, timeout=20)
    assert task.cancellation is not None
    assert task.cancellation.escalate_time is None
    assert (await lines_of(client, task_id))[-1] == "cleaned desk"
