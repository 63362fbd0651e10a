"""The parts joined: what one learns the others act on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quarterdeck_server.config import Settings
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Agent
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.committer import Draining
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.sqlite import SqliteStore

from ..engine import make


@pytest.fixture
async def core(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Core]:
    """A running core."""
    made = Core(Settings(data_dir=tmp_path / "data"), SqliteStore(tmp_path / "data"), clock)
    await made.start()
    yield made
    made.drain()
    await made.stop()


async def _submit(core: Core) -> int:
    (item,) = await core.execute(make.submit())
    task_id: int = item.task_id
    return task_id


async def test_a_new_agent_is_written_in_the_group_of_its_first_claim(core: Core) -> None:
    await _submit(core)
    core.agents.contact("default", make.agent(), ["default"])
    await core.claim(make.claim(), 60)
    agent = await core.store.get_agent("default", "a1")
    assert agent is not None and agent.running == 1
    assert len(core.leases) == 1


async def test_a_callback_that_fails_keeps_nobody_from_the_news(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def fails(changes: object) -> None:
        raise RuntimeError("a bug")

    core.published += [fails, lambda changes: told.append(len(changes))]
    await _submit(core)
    await _submit(core)
    assert len(told) == 2
    assert "a bug" in caplog.text


async def test_a_drained_agent_is_given_nothing_more(core: Core) -> None:
    core.agents.contact("default", make.agent(), ["default"])
    waiting = asyncio.create_task(core.claim(make.claim(), 60))
    while not (await core.store.get_agent("default", "a1")):
        await core.execute(c.UpdateQueue("default", "default", None, ""))
    await core.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    assert await waiting == []
    await _submit(core)
    assert len(core.leases) == 0


async def test_a_silent_agent_without_a_lease_is_given_nothing_by_the_claim_it_left_waiting(
    core: Core, clock: ManualClock
) -> None:
    for agent_id in ("stopped", "alive"):
        core.agents.contact("default", make.agent(agent_id), ["default"])
    left = asyncio.create_task(core.claim(make.claim("stopped"), 600))
    await asyncio.sleep(0)
    for _ in range(3):
        clock.advance(core.settings.lease_duration / 3)
        core.agents.contact("default", make.agent("alive"), ())
        await core._expirer.round()
    assert await asyncio.wait_for(left, 30) == []
    task_id = await _submit(core)
    assert len(core.leases) == 0
    ((task, _),) = await core.claim(make.claim("alive"), 60)
    assert task.id == task_id


async def test_a_restart_takes_over_leases_agents_and_the_line(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    core = Core(settings, SqliteStore(tmp_path / "data"), clock)
    await core.start()
    core.agents.contact("default", make.agent(), ["default"])
    for _ in range(2):
        await _submit(core)
    ((task, _),) = await core.claim(make.claim(), 60)
    core.drain()
    with pytest.raises(Draining):
        await core.claim(make.claim(), 60)
    await core.stop()
    core = Core(settings, SqliteStore(tmp_path / "data"), clock)
    await core.start()
    assert [lease.task_id for lease in core.leases.held("default", "a1")] == [task.id]
    assert core.agents.get("default", "a1") is not None
    assert core.hub.revision == await core.store.revision()
    assert len(await core.claim(make.claim("a2"), 60)) == 1
    core.drain()
    await core.stop()
    with pytest.raises(Draining):
        await _submit(core)


async def test_a_start_that_fails_leaves_no_thread_and_no_lock(
    tmp_path: Path, clock: ManualClock
) -> None:
    class Broken(SqliteStore):
        async def live_agents(self) -> list[Agent]:
            raise OSError("unreadable")

    before = set(threading.enumerate())
    folder = tmp_path / "broken"
    with pytest.raises(OSError, match="unreadable"):
        await Core(Settings(data_dir=folder), Broken(folder), clock).start()
    assert not {t for t in set(threading.enumerate()) - before if "quarterdeck" in t.name}
    again = SqliteStore(folder)
    await again.open()
    await again.close()


async def test_who_waits_for_an_end_is_told(core: Core) -> None:
    task_id = await _submit(core)
    waiting = asyncio.create_task(core.wait_ended(task_id, 60))
    logs = asyncio.create_task(core.wait_logs(task_id, 0, 60))
    ((task, held),) = await core.claim(make.claim(), 60)
    await core.execute(make.report(task.id, held.token, make.succeed()))
    async with asyncio.timeout(10):
        await asyncio.gather(waiting, logs)
        await core.wait_ended(task_id, 60)
        await core.wait_ended(99, 60)


async def test_who_waits_for_a_line_is_told(core: Core) -> None:
    task_id = await _submit(core)
    ((task, held),) = await core.claim(make.claim(), 60)
    waiting = asyncio.create_task(core.wait_logs(task_id, 0, 60))
    line = c.Line(None, "info", "log", "hello")
    await core.execute(c.AppendLogs("default", [c.LogItem(task.id, held.token, 0, [line])]))
    async with asyncio.timeout(10):
        await waiting
        await core.wait_logs(task_id, 0, 60)


async def test_time_and_leases_are_looked_after(core: Core, clock: ManualClock) -> None:
    (item,) = await core.execute(make.submit(make.spec(delay=make.SECOND)))
    clock.advance(1)
    core._timers.poke()
    ((task, _),) = await core.claim(make.claim(), 60)
    assert task.id == item.task_id
    for _ in range(61):
        clock.advance(0.5)
        await core._expirer.round()
    ((again, _),) = await core.claim(make.claim("a2"), 60)
    assert (again.id, again.attempt) == (task.id, 2)


async def test_a_closed_line_hands_out_nothing_and_still_takes_reports(core: Core) -> None:
    await _submit(core)
    ((task, lease),) = await core.claim(make.claim(), 60)
    waiting = asyncio.create_task(core.claim(make.claim("a2"), 60))
    await asyncio.sleep(0)
    core.close_line()
    assert await waiting == []
    await _submit(core)
    with pytest.raises(Draining):
        await core.claim(make.claim("a3"), 60)
    (result,) = await core.execute(make.report(task.id, lease.token, make.succeed()))
    assert result.refusal is None
