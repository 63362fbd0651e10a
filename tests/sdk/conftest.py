from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from quarterdeck._control import control

from .fake import FakeServer


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server in memory with long leases."""

    async def start() -> FakeServer:
        server = FakeServer()
        await server.start()
        return server

    server = await control().call(start())
    yield server
    await control().call(server.stop())
