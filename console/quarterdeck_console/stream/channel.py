"""The one channel of the console, its stubs, and how it waits between attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import grpc

from quarterdeck.v1 import system_service_pb2 as system_pb
from quarterdeck.v1.fleet_service_pb2_grpc import FleetServiceStub
from quarterdeck.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck.v1.watch_service_pb2_grpc import WatchServiceStub
from quarterdeck_console.model.fleet import Connection
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.text import sanitize

if TYPE_CHECKING:
    from quarterdeck.v1.fleet_service_pb2_grpc import FleetServiceAsyncStub
    from quarterdeck.v1.schedule_service_pb2_grpc import ScheduleServiceAsyncStub
    from quarterdeck.v1.system_service_pb2_grpc import SystemServiceAsyncStub
    from quarterdeck.v1.task_service_pb2_grpc import TaskServiceAsyncStub
    from quarterdeck.v1.watch_service_pb2_grpc import WatchServiceAsyncStub

CALL_TIMEOUT = 10.0
"""Seconds that one unary call may take."""

SKEW = 2.0
"""A server clock farther off than this many seconds is followed; nearer ones are only latency."""

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
]


def backoff(
    first: float = 0.3, most: float = 10.0, pick: Callable[[float, float], float] = random.uniform
) -> Iterator[float]:
    """Waits in seconds, doubling up to ``most``, each spread over its upper half."""
    limit = first
    while True:
        yield pick(limit / 2, limit)
        limit = min(most, limit * 2)


class Link:
    """The channel to one server. Must be made inside the loop that uses it.

    Attributes:
        connection: What is known of the server; written here and by the watch of the fleet.
        namespace: The tenant that every call is about.
        offset: Seconds that the server's clock is ahead of ours; 0.0 when they agree.
    """

    def __init__(self, address: str, connection: Connection, namespace: str = "default") -> None:
        self.address = address
        self.namespace = namespace
        self.connection = connection
        self.offset = 0.0
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.tasks: TaskServiceAsyncStub = TaskServiceStub(self.channel)
        self.fleet: FleetServiceAsyncStub = FleetServiceStub(self.channel)
        self.schedules: ScheduleServiceAsyncStub = ScheduleServiceStub(self.channel)
        self.watch: WatchServiceAsyncStub = WatchServiceStub(self.channel)
        self.system: SystemServiceAsyncStub = SystemServiceStub(self.channel)

    def now(self) -> float:
        """The instant on the server's clock, in seconds since the epoch."""
        return time.time() + self.offset

    async def greet(self) -> None:
        """Asks the server what it is: the proof that it is there.

        Raises:
            grpc.aio.AioRpcError: It is not.
        """
        request = system_pb.GetServerInfoRequest()
        # The first call also connects; the second one shows how far away the server is.
        await self.system.GetServerInfo(request, timeout=CALL_TIMEOUT)
        start = time.time()
        info = await self.system.GetServerInfo(request, timeout=CALL_TIMEOUT)
        end = time.time()
        if info.HasField("time"):
            offset = seconds(info.time) - (start + end) / 2
            self.offset = offset if abs(offset) > SKEW else 0.0
        self.connection.version = sanitize(info.version, 32)
        self.connection.round_trip = end - start

    async def close(self) -> None:
        """Ends every call and the channel."""
        await self.channel.close()
