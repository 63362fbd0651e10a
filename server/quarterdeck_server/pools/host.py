"""What the pools need of the server that they run in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from quarterdeck_server.engine.pools import Instance, PoolStatus


class Load(NamedTuple):
    """The work in one queue."""

    ready: int
    """Tasks that could be handed out now; 0 while the queue is paused."""
    running: int


class AgentView(NamedTuple):
    """An agent that runs in an instance of a pool."""

    agent_id: str
    instance_id: str
    state: int
    """Of `engine.states.AgentState`."""
    slots: int
    """Tasks that it runs at once; of one that is held by itself, those that it runs already."""
    running: int
    """Leases that it holds."""
    namespace: str
    """Where it claims; with its id, its identity."""


class Host(Protocol):
    """The server, seen from its pools.

    Every method may raise while the store is not available; the supervisor tries again at its
    next tick. What a method has written, the next one reads.
    """

    async def queue_load(self, namespace: str, queue: str) -> Load:
        """The work in a queue; zeros for one that does not exist."""
        ...

    async def agents_of(self, pool: str) -> Sequence[AgentView]:
        """The agents whose instance belongs to the pool, the lately lost and gone included."""
        ...

    async def drain(self, namespace: str, agent_id: str) -> None:
        """Hand the agent no more work. Harmless for one that is draining or gone."""
        ...

    async def save(self, instance: Instance) -> None:
        """Persist an instance and tell the watchers. The host sets its revision."""
        ...

    async def list_instances(self) -> Sequence[Instance]:
        """Every persisted instance that is not STOPPED."""
        ...

    async def save_pools(self, pools: Sequence[PoolStatus], replace: bool) -> None:
        """Persist what pools do and tell the watchers. The host sets their revisions.

        Args:
            pools: The pools that changed.
            replace: Remove the pools that are not among them.
        """
        ...
