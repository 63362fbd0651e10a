"""The composition root: what is joined when a server starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quarterdeck_server.app import App
from quarterdeck_server.config import PoolSettings, Settings
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.pools.supervisor import PoolSupervisor
from quarterdeck_server.runtime.clock import SystemClock
from quarterdeck_server.store.base import StoreUnavailable
from quarterdeck_server.store.sqlite import SqliteStore

from ..engine import make


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the server is told. It has a pool, which starts nothing while there is no work."""
    pool = PoolSettings(name="p", argv=("false",))
    return Settings(listen="127.0.0.1:0", data_dir=tmp_path / "data", pools=(pool,))


async def _leave_a_disobeyed_cancel(settings: Settings) -> None:
    """Stop a server between a cancel's delivery and the end of its grace, which passes meanwhile."""
    store, now = SqliteStore(settings.data_dir), SystemClock().now()
    await store.open()
    claim = make.claim("a1")
    submit = make.submit(make.spec(policy=Policy(cancel_grace=0)))
    await store.run_group([submit], make.waiting([claim]), now)
    (task,) = claim.taken
    cancel = c.Cancel("default", [task.id], "stop", "ops")
    delivered = c.RecordBeats([c.Beat(task.id, task.lease_token or 0, delivered=True)])
    await store.run_group([cancel, delivered], make.waiting([]), now)
    await store.close()


async def test_a_grace_that_ended_while_the_server_was_away_kills_the_agent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _leave_a_disobeyed_cancel(settings)
    killed: asyncio.Queue[str] = asyncio.Queue()

    async def kill(pools: PoolSupervisor, namespace: str, agent_id: str, why: str) -> bool:
        killed.put_nowait(f"{namespace}/{agent_id}")
        return True

    monkeypatch.setattr(PoolSupervisor, "kill_agent", kill)
    app = App(settings)
    await app.start()
    try:
        async with asyncio.timeout(10):
            assert await killed.get() == "default/a1"
    finally:
        await app.stop()


async def test_a_server_whose_pools_cannot_start_leaves_its_data_to_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(pools: PoolSupervisor) -> None:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(PoolSupervisor, "start", fail)
        with pytest.raises(StoreUnavailable):
            await App(settings).start()
    app = App(settings)
    await app.start()
    await app.stop()


async def test_a_server_without_pools_forgets_those_it_had_before(settings: Settings) -> None:
    app = App(settings)
    await app.start()
    await app.stop()
    app = App(settings.model_copy(update={"pools": ()}))
    await app.start()
    try:
        assert await app.core.store.list_pools("default") == []
    finally:
        await app.stop()
