"""What all calls of the pretended server share, and how they are put behind a real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from tests.console.speech import FilterError, abort, parse

if TYPE_CHECKING:
    from tests.console.fleet import Fleet


class Calls:
    """Calls over one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def _note(self, name: str, request: Any) -> None:
        self._fleet.calls[name] += 1
        self._fleet.requests.append(request)

    async def _terms(self, text: str, context: Any) -> list[tuple[str, tuple[str, ...]]]:
        try:
            return parse(text)
        except FilterError as error:
            why, position = error.args
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_FILTER",
                why,
                position=position,
                field="filter",
            )


def serve(server: grpc.aio.Server, service: ServiceDescriptor, calls: Sequence[Calls]) -> None:
    """Offers those calls of a service that there are; the others are UNIMPLEMENTED."""
    handlers = {}
    for method in service.methods:
        behaviour = next((getattr(c, method.name) for c in calls if hasattr(c, method.name)), None)
        if behaviour is None:
            continue
        make = (
            grpc.unary_stream_rpc_method_handler
            if method.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        handlers[method.name] = make(
            behaviour,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(
                method.output_type
            ).SerializeToString,
        )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service.full_name, handlers)]
    )
