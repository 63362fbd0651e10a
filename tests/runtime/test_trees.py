"""A large tree is cancelled to its end without anybody's help, also by the next server."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck_server.config import Settings
from quarterdeck_server.engine.changes import TASK
from quarterdeck_server.engine.states import CANCELLED
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.sqlite import SqliteStore

from ..engine import make

CHILDREN = 3_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the database."""
    return tmp_path / "data"


async def _start(folder: Path, clock: ManualClock) -> Core:
    core = Core(Settings(data_dir=folder), SqliteStore(folder), clock)
    await core.start()
    return core


async def _stop(core: Core) -> None:
    core.drain()
    await core.stop()


async def _cancelled_tree(core: Core) -> None:
    """Submit a tree, and have it cancelled."""
    (root,) = await core.execute(make.submit())
    specs = [make.spec(parent_id=root.task_id) for _ in range(CHILDREN)]
    await core.execute(make.submit(*specs))
    await core.execute(make.cancel(root.task_id))


async def _all_cancelled(core: Core) -> None:
    """Return once every task is."""
    while True:
        counts, revision = await core.store.count_tasks("default", None, 0)
        if counts == {CANCELLED: CHILDREN + 1}:
            return
        assert not core.hub.closing
        await core.hub.wait(revision, 60)


async def test_a_large_tree_is_cancelled_to_its_end_in_several_groups(
    folder: Path, clock: ManualClock
) -> None:
    core = await _start(folder, clock)
    sizes: list[int] = []
    core.published.append(lambda changes: sizes.append(sum(c.kind == TASK for c in changes)))
    try:
        await _cancelled_tree(core)
        await _all_cancelled(core)
        assert [n for n in sizes if n] == [1, CHILDREN, 1, 1000, 1000, 1000]
    finally:
        await _stop(core)


async def test_the_next_server_goes_on_with_a_tree(
    folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _start(folder, clock)
    # A server that stops right after the answer.
    monkeypatch.setattr(first._walker, "poke", lambda: None)
    await _cancelled_tree(first)
    await _stop(first)
    second = await _start(folder, clock)
    try:
        await _all_cancelled(second)
    finally:
        await _stop(second)
