"""Large details in SQLite: kept once, and no longer than somebody refers to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck_server.engine.commands import Beat, RecordBeats
from quarterdeck_server.engine.model import Payload, Task

from ..engine import make
from ..engine.bench import Bench
from ..engine.sqlite import Sqlite

LARGE = b"x" * 40_000


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Sqlite]:
    """A database file."""
    driver = Sqlite(tmp_path / "quarterdeck.db")
    yield driver
    driver.close()


def test_large_details_are_kept_once_and_removed_with_their_last_user(driver: Sqlite) -> None:
    bench = Bench(driver)
    bench.submit(make.spec(), make.spec(data=LARGE))
    one, other = bench.claim(max_tasks=2)

    def save(task: Task, data: bytes) -> int:
        beat = Beat(task.id, task.lease_token or 0, details=Payload("t", data))
        bench.do(RecordBeats([beat]))
        return int(driver.rows("SELECT count(*) FROM blobs")[0][0])

    assert save(one, LARGE) == 1
    assert save(one, b"y" * 40_000) == 2
    assert save(one, b"z" * 40_000) == 2, "what was replaced is gone"
    assert save(other, b"z" * 40_000) == 2, "the same bytes are kept once"
    assert save(one, b"small") == 2
    assert save(other, b"small") == 1, "the input stays"
