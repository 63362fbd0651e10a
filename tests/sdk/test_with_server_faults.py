"""Agents and a real server, when something breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.testing import Server, start_server

from .live import until_logged

LEASE = 2.0
HERE = Path(__file__).parent


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with short leases."""
    with start_server(tmp_path, lease_duration=f"{LEASE:g}s") as running:
        yield running


@contextlib.contextmanager
def agent_process(server: Server, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`slow_agent.py` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "slow_agent.py"), server.address, *arguments]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_blocking_handler_loses_no_lease(server: Server) -> None:
    agent = quarterdeck.Agent("blocking", slots=1)

    @agent.task
    async def blocks(run: quarterdeck.Run) -> int:
        time.sleep(1.5 * LEASE)  # noqa: ASYNC251  (what is tested)
        return run.attempt

    with server.running(agent):
        async with quarterdeck.AsyncClient(server.address) as client:
            task_id = await client.submit("blocks")
            assert await client.result(task_id, int, timeout=20) == 1
            assert (await client.get(task_id)).task.crashes == 0


async def test_tasks_of_a_killed_agent_run_elsewhere_soon_after_the_lease(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        with agent_process(server) as victim:
            task_id = await client.submit("hold", 60)
            await until_logged(client, task_id, f"by {victim.pid}")
            with agent_process(server) as heir:
                async with asyncio.timeout(20):
                    while len([a async for a in client.agents("state:active")]) < 2:
                        await asyncio.sleep(0.05)
                victim.kill()
                killed = time.monotonic()
                await until_logged(client, task_id, f"by {heir.pid}")
                again = time.monotonic()
                assert again - killed < LEASE + 1.0
                details = await client.get(task_id)
                assert [a.outcome for a in details.attempts] == ["lost", "unspecified"]


async def test_sigterm_gives_tasks_back_without_an_attempt(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit("hold", 60)
        with agent_process(server, "0.1") as agent:
            await until_logged(client, task_id, f"by {agent.pid}")
            agent.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(agent.wait, 15) == 0
            details = await client.get(task_id)
            assert details.task.state == "ready"
            assert [a.outcome for a in details.attempts] == ["released"]
            assert [a.state async for a in client.agents()] == ["gone"]


async def test_sigterm_lets_a_short_task_finish(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit("hold", 0.5)
        with agent_process(server) as agent:
            await until_logged(client, task_id, f"by {agent.pid}")
            agent.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(agent.wait, 15) == 0
            assert (await client.get(task_id)).task.state == "succeeded"


@pytest.mark.parametrize("handler", ["block", "ignore", "delegate"])
async def test_agent_stops_on_sigterm_whatever_its_handler_does(
    server: Server, handler: str
) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit(handler, 60)
        with agent_process(server, "0.1") as agent:
            await until_logged(client, task_id, f"by {agent.pid}")
            agent.send_signal(signal.SIGTERM)
            # It cannot end by itself: its loop is blocked, or a thread of it is.
            assert await asyncio.to_thread(agent.wait, 40) == 1
            assert (await client.get(task_id)).task.state == "ready"


async def test_cancel_of_an_isolated_handler_kills_its_process(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        timeouts = quarterdeck.Timeouts(cancel_grace=2)
        task_id = await client.submit("stubborn", timeouts=timeouts)
        with agent_process(server):
            await until_logged(client, task_id, "in ")
            lines = [line.text async for line in client.logs(task_id)]
            pid = int(lines[0].split()[1])
            assert await client.cancel(task_id, "enough") == "running"
            task = await client.wait(task_id, timeout=10)
            assert task.state == "cancelled"
            assert task.cancellation is not None
            assert task.cancellation.acknowledge_time is not None
            assert task.cancellation.escalate_time is None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


class Proxy:
    """A TCP proxy whose network can be taken away."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self.address = ""

    async def up(self) -> None:
        port = int(self.address.rpartition(":")[2]) if self.address else 0
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for stream in self._streams:
            stream.transport.abort()
        self._streams.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        try:
            there_reader, there = await asyncio.open_connection(self._host, self._port)
            self._streams.add(there)
            await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer))
        except OSError:
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """A proxy in front of the server."""
    made = Proxy(server.address)
    await made.up()
    yield made
    await made.down()


async def test_network_loss_shorter_than_the_lease_loses_nothing(
    server: Server, proxy: Proxy
) -> None:
    agent = quarterdeck.Agent("far", slots=2)
    started, finish = asyncio.Event(), asyncio.Event()

    @agent.task
    async def over(run: quarterdeck.Run) -> int:
        run.log.info("before")
        started.set()
        await finish.wait()
        run.log.info("after")
        return run.attempt

    stop = asyncio.Event()
    serving = asyncio.create_task(quarterdeck.serve_async(agent, proxy.address, stop=stop))
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit("over")
        await started.wait()
        await proxy.down()
        # The handler ends, and its report is due, while there is no network.
        finish.set()
        await asyncio.sleep(0.4 * LEASE)
        await proxy.up()
        assert await client.result(task_id, int, timeout=20) == 1
        assert [line.text async for line in client.logs(task_id)] == ["before", "after"]
        assert (await client.get(task_id)).task.crashes == 0
        assert await client.result(await client.submit("over"), int, timeout=20) == 1
    stop.set()
    await serving


async def test_server_restart_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await asyncio.to_thread(server.start)
    agent = quarterdeck.Agent("patient", slots=2)
    started, finish = asyncio.Event(), asyncio.Event()

    @agent.task
    async def through(run: quarterdeck.Run) -> int:
        started.set()
        await finish.wait()
        return run.attempt

    stop = asyncio.Event()
    serving = asyncio.create_task(quarterdeck.serve_async(agent, server.address, stop=stop))
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit("through")
        await started.wait()
        server.kill()
        finish.set()
        # Submitted while nobody is there, and not twice when it is repeated.
        later = asyncio.create_task(client.submit("through"))
        await asyncio.to_thread(server.start)
        assert await client.result(task_id, int, timeout=20) == 1
        assert await client.result(await later, int, timeout=20) == 1
        assert await client.count() == {"succeeded": 2}
    stop.set()
    await serving
    assert await asyncio.to_thread(server.stop) == 0
