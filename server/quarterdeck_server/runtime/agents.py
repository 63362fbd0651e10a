"""The agents in contact, in memory; the store learns of what an operator should see."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from quarterdeck_server.engine.changes import AGENT, DELETED, Change
from quarterdeck_server.engine.commands import Command, PutAgents, Refusal, SetAgentState
from quarterdeck_server.engine.explain.facts import Handler
from quarterdeck_server.engine.model import Agent
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.runtime.clock import Clock

CONTACT_WRITTEN = 30.0
"""How often the time of an agent's last contact is written while nothing else about it changes, in seconds."""

GONE_AFTER = 600.0
"""How long an agent is LOST before it is GONE, in seconds."""

AgentKey = tuple[str, str]
Names = frozenset[str] | None
"""Task names that an agent handles; None means any, and none that it has not claimed yet."""


@lru_cache(maxsize=1024)
def _listed(queues: tuple[str, ...]) -> str:
    return json.dumps(queues)


def _back(row: Agent) -> int:
    """Return the state of an agent that was away."""
    return int(AgentState.DRAINING if row.drained else AgentState.ACTIVE)


class _Entry:
    __slots__ = ("contacted", "heard", "names", "row", "written")

    def __init__(self, row: Agent, now: float, *, heard: bool) -> None:
        self.row = row
        self.heard = heard
        """It has called since the server's start; else `contacted` only gives it time to do so."""
        self.names: Names = frozenset()
        self.contacted = now
        # Agents that came together are written at different times from now on.
        self.written = now - CONTACT_WRITTEN * (hash(row.id) % 1000) / 1000


