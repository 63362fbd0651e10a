"""Cores that a test starts and stops itself, to see what the next one makes of what the last one left."""

from __future__ import annotations

from pathlib import Path

from quarterdeck_server.config import Settings
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.sqlite import SqliteStore


async def start_core(folder: Path, clock: ManualClock) -> Core:
    """Start one on the database in a folder."""
    core = Core(Settings(data_dir=folder), SqliteStore(folder), clock)
    await core.start()
    return core


async def stop_core(core: Core) -> None:
    """Stop it in good order."""
    core.drain()
    await core.stop()


async def until_states(core: Core, counts: dict[int, int]) -> None:
    """Return once so many tasks are in these states, and none in another."""
    while True:
        found, revision = await core.store.count_tasks("default", None, 0)
        if found == counts:
            return
        assert not core.hub.closing
        await core.hub.wait(revision, 60)
