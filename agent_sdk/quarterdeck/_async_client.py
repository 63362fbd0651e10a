"""The client for programs that run on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Unpack

from quarterdeck._async_fleet import AsyncFleetMethods
from quarterdeck._async_schedules import AsyncScheduleMethods
from quarterdeck._async_tasks import AsyncTaskMethods
from quarterdeck._core import Core
from quarterdeck._link import MAX_BATCH_BYTES
from quarterdeck._specs import TaskOptions, task_spec
from quarterdeck._status import error_from_status
from quarterdeck._submitter import MOST_SPECS, Group
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck.v1.task_service_pb2 import SubmitResult


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


class AsyncClient(AsyncTaskMethods, AsyncScheduleMethods, AsyncFleetMethods):
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
        """Let go of the connection; a later call opens it again.

        Calls that wait for an answer end with an `UnavailableError`, watches and acts end.
        """
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

    def _flush(self, batch: _Batch) -> None:
        """Send what was submitted in one turn of the loop, in one hop."""
        if self._batch is batch:
            self._batch = None
        self._core.send(Group(batch.specs, batch.deliver))
