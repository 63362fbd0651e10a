"""Shipping log lines, in batches, each stored once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from grpc import aio

from quarterdeck._control import Control
from quarterdeck._lease import Cause, Lease
from quarterdeck._link import MAX_BATCH_BYTES, Link, backoff
from quarterdeck._status import error_from_rpc, error_from_status, is_final
from quarterdeck.v1.agent_service_pb2 import AppendLogsRequest, LogChunk

logger = logging.getLogger("quarterdeck")

_LINGER_SECONDS = 0.05
_CALL_SECONDS = 10.0
_MOST_CHUNKS = 1_000
_MOST_LINES = 1_000
_LINE_OVERHEAD = 40


class LogShipper:
    """The loop that appends logs. Lives on the control thread; `ready` is for any thread.

    Args:
        control: The control thread.
        link: The server.
        namespace: Tenant.
        agent_id: Who writes.
        flushed: Takes a lease that was given to `flush`, once its lines are stored.
    """

    def __init__(
        self,
        control: Control,
        link: Link,
        namespace: str,
        agent_id: str,
        flushed: Callable[[Lease], None],
    ) -> None:
        self._control = control
        self._link = link
        self._namespace = namespace
        self._agent_id = agent_id
        self._flushed = flushed
        self._dirty: deque[Lease] = deque()
        self._ending: set[Lease] = set()
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()

    def ready(self, lease: Lease) -> None:
        """The lease has new lines."""
        if not lease.dirty:
            lease.dirty = True
            self._dirty.append(lease)
            self._control.soon(self._work.set)

    def flush(self, lease: Lease) -> None:
        """Ship what the lease has left, at once, and say so by `flushed`."""
        self._ending.add(lease)
        if not lease.dirty:
            lease.dirty = True
            self._dirty.append(lease)
        self._work.set()
        self._urgent.set()

    async def run(self) -> None:
        """Ship until cancelled."""
        while True:
            await self._work.wait()
            if not self._ending:
                # Lines come in bursts: a short wait saves most of the calls.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), _LINGER_SECONDS)
            self._work.clear()
            self._urgent.clear()
            while self._dirty:
                await self._ship()

    async def _ship(self) -> None:
        leases = self._take()
        request = AppendLogsRequest(namespace=self._namespace, agent_id=self._agent_id)
        sent: list[Lease] = []
        size = 0
        for lease in leases:
            chunk = self._chunk(lease, MAX_BATCH_BYTES - size) if size < MAX_BATCH_BYTES else None
            if chunk is not None:
                size += chunk.ByteSize()
                request.chunks.append(chunk)
                sent.append(lease)
        if sent:
            await self._append(request, sent)
        for lease in leases:
            self._settle(lease)

    def _take(self) -> list[Lease]:
        taken = (self._dirty.popleft() for _ in range(min(len(self._dirty), _MOST_CHUNKS)))
        # Each once: two threads of one handler may both have found it clean.
        leases = list(dict.fromkeys(taken))
        for lease in leases:
            # Before its lines are read: what is written from now on makes it dirty again.
            lease.dirty = False
            if lease.cause is Cause.LOST:
                lease.lines.clear()
        return leases

    def _chunk(self, lease: Lease, room: int) -> LogChunk | None:
        if not lease.lines:
            return None
        claimed = lease.claimed
        chunk = LogChunk(
            task_id=claimed.task_id, lease_token=claimed.lease_token, offset=lease.offset
        )
        # By index: handlers append meanwhile, which ends an iteration with an error.
        for index in range(min(_MOST_LINES, len(lease.lines))):
            line = lease.lines[index]
            room -= 4 * len(line.text) + _LINE_OVERHEAD
            if room < 0 and chunk.lines:
                break
            chunk.lines.append(line)
        return chunk

    async def _append(self, request: AppendLogsRequest, leases: list[Lease]) -> None:
        """Send until answered; the offsets make a repetition harmless."""
        failures = 0
        while not all(lease.cause is Cause.LOST for lease in leases):
            try:
                response = await self._link.agent.AppendLogs(request, timeout=_CALL_SECONDS)
            except aio.AioRpcError as error:
                problem = error_from_rpc(error, self._link.address)
            else:
                for lease, chunk, result in zip(
                    leases, request.chunks, response.results, strict=False
                ):
                    if result.HasField("error"):
                        refusal = error_from_status(result.error)
                        logger.warning("log of %s was refused: %s", lease.key[0], refusal)
                    lease.offset += len(chunk.lines)
                    for _ in chunk.lines:
                        lease.lines.popleft()
                return
            if is_final(problem):
                logger.error("log lines of %d tasks were refused: %s", len(leases), problem)
                for lease in leases:
                    lease.lines.clear()
                return
            failures += 1
            await asyncio.sleep(max(backoff(failures), problem.retry_delay or 0.0))

    def _settle(self, lease: Lease) -> None:
        if lease.cause is Cause.LOST:
            lease.lines.clear()
        if lease.lines:
            if not lease.dirty:
                lease.dirty = True
                self._dirty.append(lease)
        elif lease in self._ending:
            self._ending.discard(lease)
            self._flushed(lease)
