"""What pools see of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quarterdeck_server.config import Settings
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.flow import holds
from quarterdeck_server.engine.pools import Instance, InstanceState
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.pools.host import Load
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.runtime.pool_host import PoolHost
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


async def test_what_is_held_is_no_work_to_start_agents_for(core: Core) -> None:
    host = PoolHost(core)
    await core.execute(make.submit(make.spec(name="mail"), make.spec(), make.spec()))
    await core.claim(make.claim(), 60)
    assert await host.queue_load("default", "default") == Load(2, 1)
    await core.execute(c.PutHold("default", holds.TASK_NAME, "work", "ann", ""))
    held = (await host.queue_load("default", "default")).ready
    await core.execute(c.PutHold("default", holds.NAMESPACE, "", "ann", ""))
    assert await host.queue_load("default", "default") == Load(0, 1)
    assert held == 0
    assert await host.queue_load("default", "none") == Load(0, 0)


async def test_an_agent_that_is_held_by_itself_has_no_free_slot(core: Core) -> None:
    host = PoolHost(core)
    running = int(InstanceState.RUNNING)
    started = Instance("i1", "default", "pooled", running, None, None, None, 0, None, None, 0)
    await host.save(started)
    pooled = make.agent(slots=4)._replace(name="mail", instance_id="i1")
    for agent_id in ("a1", "a2"):
        core.agents.contact("default", pooled._replace(id=agent_id), ["default"])
    await core.execute(core.agents.take_dirty())
    await core.execute(make.submit())
    await core.claim(make.claim(), 60)
    await core.execute(c.PutHold("default", holds.AGENT, "a1", "ann", ""))
    await core.execute(c.PutHold("default", holds.AGENT_VERSION, "mail@1", "ann", ""))
    free = {a.agent_id: a.slots - a.running for a in await host.agents_of("pooled")}
    await core.execute(c.ReleaseHold("default", holds.AGENT, "a1"))
    released = {a.agent_id: a.slots - a.running for a in await host.agents_of("pooled")}
    assert (free, released) == ({"a1": 0, "a2": 4}, {"a1": 3, "a2": 4})


async def test_a_drain_is_for_the_agent_of_one_namespace(core: Core) -> None:
    host = PoolHost(core)
    for namespace in ("default", "other"):
        core.agents.contact(namespace, make.agent()._replace(namespace=namespace), ["default"])
    await core.execute(core.agents.take_dirty())
    await host.drain("other", "a1")
    states = [core.agents.get(namespace, "a1") for namespace in ("default", "other")]
    assert [row and row.state for row in states] == [AgentState.ACTIVE, AgentState.DRAINING]
    await host.drain("none", "a1")
