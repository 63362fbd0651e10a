"""Everything of the fleet but its tasks: small enough to hold whole, and its counters over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from quarterdeck._words import agent_labels, short_ids
from quarterdeck_console.model import words
from quarterdeck_console.model.holds import AGENT, AGENT_VERSION, HoldRow, freeze_of, hold_id
from quarterdeck_console.model.rows import (
    AgentRow,
    InstanceRow,
    PoolRow,
    QueueRow,
    ScheduleRow,
)
from quarterdeck_console.model.store import Store

HISTORY = 600
"""Samples kept, one a second."""


@dataclass(slots=True)
class Connection:
    """What the console knows of its server. Instants are on the console's own clock.

    Attributes:
        live: True while the watch of the fleet is open and its first answer came.
        since: When ``live`` last changed.
        retry_at: When the next attempt to connect starts; 0.0 while one is under way.
        problem: Why it is not live, sanitised.
        changes: Changes received since the start.
    """

    live: bool = False
    since: float = 0.0
    retry_at: float = 0.0
    problem: str = ""
    changes: int = 0
    ever_live: bool = False
    version: str = ""
    round_trip: float = 0.0

    def came(self, now: float) -> None:
        """The watch answered."""
        if not self.live:
            self.live, self.since, self.problem = True, now, ""
        self.ever_live, self.retry_at = True, 0.0

    def went(self, now: float, problem: str, retry_at: float) -> None:
        """The watch ended; rows stay and age."""
        if self.live or not self.since:
            self.since = now
        self.live, self.problem, self.retry_at = False, problem, retry_at


@dataclass(slots=True)
class Totals:
    """Tasks by state over all queues, and agents by state."""

    tasks: dict[int, int] = field(default_factory=dict)
    succeeded: int = 0
    failed: int = 0
    agents: dict[int, int] = field(default_factory=dict)
    busy: int = 0
    slots: int = 0
    used: int = 0

    def of(self, *states: int) -> int:
        """Tasks in any of these states."""
        return sum(self.tasks.get(state, 0) for state in states)

    @property
    def kept(self) -> int:
        """All tasks that the server keeps."""
        return sum(self.tasks.values())

    @property
    def agents_up(self) -> int:
        """Agents in contact."""
        return self.agents.get(words.ACTIVE, 0) + self.agents.get(words.DRAINING, 0)

    @property
    def agents_known(self) -> int:
        """Agents that are, or should be, there."""
        return self.agents_up + self.agents.get(words.LOST, 0)


class Series:
    """Samples of one figure, one a second."""

    def __init__(self) -> None:
        self.values: deque[float] = deque(maxlen=HISTORY)

    def last(self) -> float:
        """The newest sample; 0.0 before the first."""
        return self.values[-1] if self.values else 0.0

    def steps(self, cells: int, span: int) -> list[float]:
        """The newest samples as the means of ``span`` seconds each, at most ``cells`` of them."""
        values = list(self.values)[-cells * span :]
        return [
            sum(chunk) / len(chunk)
            for chunk in (values[at : at + span] for at in range(0, len(values), span))
        ]


class Taking(NamedTuple):
    """Who takes from a queue.

    Attributes:
        agents: How many may be given its tasks.
        slots: How many they run at once.
        held: How many would take, and are held.
    """

    agents: int = 0
    slots: int = 0
    held: int = 0


class Fleet:
    """Agents, queues, schedules, pools, instances and holds, as last heard of.

    ``sample`` is called once a second; it makes rates out of the queues' counters.
    """

    def __init__(self) -> None:
        self.agents: Store[AgentRow] = Store()
        self.queues: Store[QueueRow] = Store()
        self.schedules: Store[ScheduleRow] = Store()
        self.instances: Store[InstanceRow] = Store()
        self.pools: Store[PoolRow] = Store()
        self.holds: Store[HoldRow] = Store()
        self.connection = Connection()
        self.totals = Totals()
        self.done = Series()
        self.failed = Series()
        self.ready = Series()
        self.running = Series()
        self.events = Series()
        self.queue_done: dict[str, Series] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._last_changes = 0
        self._totals_at = (-1, -1)
        self._taking: dict[str, Taking] = {}
        self._taking_at = (-1, -1)
        self._labels: dict[str, str] = {}
        self._labels_at = -1

    def stores(
        self,
    ) -> Iterator[
        Store[AgentRow]
        | Store[QueueRow]
        | Store[ScheduleRow]
        | Store[InstanceRow]
        | Store[PoolRow]
        | Store[HoldRow]
    ]:
        """Every store, for what concerns all."""
        yield from (self.agents, self.queues, self.schedules, self.instances, self.pools)
        yield self.holds

    @property
    def version(self) -> int:
        """Rises with every change."""
        return sum(store.version for store in self.stores())

    def refresh_totals(self) -> Totals:
        """The totals of now; counted again only after a change."""
        at = (self.queues.version, self.agents.version)
        if at != self._totals_at:
            self._totals_at = at
            self.totals = self._count()
        return self.totals

    def _count(self) -> Totals:
        totals = Totals()
        for queue in self.queues:
            for state, number in queue.counts.items():
                totals.tasks[state] = totals.tasks.get(state, 0) + number
            totals.succeeded += queue.succeeded_total
            totals.failed += queue.failed_total
        for agent in self.agents:
            totals.agents[agent.state] = totals.agents.get(agent.state, 0) + 1
            if agent.state in (words.ACTIVE, words.DRAINING):
                totals.busy += agent.running > 0
                totals.slots += agent.slots
                totals.used += agent.running
        return totals

    def sample(self) -> None:
        """Takes one sample of every figure. While the connection is lost nothing is sampled."""
        if not self.connection.live:
            self._last.clear()
            return
        totals = self.refresh_totals()
        done = failed = 0
        for queue in self.queues:
            now = (queue.succeeded_total, queue.failed_total)
            before = self._last.get(queue.id, now)
            self._last[queue.id] = now
            ended = max(0, now[0] - before[0])
            self.queue_done.setdefault(queue.id, Series()).values.append(ended)
            done += ended
            failed += max(0, now[1] - before[1])
        self.done.values.append(done)
        self.failed.values.append(failed)
        self.ready.values.append(totals.of(words.READY))
        self.running.values.append(totals.of(words.RUNNING))
        self.events.values.append(self.connection.changes - self._last_changes)
        self._last_changes = self.connection.changes

    @property
    def freeze(self) -> HoldRow | None:
        """The freeze of the namespace, or None."""
        return freeze_of(self.holds) if len(self.holds) else None

    def hold_of(self, agent: AgentRow) -> HoldRow | None:
        """What holds an agent: itself, or its version."""
        if not len(self.holds):
            return None
        version = hold_id(AGENT_VERSION, f"{agent.name}@{agent.version}")
        return self.holds.get(hold_id(AGENT, agent.id)) or self.holds.get(version)

    def state_words(self, agent: AgentRow) -> tuple[str, str, words.Tone]:
        """Glyph, word and tone of an agent: held only where that is all that keeps it from tasks."""
        if agent.state == words.ACTIVE and self.hold_of(agent) is not None:
            return ("‖", "held", words.Tone.WARN)
        return agent.state_words()

    def taking(self, queue: str) -> Taking:
        """Who takes from a queue now."""
        at = (self.agents.version, self.holds.version)
        if at != self._taking_at:
            self._taking_at = at
            self._taking = self._count_taking()
        return self._taking.get(queue, Taking())

    def _count_taking(self) -> dict[str, Taking]:
        found: dict[str, Taking] = {}
        held = any(hold.kind in (AGENT, AGENT_VERSION) for hold in self.holds)
        for agent in self.agents:
            if agent.state != words.ACTIVE:
                continue
            barred = held and self.hold_of(agent) is not None
            for queue in agent.queues:
                agents, slots, still = found.get(queue, (0, 0, 0))
                found[queue] = (
                    Taking(agents, slots, still + 1)
                    if barred
                    else Taking(agents + 1, slots + agent.slots, still)
                )
        return found

    def held(self, hold: HoldRow) -> str:
        """What a hold is about, an agent by its label."""
        return f"agent {self.agent_label(hold.subject)}" if hold.kind == AGENT else hold.what

    def agent_label(self, agent_id: str) -> str:
        """How an agent is called: its name, and so much of its id as no other agent's has."""
        if self._labels_at != self.agents.membership:
            self._labels_at = self.agents.membership
            self._labels = agent_labels({agent.id: agent.name for agent in self.agents})
        return self._labels.get(agent_id) or short_ids([agent_id])[agent_id]

    def version_of(self, agent_id: str) -> str:
        """What is said of the version of an agent's code; empty where it is not known."""
        agent = self.agents.get(agent_id)
        return f"   version {agent.version}" if agent is not None and agent.version else ""

    def queue_rate(self, queue: str) -> float:
        """Tasks of a queue that succeeded per second, over the last 10 s."""
        series = self.queue_done.get(queue)
        recent = list(series.values)[-10:] if series is not None else []
        return sum(recent) / len(recent) if recent else 0.0
