"""The composition root: settings in, a running server out."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from quarterdeck_server.config import Settings
from quarterdeck_server.engine.changes import AGENT, QUEUE, TASK, Change
from quarterdeck_server.engine.model import Task, cancellation_of
from quarterdeck_server.logs import Log
from quarterdeck_server.rpc.server import RpcServer, start_rpc, stop_rpc
from quarterdeck_server.runtime import memory
from quarterdeck_server.runtime.clock import Clock, SystemClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.runtime.pool_host import PoolHost
from quarterdeck_server.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from quarterdeck_server.pools.supervisor import PoolSupervisor

_log = Log(__name__)


class App:
    """One server: its core, its API and its pools."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.settings = settings
        self.core = Core(settings, SqliteStore(settings.data_dir), clock)
        self.address = ""
        """HOST:PORT that is really bound, once started."""
        self._clock = clock
        self._rpc: RpcServer | None = None
        self._pools: PoolSupervisor | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._started = asyncio.Event()

    async def start(self) -> None:
        """Open the store, bind the port, start the pools.

        Raises:
            StoreError: the data directory cannot be used.
            BindError: the port cannot be bound.
        """
        # Before anything runs: what time brought while the server was away is done at once.
        self.core.published.append(self._follow)
        self.core.committer.availability_changed = self._tell_health
        await self.core.start()
        try:
            self._rpc, self.address = await start_rpc(self.core, self.settings.listen)
            await self._start_pools()
        except BaseException:
            if self._rpc is not None:
                await stop_rpc(self._rpc, 0)
            await self.core.stop()
            raise
        self._started.set()
        if not self.core.committer.available:
            self._tell_health(False)
        _log.info("listening", address=self.address)

    async def _start_pools(self) -> None:
        host = PoolHost(self.core)
        if not self.settings.pools and not await host.list_instances():
            await host.save_pools([], replace=True)
            return
        # Most servers have no pools, and are up sooner without their modules.
        from quarterdeck_server.pools.process import ProcessLauncher
        from quarterdeck_server.pools.supervisor import PoolSupervisor

        self._pools = PoolSupervisor(
            self.settings.pools,
            host,
            {"process": ProcessLauncher(os.environ)},
            self._clock,
            server=self.address,
            grace=self.settings.drain_grace,
        )
        await self._pools.start()

    def _follow(self, changes: Sequence[Change]) -> None:
        """Let the pools look at what changed, and kill the agent of a cancel that was not obeyed."""
        for change in changes:
            if change.kind in (QUEUE, AGENT):
                if self._pools is not None:
                    self._pools.poke()
            elif change.kind == TASK and change.row.cancel is not None:
                self._kill_if_escalated(change.row, change.before)

    def _tell_health(self, available: bool) -> None:
        if self._rpc is not None:
            self._background(self._rpc.set_serving(available))

    def _background(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _kill_if_escalated(self, task: Task, before: Task | None) -> None:
        cancel = cancellation_of(task)
        if cancel is None or cancel.escalate_time is None or task.agent_id is None:
            return
        if before is None or before.cancel == task.cancel:
            return
        self._background(self._kill(task.namespace, task.agent_id))

    async def _kill(self, namespace: str, agent_id: str) -> None:
        await self._started.wait()
        if self._pools is not None:
            why = "a cancelled task did not stop in its grace"
            await self._pools.kill_agent(namespace, agent_id, why)

    async def stop(self) -> None:
        """Drain and stop: no new work; agents first, while they can still report; then the API; then the store."""
        _log.info("draining")
        self.core.close_line()
        if self._pools is not None:
            await self._pools.stop()
        self.core.drain()
        if self._rpc is not None:
            await stop_rpc(self._rpc, self.settings.drain_grace)
        await self.core.stop()
        _log.info("stopped")


def _end_at_once() -> None:
    """End as a killed server does: a start reads anew from the disk what memory had wrong."""
    os._exit(os.EX_SOFTWARE)


async def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = App(settings)
    app.core.committer.broken = _end_at_once
    await app.start()
    collector = memory.CycleCollector()
    collector.start()
    await stop.wait()
    await collector.stop()
    await app.stop()
