"""Channels to a server, shared by all clients and agents of the process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from grpc import aio

from quarterdeck._control import control
from quarterdeck._errors import ApiError, UnavailableError
from quarterdeck._status import closed_error, error_from_rpc
from quarterdeck._streams import Streamed
from quarterdeck.v1 import stream_service_pb2 as pb
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck.v1.fleet_service_pb2_grpc import FleetServiceStub
from quarterdeck.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from quarterdeck.v1.stream_service_pb2_grpc import StreamServiceStub
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck.v1.watch_service_pb2_grpc import WatchServiceStub

MAX_BATCH_BYTES = 2 << 20
"""Payload bytes in one batched request; half of what the server receives in one message."""

_OPTIONS: list[tuple[str, int]] = [
    # A dead peer is noticed within 40 s, also while only long polls are under way.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    # Well below a lease: an agent whose network is back must say so in time.
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    # Without it both channels would share one connection, and a limit on its streams.
    ("grpc.use_local_subchannel_pool", 1),
]


class Link:
    """Two channels to one server: one for long polls and streams, one for the rest.

    Made and used on the control thread.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._owner = asyncio.get_running_loop()
        control().has_called = True
        self._polls = aio.insecure_channel(address, options=_OPTIONS)
        self._calls = aio.insecure_channel(address, options=_OPTIONS)
        self.agent_polls = AgentServiceStub(self._polls)
        self.agent = AgentServiceStub(self._calls)
        self.task_polls = TaskServiceStub(self._polls)
        self.tasks = TaskServiceStub(self._calls)
        streams, poll_streams = StreamServiceStub(self._calls), StreamServiceStub(self._polls)
        self.submit = Streamed(self.tasks.Submit, streams.StreamSubmit, pb.StreamSubmitRequest)
        self.report = Streamed(self.agent.Report, streams.StreamReport, pb.StreamReportRequest)
        self.claim = Streamed(
            self.agent_polls.Claim, poll_streams.StreamClaim, pb.StreamClaimRequest
        )
        self.heartbeat = Streamed(
            self.agent_polls.Heartbeat, poll_streams.StreamHeartbeat, pb.StreamHeartbeatRequest
        )
        self.watch = WatchServiceStub(self._polls)
        self.schedules = ScheduleServiceStub(self._calls)
        self.fleet = FleetServiceStub(self._calls)
        self.system = SystemServiceStub(self._calls)
        self._users = 0

    @classmethod
    async def open(cls, address: str) -> Link:
        """The link to `address`; to be closed as often as opened."""
        link = _links.get(address)
        if link is None or link._owner is not asyncio.get_running_loop():
            link = _links[address] = cls(address)
            control().at_stop[link] = link._shut
        link._users += 1
        return link

    async def close(self) -> None:
        """Let go of the link; the last user closes its channels."""
        self._users -= 1
        if self._users == 0:
            if _links.get(self.address) is self:
                del _links[self.address]
            control().at_stop.pop(self, None)
            await self._shut()

    async def _shut(self) -> None:
        await self._polls.close()
        await self._calls.close()


_links: dict[str, Link] = {}


def backoff(failures: int, *, first: float = 0.1, longest: float = 5.0) -> float:
    """Seconds to wait after the `failures`-th failure in a row: exponential, with full jitter.

    Never under a tenth of the step, so that a fleet spreads and nobody spins.
    """
    step = min(longest, first * 2.0 ** min(failures - 1, 16))
    return step * random.uniform(0.1, 1.0)


async def invoke(
    method: Callable[..., Any], request: Any, *, address: str, within: float, retry: bool = True
) -> Any:
    """Make one call; while the server is away, make it again until `within` is over.

    Args:
        method: Of a stub; repeating it must be harmless, as with reads and request ids.
        request: Its request.
        address: Where it is sent, for the error.
        within: Seconds in all.
        retry: False makes one try only.

    Raises:
        ApiError: The server refused, or stayed away, or the channel was closed meanwhile.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    failures = 0
    while True:
        try:
            return await method(request, timeout=max(0.001, end - loop.time()))
        except aio.AioRpcError as error:
            problem: ApiError = error_from_rpc(error, address)
        except aio.UsageError:
            raise closed_error(address) from None
        failures += 1
        pause = max(backoff(failures, longest=2.0), problem.retry_delay or 0.0)
        if not (retry and isinstance(problem, UnavailableError)) or loop.time() + pause >= end:
            raise problem
        await asyncio.sleep(pause)
