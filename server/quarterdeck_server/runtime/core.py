"""The running server without its API: store, committer, what watches over leases and time, and how they are joined."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from quarterdeck_server.config import Settings
from quarterdeck_server.engine.changes import DELETED, INSTANCE, TASK, Change
from quarterdeck_server.engine.commands import AppendLogs, Beat, Claim, Claimed, Command
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import ENDED
from quarterdeck_server.logs import Log
from quarterdeck_server.runtime.agents import AgentRegistry
from quarterdeck_server.runtime.clock import Clock
from quarterdeck_server.runtime.committer import Committer, Draining
from quarterdeck_server.runtime.hub import Hub
from quarterdeck_server.runtime.leases import LeaseTable
from quarterdeck_server.runtime.services import (
    LeaseExpirer,
    Pruner,
    Recorder,
    Timers,
    Walker,
)
from quarterdeck_server.runtime.signals import Signals
from quarterdeck_server.runtime.ticks import Ticks
from quarterdeck_server.store.base import GroupResult, Store, StoreUnavailable

_log = Log(__name__)


class Core:
    """Everything that the API calls. See `rpc.backend.Core` for what it promises."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.draining = False
        self._handing_out = True
        self.start_time = clock.now()
        self.committer = Committer(store, clock, self._published)
        self.execute = self.committer.execute
        self.hub = Hub(store)
        self.leases = LeaseTable(clock, settings.lease_duration)
        self._pool_of_instance: dict[str, str] = {}
        self.agents = AgentRegistry(
            clock,
            settings.lease_duration,
            self.execute,
            self._drained,
            self._pool_of_instance.get,
        )
        self._ticks = Ticks()
        self._ends = Signals()
        self._logs = Signals()
        self._timers = Timers(self.execute, clock)
        self._expirer = LeaseExpirer(self.execute, self.leases, self.agents, self.committer.dismiss)
        self._recorder = Recorder(self.execute, self.agents)
        self._pruner = Pruner(
            self.execute,
            clock,
            finished=settings.retention_finished,
            failed=settings.retention_failed,
            change_age=settings.change_log_age,
            change_entries=settings.change_log_entries,
            audit=settings.audit_age,
        )
        self._walker = Walker(self.execute)
        self._services = (self._walker, self._timers, self._expirer, self._recorder, self._pruner)
        self.published: list[Any] = []
        """Called with the changes of every committed group."""

    async def start(self) -> None:
        """Open the store, take over what it holds, and begin to act; what fails leaves the store closed."""
        await self.store.open()
        try:
            await self._take_over()
        except BaseException:
            # Its threads would keep the process alive.
            await self.store.close()
            raise
        self.committer.start()
        for service in self._services:
            service.start()

    async def _take_over(self) -> None:
        await self.hub.start()
        self.leases.start(await self.store.running_tasks())
        self.agents.start(await self.store.live_agents())
        for instance in await self.store.list_instances(None):
            self._pool_of_instance[instance.id] = instance.pool
        self.committer.line.start(await self.store.ready_counts())

    def close_line(self) -> None:
        """Hand out nothing more, and answer the claims that wait."""
        self._handing_out = False
        self.committer.line.empty()

    def drain(self) -> None:
        """Hand out nothing more; answer what waits; end the watches."""
        self.close_line()
        self.draining = True
        self.leases.wake_all()
        self._ends.wake_all()
        self._logs.wake_all()
        self.hub.close()

    async def stop(self) -> None:
        """Commit the last group and close the store."""
        for service in self._services:
            await service.stop()
        with contextlib.suppress(StoreUnavailable):
            await self._recorder.round()
        await self.committer.stop()
        await self.store.close()

    def _drained(self, namespace: str, agent_id: str) -> None:
        """Let an agent that is to drain hear of it, and give its waiting claims nothing more."""
        self.leases.wake(namespace, agent_id)
        self.committer.dismiss(namespace, agent_id)

    def _published(self, commands: Sequence[Command], result: GroupResult) -> None:
        changes = result.changes
        self.leases.apply(changes, result.lapsed)
        self.agents.apply(changes)
        self._note_instances(changes)
        self.hub.publish(changes)
        self._timers.note(result.wake_at)
        if result.walk:
            self._walker.poke()
        if self._ends:
            for change in changes:
                if change.kind == TASK and change.row.state in ENDED:
                    self._ends.wake(change.row.id)
        if self._logs:
            self._wake_log_readers(commands, changes)
        for callback in self.published:
            try:
                callback(changes)
            except Exception:
                # Whoever it was, what the API answers from is as it should be.
                _log.error("a follower of changes failed")

    def _wake_log_readers(self, commands: Sequence[Command], changes: Sequence[Change]) -> None:
        for command in commands:
            if isinstance(command, AppendLogs):
                for item in command.items:
                    self._logs.wake(item.task_id)
        for change in changes:
            if change.kind == TASK and change.row.state in ENDED:
                self._logs.wake(change.row.id)

    def _note_instances(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == INSTANCE and change.op == DELETED:
                self._pool_of_instance.pop(change.row.id, None)
            elif change.kind == INSTANCE:
                self._pool_of_instance[change.row.id] = change.row.pool

    async def claim(self, claim: Claim, wait: float) -> list[tuple[Task, Claimed]]:
        """Wait for work; empty when the wait is over or the server begins to drain.

        Raises:
            Draining: nothing more is handed out.
        """
        if not self._handing_out:
            raise Draining
        self._write_agents()
        given = await self.committer.claim(claim, wait)
        saved = claim.details
        return [
            (task, Claimed(task.id, task.lease_token or 0, data, saved.get(task.id)))
            for task, data in given
        ]

    def _write_agents(self) -> None:
        """Write new agents with the next group, so that their leases are counted from the first."""
        if not self.agents.dirty:
            return
        command = self.agents.take_dirty()

        def written(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                self.agents.give_back(command)

        try:
            self.committer.post(command).add_done_callback(written)
        except (StoreUnavailable, Draining):
            self.agents.give_back(command)

    def beats(self, beats: list[Beat]) -> None:
        """Record these with the next group, at the latest after 1 s."""
        self._recorder.beats(beats)

    async def wait_ended(self, task_id: int, seconds: float) -> None:
        """Return once the task has ended, the server drains, or after `seconds`."""
        with self._ends.registered(task_id) as woken:
            tasks = await self.store.get_tasks([task_id])
            if not tasks or tasks[0].state in ENDED or self.draining:
                return
            await self._ticks.wait(woken, seconds)

    async def wait_logs(self, task_id: int, after: int, seconds: float) -> None:
        """Return once the task's log has a line after `after` or the task has ended, the server drains, or after
        `seconds`.
        """
        with self._logs.registered(task_id) as woken:
            tasks = await self.store.get_tasks([task_id])
            if not tasks or tasks[0].state in ENDED or self.draining:
                return
            if await self.store.read_logs(tasks[0].namespace, task_id, after, 0, 1):
                return
            await self._ticks.wait(woken, seconds)
