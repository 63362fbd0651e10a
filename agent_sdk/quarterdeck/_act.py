"""Acts on all tasks that match a filter: done by the server page by page, followed here."""

from __future__ import annotations

import asyncio

from grpc import aio

from quarterdeck._core import Core
from quarterdeck._errors import UnavailableError
from quarterdeck._operating import ActProgress
from quarterdeck._status import error_from_rpc, error_from_status
from quarterdeck.v1.task_service_pb2 import ActOnTasksRequest, ActOnTasksResponse


class Stream:
    """One act under way. Lives on the control thread."""

    def __init__(self, core: Core, request: ActOnTasksRequest) -> None:
        self._core = core
        self._request = request
        self._call: aio.UnaryStreamCall[ActOnTasksRequest, ActOnTasksResponse] | None = None
        self.last: ActProgress | None = None
        self._over = False

    async def next(self) -> ActProgress | None:
        """How far it has come after the next page; None once it is over.

        Raises:
            ApiError: The server refused it, or went away in the midst of it.
        """
        if self._over:
            return None
        if self._call is None:
            link = await self._core.link()
            self._core.opened.add(self)
            # Not repeated when it breaks off: what matches is not what matched.
            self._call = link.task_polls.ActOnTasks(self._request)
        try:
            response = await self._call.read()
        except aio.AioRpcError as error:
            self._over = True
            raise error_from_rpc(error, self._core.address) from None
        except asyncio.CancelledError:
            if not self._over:
                raise
            return None
        if not isinstance(response, ActOnTasksResponse):
            self._over = True
            if self.last is None or not self.last.complete:
                raise UnavailableError("the act broke off before its end", code="UNAVAILABLE")
            return None
        self.last = ActProgress(
            matched=response.matched,
            done=response.done,
            refused=response.refused,
            errors=tuple(map(error_from_status, response.errors)),
            complete=response.complete,
            audit_id=response.audit_id,
        )
        return self.last

    async def close(self) -> None:
        """Go away: the server ends the act after the page that is being done."""
        self._over = True
        if self._call is not None:
            self._call.cancel()


class _Acting:
    """What an act knows of itself, however it is iterated."""

    def __init__(self, core: Core, request: ActOnTasksRequest) -> None:
        self._core = core
        self._stream = Stream(core, request)

    @property
    def progress(self) -> ActProgress | None:
        """How far it had come when it was last heard of."""
        return self._stream.last

    def _end(self) -> ActProgress:
        last = self._stream.last
        if last is None or not last.complete:
            raise UnavailableError("the act was closed before its end", code="CANCELLED")
        return last


class Act(_Acting):
    """An iterator of how far an act has come; nothing is done before it is iterated or finished.

    Also a context manager that ends the act after the page that is being done.
    """

    def __iter__(self) -> Act:
        return self

    def __next__(self) -> ActProgress:
        progress = self._core.control.run(self._stream.next())
        if progress is None:
            raise StopIteration
        return progress

    def finish(self) -> ActProgress:
        """Do it to its end.

        Returns:
            What it came to.

        Raises:
            ApiError: The server refused it, or went away in the midst of it.
        """
        for _ in self:
            pass
        return self._end()

    def close(self) -> None:
        """End the act after the page that is being done."""
        self._core.control.run(self._stream.close())

    def __enter__(self) -> Act:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncAct(_Acting):
    """`Act` for programs that run on asyncio."""

    def __aiter__(self) -> AsyncAct:
        return self

    async def __anext__(self) -> ActProgress:
        progress = await self._core.control.call(self._stream.next())
        if progress is None:
            raise StopAsyncIteration
        return progress

    async def finish(self) -> ActProgress:
        """Do it to its end.

        Returns:
            What it came to.

        Raises:
            ApiError: The server refused it, or went away in the midst of it.
        """
        async for _ in self:
            pass
        return self._end()

    async def close(self) -> None:
        """End the act after the page that is being done."""
        await self._core.control.call(self._stream.close())

    async def __aenter__(self) -> AsyncAct:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
