"""Agents whose processes are stopped, or whose handlers block, for longer than their leases."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.testing import Server, start_server

from ..sdk.live import until_logged

LEASE = 1.0
HERE = Path(__file__).parent


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with short leases that are renewed often."""
    settings = {"lease_duration": f"{LEASE:g}s", "heartbeat_interval": "200ms"}
    with start_server(tmp_path, **settings) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[quarterdeck.AsyncClient]:
    """A client of it."""
    async with quarterdeck.AsyncClient(server.address) as client:
        yield client


@contextlib.asynccontextmanager
async def process(script: str, server: Server) -> AsyncIterator[Process]:
    """An agent in a process of its own."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / script), server.address, stdout=PIPE
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def line_of(agent: Process) -> str:
    """The next line that an agent prints."""
    assert agent.stdout is not None
    async with asyncio.timeout(20):
        return (await agent.stdout.readline()).decode().strip()


async def until_active(client: quarterdeck.AsyncClient, count: int) -> None:
    """Wait until so many agents are there."""
    async with asyncio.timeout(20):
        while len([a async for a in client.agents("state:active")]) < count:
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def victim_and_heir(
    server: Server, client: quarterdeck.AsyncClient, name: str, seconds: float
) -> AsyncIterator[tuple[str, Process]]:
    """A task in the hands of an agent, while another one waits for work."""
    async with process("stopped_agent.py", server) as victim:
        task_id = await client.submit(name, seconds)
        await until_logged(client, task_id, f"by {victim.pid}")
        async with process("stopped_agent.py", server):
            await until_active(client, 2)
            yield task_id, victim


async def test_a_handler_that_blocks_its_loop_for_longer_than_the_lease_loses_nothing(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    async with victim_and_heir(server, client, "block", 2.5 * LEASE) as (task_id, _):
        assert await client.result(task_id, int, timeout=20) == 1
        details = await client.get(task_id)
    assert details.task.crashes == 0
    assert [a.outcome for a in details.attempts] == ["succeeded"]


async def test_an_agent_that_is_stopped_for_half_a_lease_loses_nothing(
    server: Server, client: quarterdeck.AsyncClient
) -> None:
    async with victim_and_heir(server, client, "hold", 1.5 * LEASE) as (task_id, victim):
        victim.send_signal(signal.SIGSTOP)
        # The time that passes is what is tested.
        await asyncio.sleep(0.5 * LEASE)
        victim.send_signal(signal.SIGCONT)
        assert await client.result(task_id, int, timeout=20) == 1
        details = await client.get(task_id)
    assert [a.outcome for a in details.attempts] == ["succeeded"]
    assert (details.task.late_reports, details.attempts[0].late_heartbeats) == (0, 0)


@pytest.mark.parametrize("leases", [2, 10])
async def test_the_task_of_a_stopped_agent_runs_elsewhere_once_and_what_it_says_late_is_refused(
    server: Server, client: quarterdeck.AsyncClient, leases: int
) -> None:
    async with (
        victim_and_heir(server, client, "hold", 60.0) as (task_id, victim),
        process("bare_agent.py", server) as bare,
    ):
        bare_id = await client.submit("bare")
        assert await line_of(bare) == "attempt 1"
        for agent in (victim, bare):
            agent.send_signal(signal.SIGSTOP)
        # The time that passes is what is tested.
        await asyncio.sleep(leases * LEASE)
        assert await client.result(task_id, int, timeout=20) == 2
        for agent in (victim, bare):
            agent.send_signal(signal.SIGCONT)

        assert (await line_of(victim)).startswith("told: the lease")
        assert await line_of(bare) == "DIRECTIVE_LOST"
        assert await line_of(bare) == "LEASE_LOST"

        details = await client.get(task_id)
        assert [a.outcome for a in details.attempts] == ["lost", "succeeded"]
        assert details.task.crashes == 1
        async with asyncio.timeout(10):
            while not (first := (await client.get(bare_id)).attempts[0]).late_heartbeats:
                await asyncio.sleep(0.02)
        assert (first.outcome, first.late_reports, first.late_heartbeats) == ("lost", 1, 1)
        assert (await client.get(bare_id)).task.late_reports == 1
