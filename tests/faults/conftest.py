"""Servers as processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from .process import ServerProcess


@pytest.fixture
async def make_server(tmp_path: Path) -> AsyncIterator[Callable[..., ServerProcess]]:
    """Makes servers on one data directory; ends what is left of them."""
    made: list[ServerProcess] = []

    def make(*flags: str, lease: str = "1s") -> ServerProcess:
        server = ServerProcess(tmp_path / "data", *flags, lease=lease)
        made.append(server)
        return server

    yield make
    for server in made:
        await server.close()
