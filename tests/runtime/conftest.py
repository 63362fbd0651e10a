"""Parts of the runtime with a clock that stands still and a store whose disk a test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.store.sqlite import SqliteStore

from .disk import FlakyStore


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a database that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FlakyStore]:
    """A store on disk whose groups a test can hold up and let fail."""
    inner = SqliteStore(tmp_path / "data")
    await inner.open()
    try:
        yield FlakyStore(inner)
    finally:
        await inner.close()
