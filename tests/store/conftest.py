"""Every back end runs the same suite; SQLite is the one there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from quarterdeck_server.store.base import Store
from quarterdeck_server.store.sqlite import SqliteStore

from .desk import Desk


@pytest.fixture(params=["sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes stores of one and the same database, to be opened one at a time."""
    return lambda: SqliteStore(tmp_path / "data")


@pytest.fixture
async def store(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """An open store."""
    store = make_store()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    """The store under a test's hands."""
    return Desk(store)
