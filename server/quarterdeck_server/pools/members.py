"""What the supervisor remembers of a pool and of each of its instances between two looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from quarterdeck_server.config import PoolSettings
from quarterdeck_server.engine.pools import Instance, InstanceState, PoolStatus
from quarterdeck_server.pools.host import AgentView
from quarterdeck_server.pools.launcher import Ended, Handle
from quarterdeck_server.pools.plan import Health, Unit, healed

_DETAIL_LENGTH = 4096
_SECOND = 1_000_000


@dataclass(eq=False, slots=True)
class Member:
    """An instance that was started and has not been recorded as ended."""

    row: Instance
    handle: Handle
    started: float
    running_since: float | None = None
    idle_since: float | None = None
    terminated: float | None = None
    killed: bool = False
    crashed: bool = False
    """Its end has been counted as a crash already."""
    agent: AgentView | None = None
    ended: Ended | None = None
    saved: bool = False
    """The row is persisted as it is here."""

    @property
    def agent_namespace(self) -> str:
        """Where its agent claims: told by the agent, or else as its pool told the agent."""
        return self.row.namespace if self.agent is None else self.agent.namespace

    def change(self, **fields: object) -> None:
        """Replace fields of the row, which then waits to be saved."""
        row = self.row._replace(**fields)  # type: ignore[arg-type]  # names are the caller's care
        if row != self.row:
            self.row = row
            self.saved = False

    def retire(self, why: str) -> None:
        """Note that it is being stopped; the first reason stays."""
        if self.row.state != InstanceState.STOPPING:
            self.change(state=int(InstanceState.STOPPING), detail=why)

    def terminate(self, why: str, now: float) -> None:
        """Ask it to end."""
        self.retire(why)
        self.terminated = now
        self.handle.stop()

    def kill(self, why: str) -> None:
        """End it by force."""
        self.retire(why)
        self.killed = True
        self.handle.kill()

    def observe(self, agent: AgentView | None, now: float) -> None:
        """Take in what its agent last said."""
        self.agent = agent
        if agent is None:
            return
        if self.row.state == InstanceState.STARTING:
            self.running_since = now
            self.change(state=int(InstanceState.RUNNING))
        self.change(agent_id=agent.agent_id)
        if agent.running:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now

    def finish(self, ended: Ended, wall: int) -> bool:
        """Turn it into one that has ended.

        Returns:
            Whether it crashed: it ended although nobody had asked it to.
        """
        asked = self.row.state == InstanceState.STOPPING
        detail = f"{self.row.detail}; {ended.how}" if asked and self.row.detail else ended.how
        if (not asked or self.crashed) and ended.output:
            detail += "\n" + ended.output.strip()[-_DETAIL_LENGTH:]
        self.change(state=int(InstanceState.STOPPED), end_time=wall, detail=detail)
        return not asked and not self.crashed

    def unit(self) -> Unit:
        """It as a value to plan with."""
        agent = self.agent
        return Unit(
            id=self.row.id,
            state=self.row.state,
            started=self.started,
            agent_state=agent.state if agent is not None else None,
            slots=agent.slots if agent is not None else 0,
            running=agent.running if agent is not None else 0,
            running_since=self.running_since,
            idle_since=self.idle_since,
            terminated=self.terminated,
            killed=self.killed,
        )


@dataclass(eq=False, slots=True)
class Group:
    """The instances of a pool, or what is left of pools that are no more."""

    members: dict[str, Member] = field(default_factory=dict)
    unstarted: list[Instance] = field(default_factory=list)
    """Rows of instances that could not be started, not saved yet."""
    health: Health = field(default_factory=Health)
    status: PoolStatus | None = None
    """As it was last saved."""
    _note: str | None = None

    def units(self) -> list[Unit]:
        """Its instances as values to plan with."""
        return [member.unit() for member in self.members.values()]

    def observe(self, agents: Iterable[AgentView], now: float) -> None:
        """Take in what the agents of its instances last said."""
        # An instance may have restarted its agent by itself: the one in best contact speaks.
        views: dict[str, AgentView] = {}
        for agent in sorted(agents, key=lambda agent: agent.state, reverse=True):
            views[agent.instance_id] = agent
        for member in self.members.values():
            member.observe(views.get(member.row.id), now)
        self.health = healed(self.health, self.units(), now)

    def note_crash(self, how: str, now: float, wall: int) -> None:
        """Count an instance that ended unasked, and say until when that holds up others."""
        self.health = self.health.crashed(now)
        again = wall // _SECOND + round(self.health.next_start - now)
        crashes = "1 crash" if self.health.crashes == 1 else f"{self.health.crashes} crashes"
        self._note = (
            f"{crashes} in a row, the last: {how}; "
            f"starts again at {datetime.fromtimestamp(again, UTC):%Y-%m-%dT%H:%M:%SZ}"
        )

    def current_status(self, settings: PoolSettings, now: float) -> PoolStatus:
        """What it does at the moment. The revision is 0: the host sets it."""
        return PoolStatus(
            namespace=settings.namespace,
            name=settings.name,
            queue=settings.queue,
            min=settings.min,
            max=settings.max,
            slots=settings.slots,
            idle_timeout=round(settings.idle_timeout * _SECOND),
            launcher=settings.launcher,
            instances=len(self.members),
            detail=self._note if now < self.health.next_start else None,
            revision=0,
        )
