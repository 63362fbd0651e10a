"""Unary calls as messages of streams that are kept: a message costs about a third of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio


class Streamed:
    """A unary method of a stub, to be called like it, that sends over streams of `StreamService`.

    A stream carries one call at a time, so there are as many as calls were under way at once. When
    one ends without an answer the call is made again, at last as a unary one, so repeating it must
    be harmless.

    Args:
        unary: The method of the stub.
        open: The method of the StreamService stub that stands for it.
        wrap: The message of the stream, made with the `request` of a call.
    """

    def __init__(
        self, unary: Callable[..., Any], open: Callable[..., Any], wrap: Callable[..., Message]
    ) -> None:
        self._unary = unary
        self._open = open
        self._wrap = wrap
        self._idle: list[Any] = []
        self._served = True

    async def __call__(self, request: Message, *, timeout: float) -> Any:  # noqa: ASYNC109
        """Make one call; one that is cancelled or too late ends its stream.

        Args:
            request: As of the unary method.
            timeout: Seconds for all that is tried together.

        Raises:
            AioRpcError: As from the unary method.
        """
        try:
            async with asyncio.timeout(timeout):
                response = await self._streamed(request)
                if response is None:
                    response = await self._unary(request, timeout=timeout)
                return response
        except TimeoutError:
            nothing = aio.Metadata()
            raise aio.AioRpcError(
                grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing, "Deadline Exceeded"
            ) from None

    async def _streamed(self, request: Message) -> Any:
        """Make the call over a stream; None when there is none, or it ended without an answer."""
        while self._idle:
            stream = self._idle.pop()
            if not stream.done():
                response = await self._exchange(stream, request)
                if response is not None:
                    return response
        return await self._exchange(self._open(), request) if self._served else None

    async def _exchange(self, stream: Any, request: Message) -> Any:
        """Send a request and return its answer; None when the stream has ended.

        Raises:
            AioRpcError: The server refused the call, which it says with more than a code.
        """
        try:
            await stream.write(self._wrap(request=request))
            answer = await stream.read()
        except asyncio.CancelledError:
            # Its answer may come yet, and would be taken for that of the next call.
            stream.cancel()
            raise
        except asyncio.InvalidStateError:
            return None
        except aio.AioRpcError as error:
            if error.trailing_metadata():
                raise
            # The unary call that follows finds out more: a write that fails hides the reason.
            self._served = error.code() is not grpc.StatusCode.UNIMPLEMENTED
            return None
        if answer is aio.EOF:
            return None
        self._idle.append(stream)
        return answer.response
