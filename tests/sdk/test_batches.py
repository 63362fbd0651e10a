"""Handlers that take several tasks at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

import quarterdeck
from quarterdeck.testing import Server, run_task, start_server

from .live import until, until_logged, until_paused


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


@dataclass
class Text:
    words: str


async def submit(client: quarterdeck.AsyncClient, name: str, *inputs: object) -> list[str]:
    """Submit tasks of one name in one call."""
    specs = [quarterdeck.Spec(name, value) for value in inputs]
    return [done.task_id for done in await client.submit_many(specs)]


async def results(client: quarterdeck.AsyncClient, ids: list[str]) -> list[object]:
    """The results of tasks in their order."""
    return [await client.result(task_id, timeout=20) for task_id in ids]


async def test_an_async_handler_gets_what_is_ready_together(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches", slots=1)

    @agent.task(batch=10)
    async def count(runs: list[quarterdeck.Run], texts: list[Text]) -> list[object]:
        assert [run.input for run in runs] == texts
        return [[len(text.words), len(runs)] for text in texts]

    ids = await submit(client, "count", *(Text("x" * n) for n in range(14)))
    with server.running(agent):
        found = await results(client, ids)
    assert found == [[n, 10 if n < 10 else 4] for n in range(14)]


async def test_a_sync_handler_runs_beside_the_agents_slots(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches", slots=1)
    together = asyncio.Event()
    loop = asyncio.get_running_loop()

    @agent.task
    async def single(run: quarterdeck.Run) -> str:
        run.log.info("running")
        await asyncio.to_thread(asyncio.run_coroutine_threadsafe(together.wait(), loop).result)
        return "single"

    @agent.task(batch=5)
    def several(runs: list[quarterdeck.Run]) -> list[str]:
        loop.call_soon_threadsafe(together.set)
        return [f"{run.id} {len(runs)}" for run in runs]

    with server.running(agent):
        one = await client.submit("single")
        await until_logged(client, one, "running")
        ids = await submit(client, "several", *range(5))
        assert await results(client, ids) == [f"{task_id} 5" for task_id in ids]
        assert await client.result(one, timeout=20) == "single"


async def test_the_first_of_a_batch_waits_for_the_others(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=3, linger=20)
    async def gather(runs: list[quarterdeck.Run]) -> list[int]:
        return [len(runs)] * len(runs)

    with server.running(agent):
        ids = [await client.submit("gather") for _ in range(3)]
        assert await results(client, ids) == [3, 3, 3]


async def test_an_exception_in_the_list_fails_its_task_alone(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=4)
    async def picky(runs: list[quarterdeck.Run], numbers: list[int]) -> list[object]:
        return [quarterdeck.Fail("odd", type="Odd") if n % 2 else n for n in numbers]

    ids = await submit(client, "picky", 0, 1, "no number", 2)
    with server.running(agent):
        tasks = [await client.wait(task_id, timeout=20) for task_id in ids]
    assert [task.state for task in tasks] == ["succeeded", "failed", "failed", "succeeded"]
    types = [task.failure.type for task in tasks if task.failure is not None]
    assert types == ["Odd", "InputError"]


async def test_an_exception_that_is_raised_fails_all(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=4)
    def broken(runs: list[quarterdeck.Run]) -> list[None]:
        raise quarterdeck.Fail("all", type="All")

    @agent.task(batch=4)
    def miscounts(runs: list[quarterdeck.Run]) -> list[int]:
        return [1]

    ids = await submit(client, "broken", 1, 2)
    ids += await submit(client, "miscounts", 1, 2)
    with server.running(agent):
        tasks = [await client.wait(task_id, timeout=20) for task_id in ids]
    failures = [task.failure.type for task in tasks if task.failure is not None]
    assert failures == ["All", "All", "DefinitionError", "DefinitionError"]


async def test_each_run_has_its_own_cancel_progress_and_details(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=2)
    async def mixed(runs: list[quarterdeck.Run], names: list[str]) -> list[object]:
        if runs[0].attempt > 1:
            return [run.saved() for run in runs]
        for run, name in zip(runs, names, strict=True):
            run.progress(name)
            await run.save(f"{name} was here")
        runs[0].log.info("waiting")
        await runs[0].cancelled.wait()
        assert not runs[1].cancelled.is_set()
        return [None, quarterdeck.RetryLater(0)]

    ids = await submit(client, "mixed", "first", "second")
    with server.running(agent):
        await until_logged(client, ids[0], "waiting")
        for task_id, name in zip(ids, ("first", "second"), strict=True):
            await until(client, task_id, lambda x: x.task.progress)
            progress = (await client.get(task_id)).task.progress
            assert progress is not None and progress.message == name
        await client.cancel(ids[0], "not this one")
        task = await client.wait(ids[0], timeout=20)
        assert task.state == "cancelled"
        assert task.cancellation is not None
        assert task.cancellation.acknowledge_time is not None
        assert await client.result(ids[1], timeout=20) == "second was here"


async def test_a_handler_is_interrupted_once_all_its_tasks_are_cancelled(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=2)
    async def endless(runs: list[quarterdeck.Run]) -> list[None]:
        for run in runs:
            run.log.info("running")
        await asyncio.Event().wait()
        return []

    ids = await submit(client, "endless", 1, 2)
    with server.running(agent):
        for task_id in ids:
            await until_logged(client, task_id, "running")
            await client.cancel(task_id)
        tasks = [await client.wait(task_id, timeout=20) for task_id in ids]
    assert [task.state for task in tasks] == ["cancelled", "cancelled"]
    assert all(task.cancellation and task.cancellation.stop_time for task in tasks)


async def test_an_agent_that_stops_gives_a_batch_back(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=2, cleanup=lambda run: run.log.info("cleaned"))
    async def held(runs: list[quarterdeck.Run]) -> list[None]:
        for run in runs:
            run.log.info("running")
        await asyncio.Event().wait()
        return []

    ids = await submit(client, "held", 1, 2)
    with server.running(agent, grace=0.1):
        for task_id in ids:
            await until_logged(client, task_id, "running")
    for task_id in ids:
        details = await client.get(task_id)
        assert [a.outcome for a in details.attempts] == ["released"]
        assert [x.text async for x in client.logs(task_id)] == ["running", "cleaned"]
    await client.cancel(ids)


async def test_a_batch_stands_still_at_a_checkpoint_of_a_paused_run(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=2)
    async def steps(runs: list[quarterdeck.Run]) -> list[int]:
        runs[0].log.info("running")
        while not any(run.paused for run in runs):
            await asyncio.sleep(0.005)
        for run in runs:
            await run.checkpoint()
        return [run.attempt for run in runs]

    ids = await submit(client, "steps", 1, 2)
    with server.running(agent):
        await until_logged(client, ids[0], "running")
        await client.pause(ids[1])
        await until_paused(client, ids[1])
        await client.resume(ids[1])
        assert await results(client, ids) == [1, 1]


async def test_run_task_makes_a_batch_of_one() -> None:
    agent = quarterdeck.Agent("batches")

    @agent.task(batch=2)
    async def double(runs: list[quarterdeck.Run], numbers: list[int]) -> list[object]:
        return [2 * n if n else quarterdeck.Fail("zero") for n in numbers]

    assert (await run_task(agent, "double", 21)).result == 42
    with pytest.raises(quarterdeck.Fail):
        await run_task(agent, "double", 0)


def test_what_cannot_be_a_batch_is_refused() -> None:
    agent = quarterdeck.Agent("batches")

    def good(runs: list[quarterdeck.Run], numbers: list[int]) -> list[int]:
        return numbers

    def one(run: quarterdeck.Run) -> None: ...

    def bare(runs: list[quarterdeck.Run], number: int) -> None: ...

    for size in (0, 1001, True, "2"):
        with pytest.raises(quarterdeck.DefinitionError, match="batch: expected 1 to 1000"):
            agent.task(batch=size)(good)  # type: ignore[arg-type]
    with pytest.raises(quarterdeck.DefinitionError, match="linger: expected 0 to 3600"):
        agent.task(batch=2, linger=-1)(good)
    with pytest.raises(quarterdeck.DefinitionError, match="only a batch has one"):
        agent.task(linger=1)(one)  # type: ignore[call-overload]
    with pytest.raises(quarterdeck.DefinitionError, match=r"list\[quarterdeck.Run\]"):
        agent.task(batch=2)(one)  # type: ignore[type-var]
    with pytest.raises(quarterdeck.DefinitionError, match="the inputs are a list"):
        agent.task(batch=2)(bare)
    with pytest.raises(quarterdeck.DefinitionError, match="not together with isolation"):
        agent.task(batch=2, isolation="process")(good)  # type: ignore[call-overload]
    with pytest.raises(quarterdeck.DefinitionError, match="cleanup: expected a function"):
        agent.task(cleanup=3)(one)  # type: ignore[call-overload]
