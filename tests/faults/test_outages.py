"""A server that is away for longer than its leases last, and agents that go on without it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

import quarterdeck

from .process import ServerProcess


@pytest.mark.parametrize("outage", [signal.SIGKILL, signal.SIGSTOP])
async def test_an_outage_that_outlasts_a_lease_is_no_crash_of_the_task(
    make_server: Callable[..., ServerProcess], outage: signal.Signals
) -> None:
    server = await make_server().start()
    agent = quarterdeck.Agent("a")
    begun: asyncio.Queue[int] = asyncio.Queue()
    stopped = asyncio.Event()

    @agent.task
    async def holds(run: quarterdeck.Run) -> int:
        begun.put_nowait(run.attempt)
        if run.attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
        return run.attempt

    stop = asyncio.Event()
    serving = asyncio.create_task(quarterdeck.serve_async(agent, server.address, stop=stop))
    async with asyncio.timeout(30), quarterdeck.AsyncClient(server.address) as client:
        # One crash, and it would be in the dead-letter list.
        once = quarterdeck.Retry(max_attempts=1, max_crashes=1)
        task_id = await client.submit("holds", retry=once)
        assert await begun.get() == 1
        server.send(outage)
        await stopped.wait()
        if outage is signal.SIGSTOP:
            server.send(signal.SIGCONT)
        else:
            await server.ended()
            await server.start()
        assert await client.result(task_id, int) == 2
        details = await client.get(task_id)
    assert details.task.crashes == 0
    assert [attempt.outcome for attempt in details.attempts] == ["released", "succeeded"]
    assert details.task.late_reports == 0
    stop.set()
    await serving
