"""Feeds the view of one task: its own watch, its payloads and attempts, its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import grpc

from quarterdeck.v1 import task_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.model.detail import LogBuffer, TaskDetail
from quarterdeck_console.model.why import Why
from quarterdeck_console.stream.channel import CALL_TIMEOUT, Link, backoff
from quarterdeck_console.stream.errors import Refusal, refusal
from quarterdeck_console.stream.watcher import follow

LOG_WAIT = 20
"""Seconds that the server may hold back an answer without log lines."""

LOG_PAGE = 2_000
EXPLAIN = 1.0
"""Seconds after which an explanation that is shown is asked for anew: how long things take stands in its words."""

EXPLAIN_SHARE = 20
"""So many times as long as an answer took is at least waited before the next is asked for."""

EXPLAIN_SELDOM = 30.0
"""Seconds that are waited at most."""

SETTLE = 0.2
"""Seconds between two GetTask of a task that changes fast."""


async def get_task(link: Link, task_id: str) -> TaskDetail:
    """One task in full.

    Raises:
        grpc.aio.AioRpcError: There is no such task, or no server.
    """
    answer = await link.tasks.GetTask(
        task_service_pb2.GetTaskRequest(namespace=link.namespace, task_id=task_id),
        timeout=CALL_TIMEOUT,
    )
    return TaskDetail.of(answer)


async def read_logs(
    link: Link,
    task_id: str,
    buffer: LogBuffer,
    *,
    after: int,
    wait: int = 0,
    page: int = LOG_PAGE,
    attempt: int = 0,
) -> None:
    """Reads one page of a log, or of what one attempt wrote, into a buffer.

    Raises:
        grpc.aio.AioRpcError: There is no such task, or no server.
    """
    request = task_service_pb2.ReadLogsRequest(
        namespace=link.namespace,
        task_id=task_id,
        after_sequence=after,
        page_size=page,
        attempt=attempt,
    )
    request.wait.seconds = wait
    buffer.extend(await link.tasks.ReadLogs(request, timeout=CALL_TIMEOUT + wait))


class DetailFeed:
    """One task, kept true while it runs.

    Attributes:
        attempt: The only attempt whose log is read; 0 for all.
        detail: The task in full; None until it came.
        why: The server's explanation of where it stands; None until it came.
        logs: Its log.
        problem: Why it is not live; None while it is.
        refusal: Why the server does not tell of the task, such as that there is none.
        version: Rises with every new detail.
    """

    kinds: Sequence[watch_pb.ResourceKind.ValueType] = (watch_pb.RESOURCE_KIND_TASK,)

    def __init__(self, link: Link, task_id: str, attempt: int = 0) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.filter = f"id:{task_id}"
        self.detail: TaskDetail | None = None
        self.why: Why | None = None
        self.logs = LogBuffer()
        self.problem: Refusal | None = None
        self.refusal: Refusal | None = None
        self.version = 0
        self._link = link
        self._changed = asyncio.Event()
        self._unexplained = asyncio.Event()
        self._explaining = asyncio.Event()
        self._running = asyncio.Event()
        self._runners: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Runs until stopped."""
        if not self._runners:
            self._changed.set()
            self._unexplained.set()
            self._runners = [
                asyncio.create_task(follow(self._link, self)),
                asyncio.create_task(self._explain()),
                asyncio.create_task(self._refresh()),
                asyncio.create_task(self._tail()),
            ]

    def explain(self, shown: bool) -> None:
        """Says whether the explanation is looked at: only then is it asked for, and kept true."""
        if shown:
            self._explaining.set()
        else:
            self._explaining.clear()

    async def stop(self) -> None:
        """Ends every call; what came stays."""
        runners, self._runners = self._runners, []
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)

    async def begin(self, link: Link, token: str) -> str:
        """Nothing to prepare: the current state comes with the watch."""
        return token

    def take(self, answer: watch_pb.WatchResponse) -> None:
        """A change of the task: its attempts and payloads are read again."""
        self.problem = None
        if answer.changes:
            self._changed.set()
            self._unexplained.set()

    def came(self) -> None:
        """The server is there."""
        self.problem = None

    def went(self, why: Refusal, retry_in: float) -> None:
        """The task ages until the watch is back."""
        self.problem = why

    def refused(self, why: Refusal) -> None:
        """The server cannot watch one task."""
        self.problem = why

    async def _refresh(self) -> None:
        waits = backoff()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self.detail = await get_task(self._link, self.task_id)
                self.version += 1
                self.refusal = None
                if not self.detail.task.terminal:
                    self._running.set()
                waits = backoff()
                await asyncio.sleep(SETTLE)
            except grpc.aio.AioRpcError as error:
                why = refusal(error)
                self.version += 1
                if not why.transient:
                    self.refusal = why
                    continue
                self.problem = why
                self._changed.set()
                await asyncio.sleep(next(waits))

    async def _explain(self) -> None:
        """Asks why after each change, and every second of what has not ended."""
        waits = backoff()
        request = task_service_pb2.ExplainTaskRequest(
            namespace=self._link.namespace, task_id=self.task_id
        )
        while True:
            await self._explaining.wait()
            self._unexplained.clear()
            asked = time.monotonic()
            try:
                answer = await self._link.tasks.ExplainTask(request, timeout=CALL_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                # What is wrong with the task is said by GetTask; an older server explains nothing.
                if refusal(error).transient:
                    await asyncio.sleep(next(waits))
                else:
                    await self._unexplained.wait()
                continue
            self.why = Why.of(answer, self._link.now())
            self.version += 1
            waits = backoff()
            took = time.monotonic() - asked
            await asyncio.sleep(min(max(EXPLAIN, EXPLAIN_SHARE * took), EXPLAIN_SELDOM))
            if not self.why.goes_on:
                await self._unexplained.wait()

    async def _tail(self) -> None:
        """Reads the log to its end and waits there for more; a retried task goes on."""
        waits = backoff()
        while True:
            try:
                await read_logs(
                    self._link,
                    self.task_id,
                    self.logs,
                    after=self.logs.next_sequence,
                    wait=LOG_WAIT,
                    attempt=self.attempt,
                )
                waits = backoff()
                if self.logs.ended:
                    self._running.clear()
                    await self._running.wait()
            except grpc.aio.AioRpcError as error:
                if not refusal(error).transient:
                    return
                await asyncio.sleep(next(waits))
