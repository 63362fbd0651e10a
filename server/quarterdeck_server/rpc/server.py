"""The gRPC server: built, bound, started and stopped here."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, Final

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from quarterdeck.v1 import (
    agent_service_pb2,
    fleet_service_pb2,
    schedule_service_pb2,
    stream_service_pb2,
    system_service_pb2,
    task_service_pb2,
    watch_service_pb2,
)
from quarterdeck_server.rpc.agents import AgentService
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.fleet import FleetService
from quarterdeck_server.rpc.methods import InFlight, service_handler
from quarterdeck_server.rpc.options import server_options
from quarterdeck_server.rpc.reflection import reflection_pool
from quarterdeck_server.rpc.schedules import ScheduleService
from quarterdeck_server.rpc.streams import StreamService
from quarterdeck_server.rpc.system import SystemService
from quarterdeck_server.rpc.tasks import TaskService
from quarterdeck_server.rpc.watch import WatchService

_FILES: Final[tuple[FileDescriptor, ...]] = (
    agent_service_pb2.DESCRIPTOR,
    fleet_service_pb2.DESCRIPTOR,
    schedule_service_pb2.DESCRIPTOR,
    stream_service_pb2.DESCRIPTOR,
    system_service_pb2.DESCRIPTOR,
    task_service_pb2.DESCRIPTOR,
    watch_service_pb2.DESCRIPTOR,
)
_HEALTH: Final[Any] = health_pb2.DESCRIPTOR


_FLUSH: Final = 0.1
"""Seconds for gRPC to put answers on the wire that handlers have returned."""


class BindError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class RpcServer:
    """A running server."""

    def __init__(
        self,
        server: grpc.aio.Server,
        health_servicer: health.aio.HealthServicer,
        in_flight: InFlight,
    ) -> None:
        self._server = server
        self._health = health_servicer
        self._in_flight = in_flight

    async def set_serving(self, serving: bool) -> None:
        """Say by grpc.health.v1, for the server and for each service, whether calls can succeed."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *service_names()):
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no more calls, let the running ones end for `grace` seconds, then cancel them."""
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(grace))
        # gRPC waits for idle connections too, up to 5 s for each client that does not hang up.
        await self._in_flight.wait_idle(grace)
        await asyncio.sleep(_FLUSH)
        await self._server.stop(None)
        await stopping


class _GenericOnly:
    """Lets generated code register its handlers the generic way only; see `methods`."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Pass them on."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Leave out what would be registered twice."""


def service_names() -> list[str]:
    """The full names of the API's services."""
    return [name.full_name for file in _FILES for name in file.services_by_name.values()]


def _servicers(core: Core) -> tuple[object, ...]:
    """What answers the service of each file, in their order."""
    agents, tasks = AgentService(core), TaskService(core)
    return (
        agents,
        FleetService(core),
        ScheduleService(core),
        StreamService(tasks, agents),
        SystemService(core),
        tasks,
        WatchService(core),
    )


async def start_rpc(core: Core, listen: str) -> tuple[RpcServer, str]:
    """Listen on HOST:PORT, or on port 0 for any; return the server and the address that it has.

    Raises:
        BindError: the address is taken or not usable.
    """
    server = grpc.aio.server(options=server_options(core.settings), compression=None)
    in_flight = InFlight()
    server.add_generic_rpc_handlers(
        tuple(
            service_handler(file, servicer, in_flight)
            for file, servicer in zip(_FILES, _servicers(core), strict=True)
        )
    )
    generated: Any = _GenericOnly(server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, generated)
    names = (*service_names(), health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, generated, pool=reflection_pool([*_FILES, _HEALTH]))
    host = listen.rpartition(":")[0]
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        port = 0
    if port == 0:
        await server.stop(None)
        raise BindError(_why_not(listen))
    await server.start()
    running = RpcServer(server, health_servicer, in_flight)
    await running.set_serving(True)
    return running, f"{host}:{port}"


async def stop_rpc(server: RpcServer, grace: float) -> None:
    """Stop a server; see `RpcServer.stop`."""
    await server.stop(grace)


def _why_not(listen: str) -> str:
    """Find out why gRPC could not bind; its own error does not say."""
    host, _, port = listen.rpartition(":")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = "; is another server running? Choose another port with --listen"
        return f"cannot listen on {listen}: {error.strerror or error}{hint}"
    return f"cannot listen on {listen}"
