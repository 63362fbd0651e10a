"""Staying alive: heartbeats, directives, and the watch over the leases' own time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from grpc import aio

from quarterdeck._lease import Cause, Key, Lease
from quarterdeck._link import Link, backoff
from quarterdeck._saves import Saves
from quarterdeck._status import error_from_rpc
from quarterdeck._times import from_duration, to_duration
from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import (
    Directive,
    HeartbeatRequest,
    HeartbeatResponse,
    LeaseBeat,
    LeaseDirective,
)

logger = logging.getLogger("quarterdeck")

_FIRST_INTERVAL_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 30.0
_MARGIN_SECONDS = 5.0
_DRAINING_SECONDS = 1.0
_PROGRESS_SECONDS = 0.5
_MOST_LEASES = 10_000


class Heart:
    """Renews all leases of an agent. Lives on the control thread.

    One heartbeat waits at the server for directives; progress and acknowledgements go at once
    in short ones beside it. A failed heartbeat says nothing about the leases: each is given up
    only when its own time, counted from the sending of the last renewal, is over.

    Args:
        link: The server.
        namespace: Tenant.
        info: Who calls.
        leases: The leases held, by their key.
        interrupt: Stops a lease's handler for a cause, with a reason.
        drain: Takes the server's wish that the agent drains, or not any more.
        heard: Takes a lease of which the server has heard all that its report waits for.
        hold: Has a lease's handler stand still, or go on.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        info: AgentInfo,
        leases: Mapping[Key, Lease],
        interrupt: Callable[[Lease, Cause, str], None],
        drain: Callable[[bool], None],
        heard: Callable[[Lease], None],
        hold: Callable[[Lease, bool], None],
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._info = info
        self._leases = leases
        self._interrupt = interrupt
        self._drain = drain
        self._heard = heard
        self._hold = hold
        self._loop = asyncio.get_running_loop()
        self._interval: float | None = None
        self._draining = False
        self.lease_seconds = 0.0
        """How long leases last, as the server said last; 0 before it did."""
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()

    def acknowledge(self, lease: Lease) -> None:
        """The lease's handler was told of its cancel."""
        lease.acknowledged = True
        self._news.set()
        self._urgent.set()

    def progressed(self) -> None:
        """A lease has new progress."""
        self._news.set()

    def hurry(self) -> None:
        """A lease has news that somebody waits for: details, or that its handler stands still."""
        self._news.set()
        self._urgent.set()

    async def run(self) -> None:
        """Beat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            group.create_task(self._report_news())
            group.create_task(self._expire())

    async def goodbye(self) -> None:
        """The last heartbeat; the server does not need to hear it."""
        request = HeartbeatRequest(namespace=self._namespace, agent=self._info, goodbye=True)
        try:
            await self._link.agent.Heartbeat(request, timeout=2.0)
        except aio.AioRpcError as error:
            logger.info(
                "the server did not hear the goodbye: %s", error_from_rpc(error, self._link.address)
            )

    async def _poll(self) -> None:
        failures = 0
        while True:
            started = self._loop.time()
            wait = self._wait()
            news = await self._beat(wait)
            if news is None:
                failures += 1
                await asyncio.sleep(backoff(failures, longest=self._interval or 5.0))
                continue
            failures = 0
            if wait and not news:
                # Held back by the server as a rule; this is for one that answers at once.
                interval = self._interval or _FIRST_INTERVAL_SECONDS
                if self._draining:
                    # Then it answers all at once, and a cancel must not wait for long.
                    interval = min(interval, _DRAINING_SECONDS)
                await asyncio.sleep(max(0.0, started + interval - self._loop.time()))

    def _wait(self) -> float:
        """How long the server may hold the answer back; not at all before it said how long."""
        if self._interval is None:
            return 0.0
        most = min(_LONGEST_WAIT_SECONDS, 0.49 * self.lease_seconds)
        return min(self._interval, most)

    async def _report_news(self) -> None:
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            self._urgent.clear()
            if await self._beat(0.0) is None:
                failures += 1
                self._news.set()
                await asyncio.sleep(backoff(failures))
                continue
            failures = 0
            try:
                await asyncio.wait_for(self._urgent.wait(), _PROGRESS_SECONDS)
            except TimeoutError:
                continue

    async def _beat(self, wait: float) -> bool | None:
        """One heartbeat: whether it brought a new directive; None when it failed."""
        leases = list(self._leases.values())[:_MOST_LEASES]
        request = HeartbeatRequest(
            namespace=self._namespace,
            agent=self._info,
            leases=[_lease_beat(lease) for lease in leases],
            wait=to_duration(wait) if wait else None,
        )
        saves = Saves(self._heard)
        # An answer that is held back would keep those waiting who save.
        if not wait and not saves.take(leases, request.leases):
            self.hurry()
        sent = self._loop.time()
        method = self._link.heartbeat if wait else self._link.agent.Heartbeat
        try:
            response = await method(request, timeout=wait + _MARGIN_SECONDS)
        except aio.AioRpcError as error:
            problem = error_from_rpc(error, self._link.address)
            logger.info("heartbeat failed: %s", problem)
            saves.failed(problem)
            for lease, beat in zip(leases, request.leases, strict=True):
                if lease.new_progress is None and beat.HasField("progress"):
                    lease.new_progress = beat.progress
            return None
        new = self._digest(leases, response, sent)
        saves.heard(response)
        for lease, beat in zip(leases, request.leases, strict=True):
            if beat.cancel_acknowledged and not lease.ack_heard:
                lease.ack_heard = True
                self._heard(lease)
            if lease.saves and not lease.saving:
                self.hurry()
        return new

    def _digest(self, leases: Iterable[Lease], response: HeartbeatResponse, sent: float) -> bool:
        self.lease_seconds = from_duration(response.lease_duration)
        self._interval = from_duration(response.interval) or _FIRST_INTERVAL_SECONDS
        expires = sent + self.lease_seconds
        for lease in leases:
            lease.expires = max(lease.expires, expires)
        self._draining = response.drain
        self._drain(response.drain)
        return sum(map(self._obey, response.directives)) > 0

    def _obey(self, directive: LeaseDirective) -> bool:
        lease = self._leases.get((directive.task_id, directive.attempt))
        if lease is None or lease.finished:
            return False
        if directive.directive == Directive.DIRECTIVE_LOST and lease.cause is not Cause.LOST:
            self._interrupt(lease, Cause.LOST, "the lease was lost")
            return True
        if directive.directive == Directive.DIRECTIVE_CANCEL and lease.cause is None:
            self._interrupt(lease, Cause.CANCEL, directive.reason)
            return True
        hold = directive.directive == Directive.DIRECTIVE_PAUSE
        if hold or directive.directive == Directive.DIRECTIVE_RESUME:
            changes = lease.cause is None and hold != lease.pause.is_set()
            if changes:
                self._hold(lease, hold)
            return changes
        return False

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(0.5, (self.lease_seconds or 5.0) / 20))
            now = self._loop.time()
            # Of a handler that has ended the server decides: it may have been away for so long that
            # it takes the report after all.
            over = [x for x in self._leases.values() if x.expires <= now and not x.finished]
            for lease in over:
                logger.warning("lease of %s attempt %d ran out unrenewed", *lease.key)
                lease.ran_out = True
                self._interrupt(lease, Cause.LOST, "the lease ran out: no contact with the server")


def _lease_beat(lease: Lease) -> LeaseBeat:
    progress, lease.new_progress = lease.new_progress, None
    claimed = lease.claimed
    return LeaseBeat(
        task_id=claimed.task_id,
        lease_token=claimed.lease_token,
        progress=progress,
        cancel_acknowledged=lease.acknowledged,
        pause_acknowledged=lease.pause.since > 0 and not lease.finished,
    )
