"""A watch that outlives its server: connects, follows, and tries again for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import grpc

from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.stream.channel import Link, backoff
from quarterdeck_console.stream.errors import Refusal, refusal

_log = logging.getLogger(__name__)

TOKEN_EXPIRED = "WATCH_TOKEN_EXPIRED"


class Sink(Protocol):
    """Where the changes of one watch go."""

    kinds: Sequence[watch_pb.ResourceKind.ValueType]
    filter: str

    async def begin(self, link: Link, token: str) -> str:
        """Gets ready before each connection.

        Args:
            link: The server.
            token: Where the last connection ended; empty for from the start.

        Returns:
            The token to watch from; empty asks the server for the current state first.
        """

    def take(self, answer: watch_pb.WatchResponse) -> None:
        """Takes a batch of changes."""

    def came(self) -> None:
        """The server is there."""

    def went(self, why: Refusal, retry_in: float) -> None:
        """The server went away, or asked for a new start; retried after so many seconds."""

    def refused(self, why: Refusal) -> None:
        """The watch itself is wrong, such as its filter: not retried."""


async def follow(link: Link, sink: Sink) -> None:
    """Feeds a sink until cancelled, or until the server refuses the watch for good."""
    token = ""
    waits = backoff()
    while True:
        try:
            token = await sink.begin(link, token)
            closing = False
            async for answer in _watch(link, sink, token):
                sink.take(answer)
                token = answer.resume_token or token
                closing = answer.closing
                waits = backoff()
            if closing:
                # Planned by the server, which may well be there: nothing is stale yet.
                await asyncio.sleep(next(waits))
                continue
            why = Refusal("CLOSED", "the server ended the watch", {}, "UNAVAILABLE")
        except grpc.aio.AioRpcError as error:
            why = refusal(error)
            if why.reason == TOKEN_EXPIRED:
                token = ""
            elif why.code in {"INVALID_ARGUMENT", "UNIMPLEMENTED", "PERMISSION_DENIED"}:
                sink.refused(why)
                return
        except Exception as defect:
            # A defect here must not end the watch unseen: it is shown, logged, and tried again.
            _log.exception("watch of %s failed", sink.kinds)
            why = Refusal("CONSOLE_DEFECT", sanitize(repr(defect), 300), {}, "UNAVAILABLE")
        wait = next(waits)
        sink.went(why, wait)
        await asyncio.sleep(wait)


def _watch(
    link: Link, sink: Sink, token: str
) -> grpc.aio.UnaryStreamCall[watch_pb.WatchRequest, watch_pb.WatchResponse]:
    request = watch_pb.WatchRequest(
        namespace=link.namespace,
        kinds=sink.kinds,
        filter=sink.filter,
        resume_token=token,
        mode=watch_pb.WATCH_MODE_LATEST,
    )
    return link.watch.Watch(request)
