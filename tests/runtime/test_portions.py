"""Very many dependents of one task all leave it behind without anybody's help, also by the next server."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck_server.engine.branches import SETTLED_AT_ONCE
from quarterdeck_server.engine.changes import TASK
from quarterdeck_server.engine.commands import Fail, Succeed
from quarterdeck_server.engine.states import CANCELLED, FAILED, READY, SUCCEEDED
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core

from ..engine import make
from .cores import start_core, stop_core, until_states

WAITING = SETTLED_AT_ONCE + 2_500


async def _end(core: Core, outcome: Succeed | Fail) -> None:
    """Let very many tasks wait for one, and end it."""
    (one,) = await core.execute(make.submit())
    specs = [make.spec(depends_on=[one.task_id]) for _ in range(WAITING)]
    await core.execute(make.submit(*specs))
    ((task, _),) = await core.claim(make.claim(), 60)
    await core.execute(make.report(task.id, task.lease_token, outcome))


async def test_very_many_dependents_start_in_several_groups(
    folder: Path, clock: ManualClock
) -> None:
    core = await start_core(folder, clock)
    sizes: list[int] = []
    core.published.append(lambda changes: sizes.append(sum(c.kind == TASK for c in changes)))
    try:
        await _end(core, make.succeed())
        await until_states(core, {SUCCEEDED: 1, READY: WAITING})
        assert [n for n in sizes if n > 1] == [WAITING, SETTLED_AT_ONCE + 1, 1000, 1000, 500]
    finally:
        await stop_core(core)


async def test_the_next_server_goes_on_with_dependents(
    folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_core(folder, clock)
    # A server that stops right after the answer.
    monkeypatch.setattr(first._walker, "poke", lambda: None)
    await _end(first, make.fail(final=True))
    await stop_core(first)
    second = await start_core(folder, clock)
    try:
        await until_states(second, {FAILED: 1, CANCELLED: WAITING})
    finally:
        await stop_core(second)
