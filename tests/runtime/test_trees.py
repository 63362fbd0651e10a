"""A large tree is cancelled to its end without anybody's help, also by the next server."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck_server.engine.changes import TASK
from quarterdeck_server.engine.states import CANCELLED
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core

from ..engine import make
from .cores import start_core, stop_core, until_states

CHILDREN = 3_000


async def _cancelled_tree(core: Core) -> None:
    """Submit a tree, and have it cancelled."""
    (root,) = await core.execute(make.submit())
    specs = [make.spec(parent_id=root.task_id) for _ in range(CHILDREN)]
    await core.execute(make.submit(*specs))
    await core.execute(make.cancel(root.task_id))


async def test_a_large_tree_is_cancelled_to_its_end_in_several_groups(
    folder: Path, clock: ManualClock
) -> None:
    core = await start_core(folder, clock)
    sizes: list[int] = []
    core.published.append(lambda changes: sizes.append(sum(c.kind == TASK for c in changes)))
    try:
        await _cancelled_tree(core)
        await until_states(core, {CANCELLED: CHILDREN + 1})
        assert [n for n in sizes if n] == [1, CHILDREN, 1, 1000, 1000, 1000]
    finally:
        await stop_core(core)


async def test_the_next_server_goes_on_with_a_tree(
    folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_core(folder, clock)
    # A server that stops right after the answer.
    monkeypatch.setattr(first._walker, "poke", lambda: None)
    await _cancelled_tree(first)
    await stop_core(first)
    second = await start_core(folder, clock)
    try:
        await until_states(second, {CANCELLED: CHILDREN + 1})
    finally:
        await stop_core(second)