class AgentRegistry:
    """Who is in contact and since when."""

    def __init__(
        self,
        clock: Clock,
        lost_after: float,
        execute: Callable[[Command], Awaitable[Any]],
        wake: Callable[[str, str], None],
        pool_of: Callable[[str], str | None],
    ) -> None:
        self._clock = clock
        self._lost_after = lost_after
        self._execute = execute
        self._wake = wake
        self._pool_of = pool_of
        self._checked = clock.monotonic()
        self._earliest = self._checked
        """No agent is silent for too long before: contacts only put it off."""
        self._entries: dict[AgentKey, _Entry] = {}
        self._dirty: dict[AgentKey, Agent] = {}

    def start(self, agents: Iterable[Agent]) -> None:
        """Begin with the agents of the store; each has a whole term to call again."""
        now = self._clock.monotonic()
        for agent in agents:
            self._entries[agent.namespace, agent.id] = _Entry(agent, now, heard=False)

    def handles(self, namespace: str, agent_id: str, names: Names) -> None:
        """Note the task names of an agent's claim; those of its other claims stay."""
        entry = self._entries.get((namespace, agent_id))
        if entry is not None and names != entry.names:
            both = None if names is None or entry.names is None else entry.names | names
            entry.names = both

    def handlers(self, namespace: str) -> list[Handler]:
        """Return the agents in contact with what they take, and when they called last, to the moment."""
        return [
            Handler(self.seen(entry.row), entry.names)
            for (place, _), entry in self._entries.items()
            if place == namespace
        ]

    def seen(self, row: Agent) -> Agent:
        """Return an agent as the store has it, with the time of its last contact to the moment."""
        entry = self._entries.get((row.namespace, row.id))
        if entry is None or not entry.heard:
            return row
        silent = round((self._clock.monotonic() - entry.contacted) * 1_000_000)
        return row._replace(last_contact_time=self._clock.now() - silent)

    def contact(self, namespace: str, info: Agent, queues: Sequence[str]) -> bool:
        """Note that an agent called; return whether it is to drain.

        Args:
            namespace: Its tenant.
            info: As it describes itself; what only the server knows is zero or None.
            queues: Where it claims from; empty leaves the known ones as they are.
        """
        now = self._clock.monotonic()
        key = (namespace, info.id)
        entry = self._entries.get(key)
        if entry is None:
            row = self._first(info, queues)
            self._entries[key] = _Entry(row, now, heard=True)
            self._dirty[key] = row
            return False
        entry.contacted = now
        entry.heard = True
        row = entry.row
        listed = _listed(tuple(queues)) if queues else row.queues
        same = (row.name, row.version, row.slots, row.labels, row.queues) == (
            info.name,
            info.version,
            info.slots,
            info.labels,
            listed,
        )
        back = row.state in (AgentState.LOST, AgentState.GONE)
        if not same or back or now - entry.written >= CONTACT_WRITTEN:
            entry.row = self._dirty[key] = row._replace(
                name=info.name,
                version=info.version,
                slots=info.slots,
                labels=info.labels,
                queues=listed,
                state=_back(row) if back else row.state,
                last_contact_time=self._clock.now(),
            )
            entry.written = now
        return entry.row.state == AgentState.DRAINING

    def _first(self, info: Agent, queues: Sequence[str]) -> Agent:
        wall = self._clock.now()
        return info._replace(
            queues=_listed(tuple(queues)),
            pool=self._pool_of(info.instance_id) if info.instance_id else None,
            state=int(AgentState.ACTIVE),
            running=0,
            create_time=wall,
            last_contact_time=wall,
            revision=0,
        )

    def draining(self, namespace: str, agent_id: str) -> bool:
        """Say whether an agent in contact is to drain."""
        entry = self._entries.get((namespace, agent_id))
        return entry is not None and entry.row.state == AgentState.DRAINING

    @property
    def dirty(self) -> bool:
        """Something waits to be written."""
        return bool(self._dirty)

    def take_dirty(self) -> PutAgents:
        """Return the command that writes what waits to be written."""
        dirty, self._dirty = self._dirty, {}
        return PutAgents(list(dirty.values()))

    def give_back(self, command: PutAgents) -> None:
        """Take back a command that was not carried out; what is newer stays."""
        for row in command.agents:
            self._dirty.setdefault((row.namespace, row.id), row)

    def apply(self, changes: Sequence[Change]) -> None:
        """Follow the changes of a committed group."""
        for change in changes:
            if change.kind != AGENT:
                continue
            row: Agent = change.row
            key = (row.namespace, row.id)
            entry = self._entries.get(key)
            if change.op == DELETED or row.state == AgentState.GONE:
                self._entries.pop(key, None)
            elif entry is not None:
                drained = row.state == AgentState.DRAINING != entry.row.state
                if entry.row.state == AgentState.LOST:
                    # Whoever changes one that is silent does not bring it back.
                    self._earliest = self._checked
                entry.row = row
                if drained:
                    self._wake(*key)

    async def goodbye(self, namespace: str, agent_id: str) -> None:
        """Note that an agent stops."""
        key = (namespace, agent_id)
        entry = self._entries.get(key)
        self._dirty.pop(key, None)
        (result,) = await self._execute(SetAgentState(namespace, [agent_id], int(AgentState.GONE)))
        if isinstance(result, Refusal) and self._entries.get(key) is entry:
            # It was never written, so no change will tell that it is gone.
            self._entries.pop(key, None)

    def silent(self) -> list[SetAgentState]:
        """Return the commands for agents that were not heard of for too long.

        As with leases, time in which the server itself was held up does not count.
        """
        now = self._clock.monotonic()
        gap, self._checked = now - self._checked, now
        if gap > self._lost_after / 2:
            for entry in self._entries.values():
                entry.contacted += gap
        if now < self._earliest:
            return []
        self._earliest = now + self._lost_after
        lost: dict[tuple[str, int], list[str]] = {}
        for (namespace, agent_id), entry in self._entries.items():
            silence = now - entry.contacted
            state = AgentState.GONE if silence >= GONE_AFTER else AgentState.LOST
            if silence < self._lost_after:
                due = entry.contacted + self._lost_after
            elif state != entry.row.state:
                lost.setdefault((namespace, int(state)), []).append(agent_id)
                due = now
            else:
                due = entry.contacted + GONE_AFTER
            self._earliest = min(self._earliest, due)
        return [SetAgentState(ns, ids, state) for (ns, state), ids in lost.items()]

    def get(self, namespace: str, agent_id: str) -> Agent | None:
        """Return an agent in contact."""
        entry = self._entries.get((namespace, agent_id))
        return None if entry is None else entry.row

    def of_pool(self, pool: str) -> list[Agent]:
        """Return the agents in contact whose instance a pool started."""
        return [entry.row for entry in self._entries.values() if entry.row.pool == pool]
