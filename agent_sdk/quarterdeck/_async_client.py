"""The client for programs that run on asyncio."""

# The same parameters as the blocking client, `timeout` among them.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, Unpack, overload

from quarterdeck import _calls
from quarterdeck._calls import Call, Page
from quarterdeck._client import _one
from quarterdeck._convert import from_message
from quarterdeck._core import POLL_SECONDS, Core, Submitted, result_of, task_of
from quarterdeck._link import MAX_BATCH_BYTES
from quarterdeck._models import (
    AgentStatus,
    LogLine,
    Queue,
    Schedule,
    ServerInfo,
    Task,
    TaskDetails,
)
from quarterdeck._specs import Spec, TaskOptions, When, task_spec
from quarterdeck._status import error_from_status
from quarterdeck._submitter import MOST_SPECS, Group
from quarterdeck._watch import AsyncWatch, Kind, Mode, watch_request
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck.v1.task_service_pb2 import SubmitResult

T = TypeVar("T")

_PAGE = 500


class _Batch:
    """Tasks that were submitted in one turn of a loop, and the futures of their ids."""

    __slots__ = ("futures", "loop", "size", "specs")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.specs: list[TaskSpec] = []
        self.futures: list[asyncio.Future[str]] = []
        self.size = 0

    def has_room(self, spec: TaskSpec) -> bool:
        """Whether `spec` still goes into one call with the others; it is counted then."""
        self.size += len(spec.input.data)
        return len(self.specs) < MOST_SPECS and self.size <= MAX_BATCH_BYTES

    def deliver(self, results: Sequence[SubmitResult] | BaseException) -> None:
        """Take the results, on the control thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(self._resolve, results)

    def _resolve(self, results: Sequence[SubmitResult] | BaseException) -> None:
        if isinstance(results, BaseException):
            for future in self.futures:
                if not future.done():
                    future.set_exception(results)
            return
        for future, result in zip(self.futures, results, strict=True):
            if future.done():
                continue
            if result.HasField("error"):
                future.set_exception(error_from_status(result.error))
            else:
                future.set_result(result.task_id)


class AsyncClient:
    """`Client` for programs that run on asyncio: the same methods, to be awaited.

    Its calls are made by the control thread, so that it can be used on any loop; concurrent
    submits become few and large calls. Opens its connection at the first call; all clients
    of a process share it. While the server is away a call is repeated for `timeout` seconds,
    safely: whatever creates something carries a request id.

    Args:
        address: `host:port` of the server; by default `QUARTERDECK_SERVER` of the environment,
            else `127.0.0.1:7400`.
        namespace: Tenant; by default `QUARTERDECK_NAMESPACE`, else `default`.
        timeout: Seconds that a call may take, its repetitions included.
    """

    def __init__(
        self, address: str | None = None, namespace: str | None = None, *, timeout: float = 30.0
    ) -> None:
        self._core = Core(address, namespace, timeout)
        self._namespace = self._core.namespace
        self._batch: _Batch | None = None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """The server's address."""
        return self._core.address

    async def close(self) -> None:
        """Let go of the connection; a later call opens it again."""
        await self._core.control.call(self._core.close())

    async def submit(self, name: str, input: Any = None, **options: Unpack[TaskOptions]) -> str:
        """Submit a task; it is on the server's disk when this returns.

        Args:
            name: What is to be done.
            input: The handler's input: JSON types, dataclasses, pydantic models.
            options: How it is to be run, see `TaskOptions`.

        Returns:
            The task's id.

        Raises:
            PayloadError: The input has no JSON form.
            ApiError: The server refused it, or stayed away.
        """
        spec = task_spec(name, input, options)
        batch = self._batch
        loop = asyncio.get_running_loop()
        if batch is None or batch.loop is not loop or not batch.has_room(spec):
            batch = self._batch = _Batch(loop)
            batch.has_room(spec)
            loop.call_soon(self._flush, batch)
        future: asyncio.Future[str] = loop.create_future()
        batch.specs.append(spec)
        batch.futures.append(future)
        return await future

    async def submit_many(self, specs: Sequence[Spec]) -> Sequence[Submitted]:
        """Submit many tasks; one bad item does not keep the others from being accepted.

        A `depends_on` entry `#n` names item n of `specs`, which must stand before.

        Returns:
            What became of each, in order.
        """
        return await self._core.control.call(self._core.submit_many(specs))

    async def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """Wait until a task has ended, however.

        Args:
            task_id: The task.
            timeout: Seconds to wait; None waits for ever.

        Raises:
            WaitTimeoutError: It has not ended by then; it goes on.
        """
        return task_of(await self._core.control.call(self._core.wait(task_id, timeout)))

    @overload
    async def result(self, task_id: str, type: type[T], *, timeout: float | None = None) -> T: ...

    @overload
    async def result(
        self, task_id: str, type: Any = Any, *, timeout: float | None = None
    ) -> Any: ...

    async def result(self, task_id: str, type: Any = Any, *, timeout: float | None = None) -> Any:
        """Wait for a task and return what its handler returned.

        Args:
            task_id: The task.
            type: What the result is decoded to; plain JSON by default.
            timeout: Seconds to wait; None waits for ever.

        Raises:
            TaskFailedError: It ended without a result.
            WaitTimeoutError: It has not ended by then; it goes on.
            PayloadError: The result does not fit `type`.
        """
        return result_of(await self._core.control.call(self._core.wait(task_id, timeout)), type)

    async def get(self, task_id: str) -> TaskDetails:
        """One task with its payloads and attempts."""
        return await self._do(_calls.get(self._namespace, task_id))

    def list(
        self, filter: str = "", *, order_by: str = "", page_size: int = _PAGE
    ) -> AsyncIterator[Task]:
        """Tasks that match a filter such as `state:failed`, fetched as they are read."""
        return self._pages(
            lambda token: _calls.tasks(self._namespace, filter, order_by, page_size, token)
        )

    async def count(self, filter: str = "") -> dict[str, int]:
        """How many tasks match a filter, by state."""
        return await self._do(_calls.count(self._namespace, filter))

    async def cancel(
        self, task_id: str, reason: str = "", *, actor: str = "", keep_children: bool = False
    ) -> str:
        """Request that a task be cancelled.

        Returns:
            Its state now: `cancelled`, or `running` while its agent is being told.

        Raises:
            WrongStateError: It ended before.
        """
        return _one(
            await self._do(_calls.cancel(self._namespace, [task_id], reason, actor, keep_children))
        )

    async def retry(self, task_id: str) -> str:
        """Put an ended task back in its queue with a fresh budget of attempts; its state now.

        Raises:
            WrongStateError: It has not ended, or it succeeded.
        """
        return _one(await self._do(_calls.retry(self._namespace, [task_id])))

    async def logs(
        self, task_id: str, *, follow: bool = False, attempt: int = 0, after: int = 0
    ) -> AsyncIterator[LogLine]:
        """The log of a task.

        Args:
            task_id: The task.
            follow: Wait for more until the task has ended.
            attempt: Only lines of this attempt; 0 means all.
            after: Only lines with a larger sequence; -n means the last n.
        """
        wait = POLL_SECONDS if follow else 0.0
        while True:
            page = await self._do(_calls.logs(self._namespace, task_id, after, attempt, wait))
            for line in page.lines:
                yield from_message(LogLine, line)
            after = page.next_sequence
            if page.end or not (follow or page.lines):
                return

    def watch(
        self,
        kinds: Sequence[Kind] = (),
        *,
        filter: str = "",
        mode: Mode = "every_change",
        resume_token: str = "",
        skip_snapshot: bool = False,
    ) -> AsyncWatch:
        """Changes as they happen; reconnects by itself and misses none.

        Args:
            kinds: What to watch, such as `["task"]`; none means everything.
            filter: Needs exactly one kind.
            mode: `every_change` in order, or only the `latest` of each resource.
            resume_token: From an earlier watch: only what came after it.
            skip_snapshot: Leave out the current state.

        Raises:
            WatchTokenExpiredError: While iterating: watch again without a token.
        """
        request = watch_request(self._namespace, kinds, filter, mode, resume_token, skip_snapshot)
        return AsyncWatch(self._core, request)

    async def schedule(
        self,
        schedule_id: str,
        when: When,
        name: str,
        input: Any = None,
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        **options: Unpack[TaskOptions],
    ) -> Schedule:
        """Create a schedule, or replace the rule of the one with this id.

        Args:
            schedule_id: Chosen by you.
            when: A cron expression or `Cron`, an interval, or one instant.
            name: What is to be done.
            input: The handler's input.
            start: No task before this instant.
            end: No task at or after this instant.
            options: How its tasks are to be run.
        """
        task = task_spec(name, input, options)
        return await self._do(_calls.schedule(self._namespace, schedule_id, when, task, start, end))

    async def get_schedule(self, schedule_id: str) -> Schedule:
        """One schedule."""
        return await self._do(_calls.get_schedule(self._namespace, schedule_id))

    def schedules(self, filter: str = "", *, page_size: int = _PAGE) -> AsyncIterator[Schedule]:
        """Schedules that match a filter, fetched as they are read."""
        return self._pages(
            lambda token: _calls.schedules(self._namespace, filter, page_size, token)
        )

    async def pause_schedule(self, schedule_id: str, note: str = "") -> Schedule:
        """Stop a schedule from creating tasks; `note` says who and why."""
        return await self._do(_calls.pause_schedule(self._namespace, schedule_id, note))

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        """Let a schedule create tasks again, from now on."""
        return await self._do(_calls.resume_schedule(self._namespace, schedule_id))

    async def trigger_schedule(self, schedule_id: str) -> str:
        """Create one task of a schedule now; its id."""
        return await self._do(_calls.trigger_schedule(self._namespace, schedule_id))

    async def preview_schedule(
        self,
        schedule_id: str = "",
        when: When | None = None,
        *,
        count: int = 10,
        after: dt.datetime | None = None,
    ) -> Sequence[dt.datetime]:
        """When an existing schedule, or the rule `when`, would create tasks."""
        return await self._do(
            _calls.preview_schedule(self._namespace, schedule_id, when, count, after)
        )

    async def delete_schedule(self, schedule_id: str) -> None:
        """Remove a schedule; its tasks stay."""
        await self._do(_calls.delete_schedule(self._namespace, schedule_id))

    def queues(self, filter: str = "", *, page_size: int = _PAGE) -> AsyncIterator[Queue]:
        """Queues that match a filter, fetched as they are read."""
        return self._pages(lambda token: _calls.queues(self._namespace, filter, page_size, token))

    async def pause_queue(self, queue: str, note: str = "") -> Queue:
        """Hand out nothing from a queue; `note` says who and why."""
        return await self._do(_calls.update_queue(self._namespace, queue, True, note))

    async def resume_queue(self, queue: str, note: str = "") -> Queue:
        """Hand out tasks from a queue again."""
        return await self._do(_calls.update_queue(self._namespace, queue, False, note))

    def agents(self, filter: str = "", *, page_size: int = _PAGE) -> AsyncIterator[AgentStatus]:
        """Agents that match a filter, fetched as they are read."""
        return self._pages(lambda token: _calls.agents(self._namespace, filter, page_size, token))

    async def drain_agent(self, agent_id: str) -> AgentStatus:
        """Tell an agent to finish what it has and to claim no more."""
        return await self._do(_calls.drain_agent(self._namespace, agent_id))

    async def server_info(self) -> ServerInfo:
        """Version, capabilities and limits of the server."""
        return await self._do(_calls.server_info())

    def _flush(self, batch: _Batch) -> None:
        """Send what was submitted in one turn of the loop, in one hop."""
        if self._batch is batch:
            self._batch = None
        self._core.send(Group(batch.specs, batch.deliver))

    async def _do(self, call: Call[T]) -> T:
        return await self._core.control.call(self._core.do(call))

    async def _pages(self, page: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            got = await self._do(page(token))
            for item in got.items:
                yield item
            token = got.next_token
            if not token:
                return
