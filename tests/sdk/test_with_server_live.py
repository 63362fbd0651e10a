"""Attempts under way on a real server: what they save, and how they stand still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.testing import Server, start_server

from .live import until, until_logged, until_paused
from .process_handlers import agent as isolated
from .test_process_isolation import gone
from .test_with_server_faults import agent_process

LIMIT = 200_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes small payloads."""
    path: Path = tmp_path_factory.mktemp("server")
    with start_server(path, max_payload_bytes=str(LIMIT)) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[quarterdeck.AsyncClient]:
    """A client of it."""
    async with quarterdeck.AsyncClient(server.address) as client:
        yield client


@dataclass
class State:
    step: int
    notes: list[str]


class TestSaves:
    """What an attempt saves is there for the next one."""

    async def test_an_async_handler_goes_on_where_it_was(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves")

        @agent.task
        async def steps(run: quarterdeck.Run) -> int:
            state = run.saved(State) or State(0, [])
            for step in range(state.step, 6):
                if step == 3 and run.attempt == 1:
                    raise quarterdeck.RetryLater(0, "half way")
                state = State(step + 1, [*state.notes, f"{step} in {run.attempt}"])
                await run.save(state)
                assert run.saved(State) == state
            return len(state.notes) * 100 + sum("in 1" in note for note in state.notes)

        with server.running(agent):
            assert await client.result(await client.submit("steps"), int, timeout=20) == 603

    async def test_a_sync_handler_saves_in_its_thread(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves")

        @agent.task
        def halves(run: quarterdeck.Run) -> object:
            if run.saved() is None:
                run.save(["from", run.attempt])
                raise quarterdeck.RetryLater(0)
            return run.saved()

        with server.running(agent):
            assert await client.result(await client.submit("halves"), timeout=20) == ["from", 1]

    async def test_a_child_process_saves_through_its_agent(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        with server.running(isolated):
            task_id = await client.submit("halves_apart", LIMIT + 1)
            result = await client.result(task_id, timeout=20)
        assert result == ["InvalidArgumentError PAYLOAD_TOO_LARGE", 1]

    async def test_too_much_is_refused_and_what_was_there_stays(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves")

        @agent.task
        async def greedy(run: quarterdeck.Run) -> object:
            if run.attempt > 1:
                return run.saved()
            await run.save("small")
            with pytest.raises(quarterdeck.InvalidArgumentError) as caught:
                await run.save("x" * LIMIT)
            assert caught.value.reason == "PAYLOAD_TOO_LARGE"
            assert run.saved() == "small"
            with pytest.raises(quarterdeck.PayloadError):
                run.save(object())
            raise quarterdeck.RetryLater(0)

        with server.running(agent):
            assert await client.result(await client.submit("greedy"), timeout=20) == "small"

    async def test_more_than_a_message_holds_costs_no_lease(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves")

        @agent.task
        async def huge(run: quarterdeck.Run) -> int:
            with pytest.raises(quarterdeck.ApiError):
                await run.save("x" * (17 << 20))
            await run.save("small")
            return run.attempt

        with server.running(agent):
            assert await client.result(await client.submit("huge"), timeout=20) == 1

    async def test_many_at_once_end_with_the_last(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves", slots=4)

        @agent.task
        async def many(run: quarterdeck.Run) -> object:
            if run.attempt > 1:
                return run.saved()
            await asyncio.gather(*(run.save([n, "x" * 150_000]) for n in range(40)))
            raise quarterdeck.RetryLater(0)

        with server.running(agent):
            ids = [await client.submit("many") for _ in range(4)]
            for task_id in ids:
                last = await client.result(task_id, list[object], timeout=20)
                assert last[0] == 39

    async def test_what_a_stopping_agent_saves_is_there_for_the_next(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        def make() -> quarterdeck.Agent:
            agent = quarterdeck.Agent("saves")

            @agent.task
            async def endless(run: quarterdeck.Run) -> object:
                if run.attempt > 1:
                    return run.saved()
                run.log.info("working")
                try:
                    return await asyncio.Event().wait()
                finally:
                    run.save("where I stood")

            return agent

        task_id = await client.submit("endless")
        with server.running(make(), grace=0.1):
            await until_logged(client, task_id, "working")
        with server.running(make()):
            assert await client.result(task_id, timeout=20) == "where I stood"

    async def test_a_retry_by_an_operator_begins_without(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("saves")

        @agent.task
        async def fails(run: quarterdeck.Run) -> object:
            if run.attempt > 1:
                return run.saved() is None
            await run.save("state")
            raise quarterdeck.Fail("no")

        with server.running(agent):
            task_id = await client.submit("fails")
            assert (await client.wait(task_id, timeout=20)).state == "failed"
            await client.retry(task_id)
            assert await client.result(task_id, timeout=20) is True


class TestPauses:
    """A paused attempt stands still and goes on."""

    async def test_an_async_handler_stands_still_at_its_checkpoint(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("pauses")
        steps: list[bool] = []

        @agent.task
        async def walks(run: quarterdeck.Run) -> bool:
            run.log.info("walking")
            while not run.paused:
                await run.checkpoint()
                await asyncio.sleep(0.005)
            await run.checkpoint()
            steps.append(run.paused)
            return run.paused

        with server.running(agent):
            task_id = await client.submit("walks")
            await until_logged(client, task_id, "walking")
            assert await client.pause(task_id, "look", actor="ops") == "running"
            await until_paused(client, task_id)
            assert steps == []
            assert await client.resume(task_id) == "running"
            assert await client.result(task_id, timeout=20) is False
            details = await client.get(task_id)
            assert (details.task.pause, details.task.attempt) == (None, 1)

    async def test_a_sync_handler_stands_still_in_its_thread(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("pauses")
        asked = threading.Event()

        @agent.task
        def strides(run: quarterdeck.Run) -> int:
            run.log.info("striding")
            asked.wait()
            run.checkpoint()
            return run.attempt

        with server.running(agent):
            task_id = await client.submit("strides")
            await until_logged(client, task_id, "striding")
            await client.pause(task_id)
            details = await until(
                client, task_id, lambda x: x.task.pause and x.task.pause.deliver_time
            )
            assert details.task.pause is not None
            assert details.task.pause.acknowledge_time is None, "it has seen no checkpoint"
            asked.set()
            await until_paused(client, task_id)
            await client.resume(task_id)
            assert await client.result(task_id, int, timeout=20) == 1

    async def test_a_pause_that_was_taken_back_holds_nothing_up(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("pauses")

        @agent.task
        async def late(run: quarterdeck.Run) -> bool:
            run.log.info("working")
            while not run.paused:
                await asyncio.sleep(0.005)
            run.log.info("asked")
            while run.paused:
                await asyncio.sleep(0.005)
            await run.checkpoint()
            return True

        with server.running(agent):
            task_id = await client.submit("late")
            await until_logged(client, task_id, "working")
            await client.pause(task_id)
            await until_logged(client, task_id, "asked")
            await client.resume(task_id)
            assert await client.result(task_id, timeout=20) is True

    @pytest.mark.parametrize("name", ["async_stops", "sync_stops"])
    async def test_a_cancel_ends_a_pause(
        self, server: Server, client: quarterdeck.AsyncClient, name: str
    ) -> None:
        agent = quarterdeck.Agent("pauses")

        @agent.task
        async def async_stops(run: quarterdeck.Run) -> None:
            run.log.info("working")
            while True:
                await run.checkpoint()
                await asyncio.sleep(0.005)

        @agent.task
        def sync_stops(run: quarterdeck.Run) -> None:
            run.log.info("working")
            while not run.cancelled.sleep(0.005):
                run.checkpoint()

        with server.running(agent):
            task_id = await client.submit(name)
            await until_logged(client, task_id, "working")
            await client.pause(task_id)
            await until_paused(client, task_id)
            await client.cancel(task_id)
            task = await client.wait(task_id, timeout=20)
        assert (task.state, task.pause) == ("cancelled", None)
        assert task.cancellation is not None
        assert task.cancellation.acknowledge_time is not None

    async def test_the_time_of_a_paused_attempt_stands_still(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        agent = quarterdeck.Agent("pauses")

        @agent.task
        async def timed(run: quarterdeck.Run) -> bool:
            run.log.info("working")
            before = run.deadline
            assert before is not None
            while not run.paused:
                await asyncio.sleep(0.005)
            await run.checkpoint()
            return run.deadline is not None and run.deadline > before

        with server.running(agent):
            timeouts = quarterdeck.Timeouts(attempt=1.0, stall=1.0, task=1.0)
            task_id = await client.submit("timed", timeouts=timeouts, retry=1)
            await until_logged(client, task_id, "working")
            await client.pause(task_id)
            await until_paused(client, task_id)
            # The time that passes is what is tested: longer than each limit.
            await asyncio.sleep(1.2)
            await client.resume(task_id)
            assert await client.result(task_id, timeout=20) is True

    async def test_a_child_process_is_stopped_where_it_is(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        with server.running(isolated):
            task_id = await client.submit("counts")
            pid = int((await until_logged(client, task_id, "in ")).split()[1])
            await client.pause(task_id)
            await until_paused(client, task_id)
            await _until_stopped(pid, True)
            await client.resume(task_id)
            await _until_stopped(pid, False)
            await client.pause(task_id)
            await until_paused(client, task_id)
            await _until_stopped(pid, True)
            await client.cancel(task_id)
            task = await client.wait(task_id, timeout=20)
        assert task.state == "cancelled"
        lines = [line.text async for line in client.logs(task_id)]
        assert lines[-1] == "SIGTERM was seen"

    async def test_a_stopped_child_does_not_outlive_its_agent(
        self, server: Server, client: quarterdeck.AsyncClient
    ) -> None:
        with agent_process(server) as agent:
            task_id = await client.submit("stubborn")
            pid = int((await until_logged(client, task_id, "in ")).split()[1])
            await client.pause(task_id)
            await until_paused(client, task_id)
            agent.kill()
            await gone(pid)
        await client.cancel(task_id)


async def _until_stopped(pid: int, stopped: bool) -> None:
    """Wait until a signal that was sent has reached the process: on a busy machine it takes a moment."""
    async with asyncio.timeout(10):
        while (_state(pid) == "T") != stopped:
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    """The state of a process in the process table, T for a stopped one."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
