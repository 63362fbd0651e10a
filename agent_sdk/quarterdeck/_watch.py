"""Watching: changes as they happen, over reconnects."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Literal, get_args

from grpc import aio

from quarterdeck._convert import change
from quarterdeck._core import Core
from quarterdeck._errors import UnavailableError
from quarterdeck._link import backoff
from quarterdeck._models import Change
from quarterdeck._status import error_from_rpc
from quarterdeck.v1.watch_service_pb2 import (
    ResourceKind,
    WatchMode,
    WatchRequest,
    WatchResponse,
)

logger = logging.getLogger("quarterdeck")

Kind = Literal["task", "agent", "queue", "schedule", "instance", "pool", "hold"]
Mode = Literal["every_change", "latest"]

_KINDS: tuple[str, ...] = get_args(Kind)
_MODES: tuple[str, ...] = get_args(Mode)


def watch_request(
    namespace: str,
    kinds: Sequence[Kind],
    filter: str,
    mode: Mode,
    resume_token: str,
    skip_snapshot: bool,
) -> WatchRequest:
    """What to watch.

    Raises:
        ValueError: A kind or mode is unknown.
    """
    if isinstance(kinds, str) or set(kinds) - set(_KINDS):
        raise ValueError(f"kinds: expected a list of {', '.join(_KINDS)}, got {kinds!r}")
    if mode not in _MODES:
        raise ValueError(f"mode: expected {' or '.join(_MODES)}, got {mode!r}")
    return WatchRequest(
        namespace=namespace,
        kinds=[ResourceKind.Value(f"RESOURCE_KIND_{kind.upper()}") for kind in kinds],
        filter=filter,
        mode=WatchMode.Value(f"WATCH_MODE_{mode.upper()}"),
        resume_token=resume_token,
        skip_snapshot=skip_snapshot,
    )


class Stream:
    """One watch, resumed whenever its connection or its server went away.

    Lives on the control thread.
    """

    def __init__(self, core: Core, request: WatchRequest) -> None:
        self._core = core
        self._request = request
        self._call: aio.UnaryStreamCall[WatchRequest, WatchResponse] | None = None
        self._failures = 0
        self._closed = False
        self._sent = 0
        self._last: WatchResponse | None = None

    async def next(self, received: int) -> WatchResponse | None:
        """The next response; None once the stream is closed.

        Args:
            received: How many the caller has got. When the last one was lost, because the
                caller was cancelled as it came, it is given again.

        Raises:
            ApiError: The server refuses this watch, such as for an expired token.
        """
        if received < self._sent:
            return self._last
        while not self._closed:
            if self._call is None:
                link = await self._core.link()
                self._core.opened.add(self)
                self._call = link.watch.Watch(self._request)
            response = await self._read(self._call)
            if response is not None:
                self._sent += 1
                self._last = response
                return response
        return None

    async def _read(
        self, call: aio.UnaryStreamCall[WatchRequest, WatchResponse]
    ) -> WatchResponse | None:
        """One response of a call; None when the call has ended and another is to be made."""
        try:
            response = await call.read()
        except aio.AioRpcError as error:
            await self._pause(error)
            return None
        except asyncio.CancelledError:
            # Cutting a read ends its call.
            self._call = None
            if not self._closed:
                raise
            return None
        if not isinstance(response, WatchResponse):
            # A normal end without `closing`: go on where it stopped.
            self._call = None
            await asyncio.sleep(backoff(1))
            return None
        self._failures = 0
        if response.resume_token:
            self._request.resume_token = response.resume_token
        if response.closing:
            call.cancel()
            self._call = None
        return response

    async def close(self) -> None:
        """End the watch."""
        self._closed = True
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    async def _pause(self, error: aio.AioRpcError) -> None:
        self._call = None
        problem = error_from_rpc(error, self._core.address)
        if not isinstance(problem, UnavailableError):
            raise problem
        self._failures += 1
        if self._failures == 1:
            logger.info("watch interrupted: %s", problem)
        await asyncio.sleep(max(backoff(self._failures), problem.retry_delay or 0.0))


class Cursor:
    """What was received and not yet handed on, and the token that fits."""

    def __init__(self, resume_token: str) -> None:
        self.resume_token = resume_token
        self.snapshot_complete = bool(resume_token)
        self._waiting: deque[Change] = deque()
        self._last: WatchResponse | None = None
        self.received = 0

    def take(self) -> Change | None:
        """The next change; None when the next response is needed."""
        if self._waiting:
            return self._waiting.popleft()
        if self._last is not None:
            # All its changes were handed on: its token is true now.
            self.resume_token = self._last.resume_token or self.resume_token
            self.snapshot_complete = self.snapshot_complete or self._last.snapshot_complete
            self._last = None
        return None

    def put(self, response: WatchResponse) -> None:
        """Take the next response."""
        self._last = response
        self.received += 1
        for message in response.changes:
            known = change(message)
            if known is not None:
                self._waiting.append(known)


class _Watching:
    """What a watch knows of itself, however it is iterated."""

    def __init__(self, core: Core, request: WatchRequest) -> None:
        self._core = core
        self._stream = Stream(core, request)
        self._cursor = Cursor(request.resume_token)

    @property
    def resume_token(self) -> str:
        """Continues after the changes that were iterated; keep it to watch on another day."""
        return self._cursor.resume_token

    @property
    def snapshot_complete(self) -> bool:
        """True once all of the current state was iterated."""
        return self._cursor.snapshot_complete


class Watch(_Watching):
    """An endless iterator of changes that survives restarts of the server.

    Also a context manager that ends the watch.
    """

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Change:
        while (known := self._cursor.take()) is None:
            response = self._core.control.run(self._stream.next(self._cursor.received))
            if response is None:
                raise StopIteration
            self._cursor.put(response)
        return known

    def close(self) -> None:
        """End the watch; a thread that iterates it stops."""
        self._core.control.run(self._stream.close())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncWatch(_Watching):
    """`Watch` for programs that run on asyncio."""

    def __aiter__(self) -> AsyncWatch:
        return self

    async def __anext__(self) -> Change:
        while (known := self._cursor.take()) is None:
            response = await self._core.control.call(self._stream.next(self._cursor.received))
            if response is None:
                raise StopAsyncIteration
            self._cursor.put(response)
        return known

    async def close(self) -> None:
        """End the watch."""
        await self._core.control.call(self._stream.close())

    async def __aenter__(self) -> AsyncWatch:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
