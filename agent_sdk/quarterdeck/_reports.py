"""Saying how attempts ended: coalesced, repeated until answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from grpc import aio

from quarterdeck import _outcome
from quarterdeck._errors import ApiError
from quarterdeck._lease import Cause, Lease
from quarterdeck._link import MAX_BATCH_BYTES, Link, backoff
from quarterdeck._status import error_from_rpc, error_from_status, is_final
from quarterdeck.v1.agent_service_pb2 import ReportRequest
from quarterdeck.v1.payload_pb2 import Failure

logger = logging.getLogger("quarterdeck")

_CALL_SECONDS = 10.0
_MOST_REPORTS = 1_000
_IN_FLIGHT = 4


class Reports:
    """Sends reports, at most four calls at a time. Lives on the control thread.

    While a call is under way the next ones gather, so that there are few and large calls
    when much ends, and no delay when little does.

    Args:
        link: The server.
        namespace: Tenant.
        agent_id: Who reports.
        settled: Takes leases that are done with.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        agent_id: str,
        settled: Callable[[list[Lease]], None],
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._agent_id = agent_id
        self._settled = settled
        self._queue: deque[Lease] = deque()
        self._sending: set[asyncio.Task[None]] = set()

    def add(self, leases: list[Lease]) -> None:
        """Report these leases."""
        self._queue.extend(leases)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._sending) < _IN_FLIGHT:
            task = asyncio.get_running_loop().create_task(self._send(self._take()))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            logger.error("a report could not be sent", exc_info=problem)
        self._pump()

    def _take(self) -> list[Lease]:
        batch: list[Lease] = []
        size = 0
        while self._queue and len(batch) < _MOST_REPORTS:
            lease = self._queue[0]
            if lease.report is not None:
                size += lease.report.ByteSize()
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
            _add_progress(lease)
        return batch

    async def _send(self, batch: list[Lease]) -> None:
        failures = 0
        while True:
            kept = [lease for lease in batch if lease.cause is not Cause.LOST]
            if len(kept) < len(batch):
                self._settled([lease for lease in batch if lease.cause is Cause.LOST])
                batch = kept
            if not batch:
                return
            problem = await self._try(batch)
            if problem is None:
                return
            if is_final(problem):
                self._split(batch, problem)
                return
            failures += 1
            await asyncio.sleep(max(backoff(failures), problem.retry_delay or 0.0))

    async def _try(self, batch: list[Lease]) -> ApiError | None:
        request = ReportRequest(
            namespace=self._namespace,
            agent_id=self._agent_id,
            reports=[lease.report for lease in batch if lease.report is not None],
        )
        try:
            response = await self._link.report(request, timeout=_CALL_SECONDS)
        except aio.AioRpcError as error:
            return error_from_rpc(error, self._link.address)
        again: list[Lease] = []
        for lease, result in zip(batch, response.results, strict=False):
            if result.HasField("error") and self._refused(lease, error_from_status(result.error)):
                again.append(lease)
        if again:
            done = set(again)
            self._settled([lease for lease in batch if lease not in done])
            self.add(again)
        else:
            self._settled(batch)
        return None

    def _split(self, batch: list[Lease], problem: ApiError) -> None:
        """A call was refused as a whole: find the report that is to blame."""
        if len(batch) > 1:
            for lease in batch:
                task = asyncio.get_running_loop().create_task(self._send([lease]))
                self._sending.add(task)
                task.add_done_callback(self._sent)
        elif self._refused(batch[0], problem):
            self.add(batch)
        else:
            self._settled(batch)

    def _refused(self, lease: Lease, problem: ApiError) -> bool:
        """Whether a refused lease has another, acceptable report now."""
        task_id, attempt = lease.key
        report = lease.report
        lost = problem.reason in ("LEASE_LOST", "TASK_NOT_FOUND")
        kind = problem.reason or problem.code
        plain = report is not None and report.failed.failure.type == kind
        if lost or plain or not is_final(problem):
            logger.warning("report of %s attempt %d was refused: %s", task_id, attempt, problem)
            return False
        logger.error("report of %s attempt %d: %s", task_id, attempt, problem)
        failure = Failure(type=kind, message=str(problem)[:4096], non_retryable=True)
        lease.report = _outcome.failed(lease, failure)
        return True


def _add_progress(lease: Lease) -> None:
    """Let the report tell the last progress: what a heartbeat told shortly before may not be written in time."""
    if lease.last_progress is not None and lease.report is not None:
        lease.report.progress.CopyFrom(lease.last_progress)
