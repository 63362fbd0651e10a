"""The engine on dicts and on SQLite: what holds for the one holds for the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench
from .memory import Memory
from .sqlite import Sqlite


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An engine with its rows, and a clock that a test sets."""
    if request.param == "memory":
        yield Bench(Memory())
        return
    driver = Sqlite(tmp_path / "quarterdeck.db")
    yield Bench(driver)
    driver.close()
