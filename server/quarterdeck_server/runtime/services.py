"""The services that act by themselves: each a loop with one start, one stop and one clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from quarterdeck_server.engine.commands import (
    Beat,
    Command,
    Expire,
    Prune,
    RecordBeats,
    Sweep,
    Walk,
)
from quarterdeck_server.engine.timeunits import SECOND
from quarterdeck_server.logs import Log
from quarterdeck_server.runtime.agents import AgentRegistry
from quarterdeck_server.runtime.clock import Clock
from quarterdeck_server.runtime.leases import LeaseTable
from quarterdeck_server.store.base import StoreUnavailable

Execute = Callable[[Command], Awaitable[Any]]

_log = Log(__name__)


class Service:
    """Something that runs from `start` to `stop`. An unexpected error is logged and does not end it."""

    name = "service"
    pause = 1.0
    """Seconds between two rounds, at most."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """End. A command that a round has begun is carried out all the same."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def poke(self) -> None:
        """Make the next round begin now."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            pause = self.pause
            try:
                pause = await self.round()
            except StoreUnavailable:
                pass  # The committer says so, and says when it is over.
            except Exception:
                _log.error("service failed", service=self.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()

    async def round(self) -> float:
        """Do what is due; return the seconds until the next round."""
        raise NotImplementedError


class Timers(Service):
    """Sweeps when a row's time has come. The rows are the truth; what is kept here is when to look next."""

    name = "timers"

    def __init__(self, execute: Execute, clock: Clock) -> None:
        super().__init__()
        self._execute = execute
        self._clock = clock
        self._next: int | None = 0

    def note(self, instant: int | None) -> None:
        """Learn of a row that wants a Sweep at this instant."""
        if instant is not None and (self._next is None or instant < self._next):
            self._next = instant
            self.poke()

    async def round(self) -> float:
        """Sweep if something is due. The wait is cut into short ones, for the wall clock may jump."""
        if self._next is None:
            return 60.0
        now = self._clock.now()
        if self._next <= now:
            self._next = None
            try:
                self.note(await self._execute(Sweep()))
            except BaseException:
                self._next = now
                raise
            return 0.0
        return min(1.0, (self._next - now) / SECOND)


class LeaseExpirer(Service):
    """Ends the leases that nobody renewed, and notes agents that were not heard of."""

    name = "lease expirer"

    def __init__(
        self,
        execute: Execute,
        leases: LeaseTable,
        agents: AgentRegistry,
        dismiss: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self._execute = execute
        self._leases = leases
        self._agents = agents
        self._dismiss = dismiss
        self.pause = min(0.5, leases.duration / 4)

    async def round(self) -> float:
        """Look at every lease and agent once."""
        overdue = self._leases.overdue()
        if overdue:
            # One that is stopped has claims in line, and would be given the same tasks again.
            for agent in self._leases.holders(overdue):
                self._dismiss(*agent)
            await self._execute(Expire(overdue))
        for command in self._agents.silent():
            # Nor may one be given anything that is stopped and has no lease.
            for agent_id in command.agent_ids:
                self._dismiss(command.namespace, agent_id)
            await self._execute(command)
        return self.pause


class Walker(Service):
    """Goes on with what was too large for one group: cancels of trees, and dependents of tasks that ended.

    It begins with what a stopped server left.
    """

    name = "walker"
    pause = 60.0

    def __init__(self, execute: Execute) -> None:
        super().__init__()
        self._execute = execute

    async def round(self) -> float:
        """Carry out one portion; come back at once when there is more."""
        return 0.0 if await self._execute(Walk()) else self.pause


class Recorder(Service):
    """Writes what agents say between claim and report: contact, progress, the steps of a cancel."""

    name = "recorder"
    _LINGER = 0.2

    def __init__(self, execute: Execute, agents: AgentRegistry) -> None:
        super().__init__()
        self._execute = execute
        self._agents = agents
        self._beats: dict[tuple[int, int], Beat] = {}

    def beats(self, beats: list[Beat]) -> None:
        """Queue beats; of two for one lease the later progress counts."""
        for beat in beats:
            key = (beat.task_id, beat.token)
            known = self._beats.get(key)
            if known is not None:
                beat = Beat._make(new or old for new, old in zip(beat, known, strict=True))
            self._beats[key] = beat

    async def round(self) -> float:
        """Write what was gathered."""
        if self._agents.dirty:
            agents = self._agents.take_dirty()
            try:
                await self._execute(agents)
            except StoreUnavailable:
                self._agents.give_back(agents)
                raise
        if self._beats:
            taken, self._beats = self._beats, {}
            try:
                await self._execute(RecordBeats(list(taken.values())))
            except StoreUnavailable:
                newer, self._beats = self._beats, taken
                self.beats(list(newer.values()))
                raise
        return self._LINGER


class Pruner(Service):
    """Removes what has been kept long enough, a little at a time."""

    name = "pruner"
    pause = 10.0

    def __init__(
        self,
        execute: Execute,
        clock: Clock,
        *,
        finished: float,
        failed: float,
        change_age: float,
        change_entries: int,
        audit: float,
    ) -> None:
        super().__init__()
        self._execute = execute
        self._clock = clock
        self._finished = round(finished * SECOND)
        self._failed = round(failed * SECOND)
        self._change_age = round(change_age * SECOND)
        self._change_entries = change_entries
        self._audit = round(audit * SECOND)

    async def round(self) -> float:
        """Remove one portion; come back soon when it was a full one."""
        now = self._clock.now()
        command = Prune(
            ended_before=now - self._finished,
            failed_before=now - self._failed,
            changes_before=now - self._change_age,
            keep_changes=self._change_entries,
            audit_before=now - self._audit,
        )
        removed: int = await self._execute(command)
        return 0.02 if removed >= command.limit else self.pause
