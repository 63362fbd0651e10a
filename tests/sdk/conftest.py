from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

import quarterdeck
from quarterdeck._control import control

from .fake import FakeServer

Fleet = Callable[..., asyncio.Task[None]]
"""Starts `serve_async` for an agent; everything it started is stopped after the test."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server in memory, with leases of 30 s."""
    server = FakeServer()
    await control().call(server.start())
    yield server
    await control().call(server.stop())


@pytest.fixture
async def fleet(fake: FakeServer) -> AsyncIterator[Fleet]:
    """Agents of `fake`, or of another address."""
    tasks: list[asyncio.Task[None]] = []

    def start(agent: quarterdeck.Agent, address: str = "", **options: object) -> asyncio.Task[None]:
        work = quarterdeck.serve_async(agent, address or fake.address, **options)  # type: ignore[arg-type]
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    # Claims are answered at once, also the ones by which an agent that stops settles what it cut.
    fake.drain = True
    fake.touch()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, quarterdeck.ApiError):
            await task
