"""From servicers to gRPC handlers: parsing, error mapping and logging for every RPC, in one place.

Requests arrive as bytes, so that one that cannot be parsed is answered with the field at fault: a
deserializer that raises would make gRPC answer INTERNAL without details. Handlers are registered as
generic ones only; the registered path costs 5-15 % more per call.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

from quarterdeck_server.logs import Log
from quarterdeck_server.rpc.errors import (
    DETAILS_KEY,
    ApiError,
    classify,
    internal,
    invalid_field,
    status_of,
)
from quarterdeck_server.rpc.options import MAX_CONNECTION_AGE
from quarterdeck_server.rpc.wire import find_fault

Context = grpc.aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Context], Awaitable[Message]]
Stream = Callable[[Any, Context], Awaitable[None]]

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_AGE_SHARE: Final = (0.75, 0.9)
"""Of the age of a connection, at which a stream of calls ends itself, so that none is cut."""
_log: Final = Log(__name__)


class InFlight:
    """Counts the calls that are being answered."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Count one call for as long as it is being answered."""
        self._count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def wait_idle(self, seconds: float) -> None:
        """Return once nothing is being answered, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()


def service_handler(
    file: FileDescriptor, servicer: object, in_flight: InFlight
) -> grpc.GenericRpcHandler:
    """Handlers for the one service that a .proto file defines.

    Args:
        in_flight: Counts their calls.
        file: Its descriptor.
        servicer: An object with a coroutine method for every RPC, such as `list_tasks` for
            ListTasks. One that answers with a stream writes encoded messages itself, unless the
            requests are a stream as well: then it answers each of them.
    """
    (service,) = file.services_by_name.values()
    handlers = {}
    for method in service.methods:
        implementation = getattr(servicer, _CAPITAL.sub("_", method.name).lower())
        wrap = _calls if method.client_streaming else _stream if method.server_streaming else _unary
        handlers[method.name] = wrap(method, implementation, in_flight)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _unary(
    method: MethodDescriptor, implementation: Unary, in_flight: InFlight
) -> grpc.RpcMethodHandler[Any, Any]:
    parse = message_factory.GetMessageClass(method.input_type).FromString

    async def call(raw: bytes, context: Context) -> bytes:
        with in_flight.call():
            try:
                return (await implementation(parse(raw), context)).SerializeToString()
            except Exception as error:
                return await _refuse(error, method, raw, context)

    return grpc.unary_unary_rpc_method_handler(call)


def _stream(
    method: MethodDescriptor, implementation: Stream, in_flight: InFlight
) -> grpc.RpcMethodHandler[Any, Any]:
    parse = message_factory.GetMessageClass(method.input_type).FromString

    async def call(raw: bytes, context: Context) -> None:
        with in_flight.call():
            try:
                await implementation(parse(raw), context)
            except Exception as error:
                await _refuse(error, method, raw, context)

    return grpc.unary_stream_rpc_method_handler(call)


def _calls(
    method: MethodDescriptor, implementation: Unary, in_flight: InFlight
) -> grpc.RpcMethodHandler[Any, Any]:
    """Many unary calls over one stream, one after the other; between two of them nothing is in flight."""
    parse: Any = message_factory.GetMessageClass(method.input_type).FromString
    wrap: Any = message_factory.GetMessageClass(method.output_type)

    async def call(_: object, context: Context) -> None:
        now = asyncio.get_running_loop().time
        end = now() + MAX_CONNECTION_AGE * random.uniform(*_AGE_SHARE)
        while now() < end and (raw := await context.read()) is not grpc.aio.EOF:
            with in_flight.call():
                try:
                    answer = await implementation(parse(raw).request, context)
                    await context.write(wrap(response=answer).SerializeToString())
                except Exception as error:
                    await _refuse(error, method, raw, context)

    return grpc.stream_stream_rpc_method_handler(call)


async def _refuse(
    error: Exception, method: MethodDescriptor, raw: bytes, context: Context
) -> bytes:
    """End the call with the status that an exception stands for; never returns."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, DecodeError):
        fault = find_fault(method.input_type, raw)
        known: ApiError | None = invalid_field(fault.field, fault.description)
    else:
        known = classify(error)
    if known is None:
        known = internal()
        incident = dict(known.refusal.metadata)["incident"]
        _log.error("rpc failed", method=method.full_name, incident=incident)
    status = status_of(known)
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(known.code, status.message, details)
    raise AssertionError("abort returned")
