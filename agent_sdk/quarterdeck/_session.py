"""An agent's session with its server: the leases, and what joins the parts.

    Claims ──► accept ──► LoopRunner / threads / child processes
                              │ finished
    Heart ◄── leases          ▼
      │ directives        LogShipper (rest of the log) ──► Reports ──► settled
      └──► interrupt

Everything here runs on the control thread, except `finished`, which hands over to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from quarterdeck import _outcome
from quarterdeck._agent import Agent, TaskHandler
from quarterdeck._batches import Batch
from quarterdeck._claims import Claims, batch_template, claim_template
from quarterdeck._control import Control
from quarterdeck._handlers import LoopRunner, ThreadRunner, run_batch_in_thread, run_in_thread
from quarterdeck._heart import Heart
from quarterdeck._lease import Cause, Key, Lease, Listeners
from quarterdeck._link import Link
from quarterdeck._logs import LogShipper
from quarterdeck._pauses import Pauses
from quarterdeck._processes import ProcessRunner
from quarterdeck._reports import Reports
from quarterdeck._saves import give_up
from quarterdeck._times import from_duration
from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import AttemptReport, ClaimedTask, ClaimResponse

logger = logging.getLogger("quarterdeck")

_UNWIND_SECONDS = 3.0
_KILLED_SECONDS = 0.5
_FLUSH_SECONDS = 5.0
_CLEANUP_SHARE = 0.1
_LONGEST_CLEANUP_SHARE_SECONDS = 2.0
"""Before its time limit a handler with a clean-up is interrupted, so that this runs under the lease."""


class Session:
    """One agent at work. Made and run on the control thread.

    Args:
        control: The control thread.
        agent: What it can do.
        info: How it describes itself.
        queues: The lines to take tasks from.
        link: The server.
        namespace: Tenant.
        loop: Where async handlers run.
        grace: Seconds that running handlers have once a stop was asked for.
    """

    def __init__(
        self,
        control: Control,
        agent: Agent,
        info: AgentInfo,
        queues: Sequence[str],
        link: Link,
        namespace: str,
        loop: asyncio.AbstractEventLoop,
        grace: float,
    ) -> None:
        self._control = control
        self._agent = agent
        self._info = info
        self._grace = grace
        self._leases: dict[Key, Lease] = {}
        self._running: set[Lease] = set()
        """Their handlers have not ended, whatever became of the lease."""
        self._unheard: set[Lease] = set()
        """Ended; their reports wait until the server has heard of the cancel's acknowledgement and of details."""
        self._batched: dict[str, int] = {}
        """Leases by task name, of handlers that take batches."""
        self._draining = False
        self._stopping = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._claims = self._make_claims(link, namespace, queues)
        self._pauses = Pauses(control, self._interrupt, lambda: self._heart.hurry())
        self._heart = Heart(
            link,
            namespace,
            info,
            self._leases,
            self._interrupt,
            self._drain,
            self._heard,
            self._pauses.hold,
        )
        self._logs = LogShipper(control, link, namespace, info.agent_id, self._flushed)
        self._reports = Reports(link, namespace, info.agent_id, self._settled)
        self._on_loop = LoopRunner(loop, info.agent_id, self.finished)
        self._threads = ThreadRunner()
        self._processes = ProcessRunner(info.agent_id)
        self._listeners = Listeners(
            self._logs.ready, self._progressed, self._saved, self._pauses.standing
        )

    def _make_claims(self, link: Link, namespace: str, queues: Sequence[str]) -> list[Claims]:
        agent, info = self._agent, self._info
        made: list[Claims] = []
        plain = [name for name, handler in agent.handlers.items() if not handler.batch]
        if plain:
            template = claim_template(namespace, info, queues, plain)
            made.append(Claims(link, template, self._free, self._accept))
        for handler in agent.handlers.values():
            if handler.batch:
                template = batch_template(namespace, info, queues, handler)
                free = partial(self._free_for_batch, handler.name)
                accept = partial(self._accept_batch, handler)
                made.append(Claims(link, template, free, accept, loops=1))
        return made

    def stop(self) -> None:
        """Stop claiming and finish; asked for twice, do not wait for the grace."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def finished(self, leases: list[Lease]) -> None:
        """Handlers have ended. Callable from any thread."""
        self._control.soon(self._take_back, leases)

    async def run(self) -> None:
        """Work until told to stop, then stop in good order.

        Raises:
            ApiError: The server will never accept this agent's claims.
        """
        claiming = asyncio.create_task(self._claim())
        stopping = asyncio.create_task(self._stop.wait())
        others = [asyncio.create_task(self._heart.run()), asyncio.create_task(self._logs.run())]
        tasks = [claiming, stopping, *others]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._wind_down(claiming)
            for task in done - {stopping}:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._processes.close()

    async def _claim(self) -> None:
        running = [asyncio.ensure_future(claims.run()) for claims in self._claims]
        try:
            await asyncio.gather(*running)
        finally:
            for claims in running:
                claims.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _wake_claims(self) -> None:
        for claims in self._claims:
            claims.wake()

    def _free(self) -> int:
        if self._draining or self._stopping:
            return 0
        # A slot is free once the report was answered: until then the server counts the task as
        # running. A handler that goes on without its lease keeps its slot as well.
        strays = sum(x.cause is Cause.LOST and x.batch is None for x in self._running)
        return self._info.slots - len(self._leases) + sum(self._batched.values()) - strays

    def _free_for_batch(self, name: str) -> int:
        if self._draining or self._stopping or self._batched.get(name):
            return 0
        return int(not any(lease.handler.name == name for lease in self._running))

    def _accept(self, response: ClaimResponse) -> None:
        on_loop: list[Lease] = []
        for claimed in response.tasks:
            handler = self._agent.handlers.get(claimed.name)
            if handler is None:
                # Only a server that ignores the names of the claim does this.
                logger.error("no handler for %s; the task is left to its lease", claimed.name)
                continue
            lease = self._hold_lease(claimed, handler, from_duration(response.lease_duration))
            if handler.kind == "async":
                on_loop.append(lease)
            else:
                self._threads.submit(self._body(lease))
        if self._running:
            self._quiet.clear()
        if on_loop:
            self._on_loop.loop.call_soon_threadsafe(self._on_loop.start, on_loop)
        self._drain(response.drain)

    def _accept_batch(self, handler: TaskHandler, response: ClaimResponse) -> None:
        lease_seconds = from_duration(response.lease_duration)
        leases = [self._hold_lease(claimed, handler, lease_seconds) for claimed in response.tasks]
        if leases:
            self._batched[handler.name] = len(leases)
            self._quiet.clear()
            batch = Batch(handler, leases)
            if handler.is_async:
                self._on_loop.loop.call_soon_threadsafe(self._on_loop.start_batch, batch)
            else:
                body = partial(run_batch_in_thread, batch, self._info.agent_id, self.finished)
                self._threads.submit(body)
        self._drain(response.drain)

    def _hold_lease(
        self, claimed: ClaimedTask, handler: TaskHandler, lease_seconds: float
    ) -> Lease:
        expires = self._control.loop.time() + lease_seconds
        lease = Lease(claimed, handler, expires, self._listeners)
        self._leases[lease.key] = lease
        self._running.add(lease)
        left = lease.seconds_to_deadline(lease_seconds)
        if left is not None:
            if handler.cleanup is not None:
                left -= min(_LONGEST_CLEANUP_SHARE_SECONDS, _CLEANUP_SHARE * left)
            self._pauses.time(lease, left)
        return lease

    def _body(self, lease: Lease) -> Callable[[], None]:
        if lease.handler.kind == "process":
            return partial(self._processes.run, lease, self.finished)
        return partial(run_in_thread, lease, self._info.agent_id, self.finished)

    def _progressed(self, lease: Lease) -> None:
        self._control.soon(self._heart.progressed)

    def _saved(self, lease: Lease) -> None:
        self._control.soon(self._send_details, lease)

    def _send_details(self, lease: Lease) -> None:
        if self._leases.get(lease.key) is lease:
            self._heart.hurry()
        else:
            give_up(lease)

    def _drain(self, drain: bool) -> None:
        if drain == self._draining:
            return
        self._draining = drain
        logger.info("told to drain" if drain else "told to go on")
        self._wake_claims()
        self._check_quiet()

    def _interrupt(self, lease: Lease, cause: Cause, reason: str) -> None:
        """Stop a handler. A lost lease is forgotten at once, others until their report."""
        if lease.cause is Cause.LOST or (lease.cause is not None and cause is not Cause.LOST):
            return
        lease.cause = cause
        lease.interrupted = time.monotonic()
        lease.cancelled._fire(reason)
        lease.pause.clear(for_ever=True)
        if cause is Cause.LOST:
            self._unheard.discard(lease)
            self._forget(lease)
        if lease.finished:
            return
        if lease.handler.kind == "async":
            with contextlib.suppress(RuntimeError):  # the agent's loop is closed already
                self._on_loop.loop.call_soon_threadsafe(self._on_loop.cancel, lease, self._told)
            return
        if lease.stop_child is not None:
            lease.stop_child()
        self._heart.acknowledge(lease)

    def _told(self, lease: Lease) -> None:
        self._control.soon(self._heart.acknowledge, lease)

    def _take_back(self, leases: list[Lease]) -> None:
        """Handlers have ended: their reports are due."""
        self._running.difference_update(leases)
        due: list[Lease] = []
        for lease in leases:
            if lease.timer is not None:
                lease.timer.cancel()
            if self._leases.get(lease.key) is not lease:
                logger.info("%s attempt %d ended after its lease", *lease.key)
                if lease.ran_out:
                    self._say_end_of(lease)
            elif _waits(lease):
                self._unheard.add(lease)
            elif lease.lines:
                self._logs.flush(lease)
            else:
                due.append(lease)
        if due:
            self._reports.add(due)
        self._wake_claims()
        self._check_quiet()

    def _say_end_of(self, lease: Lease) -> None:
        """Report a handler that ended without contact: a server that was away has kept its lease, and one that
        was not refuses.

        Its result counts; otherwise the task is given back, for it did nothing wrong.
        """
        again = Lease(lease.claimed, lease.handler, self._control.loop.time(), self._listeners)
        if lease.report is not None and lease.report.HasField("succeeded"):
            self._report(again, lease.report)
        else:
            self._release(again, "no contact with the server for as long as the lease lasts")

    def _heard(self, lease: Lease) -> None:
        if lease in self._unheard and not _waits(lease):
            self._unheard.discard(lease)
            self._logs.flush(lease)

    def _flushed(self, lease: Lease) -> None:
        self._reports.add([lease])

    def _settled(self, leases: list[Lease]) -> None:
        for lease in leases:
            self._forget(lease)
        self._wake_claims()

    def _forget(self, lease: Lease) -> None:
        if self._leases.get(lease.key) is lease:
            del self._leases[lease.key]
            if lease.batch is not None:
                self._batched[lease.handler.name] -= 1
        if lease.saves:
            give_up(lease)
        self._check_quiet()

    def _check_quiet(self) -> None:
        if self._running or self._leases:
            return
        self._quiet.set()
        if self._draining and self._info.instance_id:
            # A pool wants its instance back; an agent started by hand waits for its operator.
            self._stop.set()

    async def _wind_down(self, claiming: asyncio.Task[None]) -> None:
        self._stopping = True
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        for settled in await asyncio.gather(*(claims.settle() for claims in self._claims)):
            for response in settled:
                self._give_back(response)
        if not await self._finish_within(self._grace, hurry=True):
            for lease in list(self._leases.values()):
                self._interrupt(lease, Cause.SHUTDOWN, "the agent stops")
            if not await self._finish_within(_UNWIND_SECONDS):
                self._processes.close()
            if not await self._finish_within(_KILLED_SECONDS):
                self._abandon()
                await self._finish_within(_FLUSH_SECONDS)
        await self._heart.goodbye()

    async def _finish_within(self, seconds: float, *, hurry: bool = False) -> bool:
        """Wait until nothing is held; not at all any more once somebody is in a hurry."""
        waits = [asyncio.create_task(self._quiet.wait())]
        if hurry:
            waits.append(asyncio.create_task(self._hurry.wait()))
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self._quiet.is_set()

    def _give_back(self, response: ClaimResponse) -> None:
        """Release what came when it was not wanted any more."""
        expires = self._control.loop.time() + from_duration(response.lease_duration)
        for claimed in response.tasks:
            handler = self._agent.handlers.get(claimed.name)
            if handler is not None and (claimed.task_id, claimed.attempt) not in self._leases:
                again = Lease(claimed, handler, expires, self._listeners)
                self._release(again, "the agent stops")

    def _abandon(self) -> None:
        """Release what does not end by itself. The process must end right after.

        The released lease is a new object, so that the handler's late end finds no lease.
        """
        for lease in list(self._leases.values()):
            if not lease.finished:
                logger.warning("%s attempt %d does not stop; it is given back", *lease.key)
                again = Lease(lease.claimed, lease.handler, lease.expires, self._listeners)
                self._release(again, "the agent stops")
        self._running.clear()
        self._check_quiet()

    def _release(self, lease: Lease, why: str) -> None:
        self._report(lease, _outcome.released(lease, why))

    def _report(self, lease: Lease, report: AttemptReport) -> None:
        """Report a lease that no handler works on."""
        lease.end()
        lease.report = report
        self._leases[lease.key] = lease
        self._quiet.clear()
        self._reports.add([lease])


def _waits(lease: Lease) -> bool:
    """Whether a report must wait until the server has heard something else, which it would end."""
    unheard = lease.acknowledged and not lease.ack_heard and lease.cause is Cause.CANCEL
    return unheard or bool(lease.saves)
