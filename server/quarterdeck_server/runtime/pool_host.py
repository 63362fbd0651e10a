"""The server as its pools see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quarterdeck_server.engine.commands import PutInstance, PutPools, SetAgentState
from quarterdeck_server.engine.flow.holds import AGENT, MAX_HOLDS, handed_out
from quarterdeck_server.engine.model import Hold
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.states import READY, RUNNING, AgentState
from quarterdeck_server.engine.world import HoldKey
from quarterdeck_server.pools.host import AgentView, Load
from quarterdeck_server.runtime.core import Core


class PoolHost:
    """See `pools.host.Host`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def queue_load(self, namespace: str, queue: str) -> Load:
        """Return the work in a queue."""
        rows = await self._core.store.get_queues(namespace, [queue])
        if not rows:
            return Load(0, 0)
        (row,) = rows
        names = {name: n for name, state, n in row.counts if state == READY}
        ready = sum(handed_out(await self._holds(namespace), namespace, names).values())
        running = sum(n for _, state, n in row.counts if state == RUNNING)
        return Load(0 if row.paused else ready, running)

    async def agents_of(self, pool: str) -> Sequence[AgentView]:
        """Return the agents in contact whose instance a pool started."""
        rows = self._core.agents.of_pool(pool)
        holds: dict[HoldKey, Hold] = {}
        for namespace in {row.namespace for row in rows}:
            holds |= await self._holds(namespace)
        return [
            AgentView(
                row.id,
                row.instance_id or "",
                row.state,
                # Where a version is held, another instance would be of that version as well.
                row.running if (row.namespace, AGENT, row.id) in holds else row.slots,
                row.running,
                row.namespace,
            )
            for row in rows
        ]

    async def drain(self, namespace: str, agent_id: str) -> None:
        """Hand the agent no more work."""
        row = self._core.agents.get(namespace, agent_id)
        if row is not None and row.state == AgentState.ACTIVE:
            await self._core.execute(SetAgentState(namespace, [agent_id], int(AgentState.DRAINING)))

    async def save(self, instance: Instance) -> None:
        """Persist an instance and tell the watchers."""
        await self._core.execute(PutInstance(instance))

    async def list_instances(self) -> Sequence[Instance]:
        """Return every instance that has not ended."""
        return await self._core.store.list_instances(None)

    async def save_pools(self, pools: Sequence[PoolStatus], replace: bool) -> None:
        """Persist what pools do and tell the watchers."""
        await self._core.execute(PutPools(pools, replace))

    async def _holds(self, namespace: str) -> Mapping[HoldKey, Hold]:
        found = await self._core.store.list_holds(namespace, MAX_HOLDS, None)
        return {hold[:3]: hold for hold in found.rows}
