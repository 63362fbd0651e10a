"""Feeds one window on the tasks: pages from ListTasks, changes from a Watch that misses nothing."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

import grpc

from quarterdeck.v1 import task_pb2, task_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.window import CAPACITY, Order, Window
from quarterdeck_console.stream.channel import CALL_TIMEOUT, Link
from quarterdeck_console.stream.errors import Refusal, refusal
from quarterdeck_console.stream.watcher import follow

PAGE = 250
"""Rows fetched at once."""

RECOUNT = 5.0
"""Seconds between two counts of a list that changes."""

REPLAY = 5.0
"""Seconds of rest after which the start of a list is listed anew: what was missed may be a million changes, and until
they had come, rows of then would be shown as those of now."""


class TaskFeed:
    """One list of tasks, kept true while it runs.

    Attributes:
        window: The rows around the cursor.
        total: How many tasks match; None until counted.
        loaded: True once the first page came.
        joined: Ids of rows that came into the list since ``note_joiners``.
        problem: Why the list is not live; None while it is.
    """

    kinds: Sequence[watch_pb.ResourceKind.ValueType] = (watch_pb.RESOURCE_KIND_TASK,)

    def __init__(self, link: Link, filter_text: str = "", order: Order | None = None) -> None:
        self.filter = filter_text
        self.order = order or Order()
        self.window = Window(self.order)
        self.total: int | None = None
        self.loaded = False
        self.joined: set[str] = set()
        self.problem: Refusal | None = None
        self._link = link
        self._runner: asyncio.Task[None] | None = None
        self._paging: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._by_creation = self.order.field == "create_time"
        self._relist = True
        self._token = ""
        self._fresh = asyncio.Event()
        self._noting = False
        self._rested_at = math.inf

    def start(self, at: int = 0) -> None:
        """Runs until stopped; started again it goes on from where it was, or after a long rest lists anew.

        Args:
            at: Index of the row that is looked at. Beyond the first page it would be lost in a new list.
        """
        if self._runner is None or self._runner.done():
            rested = time.monotonic() - self._rested_at >= REPLAY
            if rested and self.window.at_start and at < PAGE // 2 and not self._noting:
                self._relist = True
            self._runner = asyncio.create_task(follow(self._link, self))
            self._counting = asyncio.create_task(self._count())

    async def stop(self) -> None:
        """Ends every call; the rows stay."""
        running = [task for task in (self._runner, self._paging, self._counting) if task]
        self._runner = self._paging = self._counting = None
        self._rested_at = time.monotonic()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def begin(self, link: Link, token: str) -> str:
        """Lists the first page unless the watch can go on where it ended."""
        token = token or self._token
        if token and not self._relist:
            return token
        answer = await self._page("", PAGE)
        self.window.restart([TaskRow.of(task) for task in answer.tasks], answer.next_page_token)
        self._relist = False
        self._token = answer.watch_token
        self.loaded = True
        self.problem = None
        self._fresh.set()
        return self._token

    def take(self, answer: watch_pb.WatchResponse) -> None:
        """Takes a batch of changes; those outside of the window cost next to nothing."""
        self.problem = None
        self._token = answer.resume_token or self._token
        self._link.connection.changes += len(answer.changes)
        if answer.changes:
            self._fresh.set()
        for change in answer.changes:
            task = change.task
            if change.type in (watch_pb.CHANGE_TYPE_LEFT, watch_pb.CHANGE_TYPE_DELETED):
                self.window.drop(task.id)
            elif self._concerns(task):
                self.window.change(TaskRow.of(task))
                if self._noting and change.type == watch_pb.CHANGE_TYPE_CREATED:
                    self.joined.add(task.id)

    def _concerns(self, task: task_pb2.Task) -> bool:
        if not self._by_creation:
            return True
        return self.window.wants(task.id, seconds(task.create_time))

    def came(self) -> None:
        """The server is there."""
        self.problem = None

    def went(self, why: Refusal, retry_in: float) -> None:
        """The list ages until the watch is back; after an expired token it is listed anew."""
        self.problem = why
        if why.reason == "WATCH_TOKEN_EXPIRED":
            self._relist = True

    def refused(self, why: Refusal) -> None:
        """The filter or the order is wrong."""
        self.problem = why
        self.loaded = True

    def look(self, first: int, last: int) -> None:
        """Says which rows are looked at, so that the pages beyond them can be fetched in time."""
        if self._paging is not None and not self._paging.done():
            return
        window = self.window
        if last > len(window.ids) - PAGE // 2 and not window.at_end:
            self._paging = asyncio.create_task(self._quietly(self._fetch_after))
        elif first < PAGE // 2 and not window.at_start:
            self._paging = asyncio.create_task(self._quietly(self._fetch_before))

    @property
    def watch_token(self) -> str:
        """The state of the list as it is shown."""
        return self._token

    def note_joiners(self, joined: set[str] | None) -> None:
        """Adds to a set from now on which rows come into the list; None adds them no more."""
        self._noting = joined is not None
        self.joined = joined if joined is not None else set()

    async def _fetch_after(self) -> None:
        token = self.window.next_token
        if token is None:
            # No token leads back to what was let go: list the start again, as much as is held.
            answer = await self._page("", CAPACITY)
            self.window.restart([TaskRow.of(task) for task in answer.tasks], answer.next_page_token)
            return
        answer = await self._page(token, PAGE)
        self.window.append(
            token, [TaskRow.of(task) for task in answer.tasks], answer.next_page_token
        )

    async def _fetch_before(self) -> None:
        token = self.window.previous_token
        if token is not None:
            answer = await self._page(token, PAGE)
            self.window.prepend(token, [TaskRow.of(task) for task in answer.tasks])

    async def _page(self, token: str, rows: int) -> task_service_pb2.ListTasksResponse:
        return await self._link.tasks.ListTasks(
            task_service_pb2.ListTasksRequest(
                namespace=self._link.namespace,
                filter=self.filter,
                order_by=self.order.text,
                page_size=rows,
                page_token=token,
            ),
            timeout=CALL_TIMEOUT,
        )

    async def _count(self) -> None:
        """Counts after changes, at most every few seconds."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            await self._quietly(self._count_once)
            await asyncio.sleep(RECOUNT)

    async def _count_once(self) -> None:
        request = task_service_pb2.CountTasksRequest(
            namespace=self._link.namespace, filter=self.filter
        )
        self.total = (await self._link.tasks.CountTasks(request, timeout=CALL_TIMEOUT)).total

    async def _quietly(self, call: Callable[[], Awaitable[None]]) -> None:
        """A call that helps the view; when the server is away the watch says so and tries again."""
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            self.problem = refusal(error)
