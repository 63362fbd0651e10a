"""A server that answers as a test says, over a real channel, and a runner of command lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from quarterdeck.cli._root import root
from quarterdeck.v1.status_pb2 import BadRequest, ErrorInfo, FieldViolation, Status

Handler = Callable[[Any], Any]


class Refusal(Exception):
    """What a handler raises to refuse a call."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def status(
    code: grpc.StatusCode, reason: str, message: str, *, field: str = "", problem: str = ""
) -> Status:
    """An error as a server sends it."""
    result = Status(code=code.value[0], message=message)
    details: list[tuple[str, Message]] = [
        ("ErrorInfo", ErrorInfo(reason=reason, domain="quarterdeck"))
    ]
    if field:
        violation = FieldViolation(field=field, description=problem)
        details.append(("BadRequest", BadRequest(field_violations=[violation])))
    for name, detail in details:
        url = f"type.googleapis.com/google.rpc.{name}"
        result.details.append(AnyMessage(type_url=url, value=detail.SerializeToString()))
    return result


@dataclass
class ScriptedServer(grpc.GenericRpcHandler):
    """Answers each method with its handler, and keeps what it was asked.

    A handler of a streaming method returns the responses; any handler may raise a Refusal.
    """

    handlers: dict[str, Handler] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    address: str = ""

    def on(self, method: str, handler: Handler) -> None:
        """Answers `TaskService/Submit` and the like with `handler`."""
        self.handlers[method] = handler

    def asked(self, kind: type[Message]) -> list[Any]:
        """The requests of one type, in order."""
        return [request for request in self.requests if isinstance(request, kind)]

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Finds the method by its name in the descriptors."""
        service, method = handler_call_details.method.lstrip("/").split("/")
        handler = self.handlers.get(f"{service.rpartition('.')[2]}/{method}")
        if handler is None:
            return None
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
        request_class = message_factory.GetMessageClass(found.input_type)

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            self.requests.append(request)
            try:
                return handler(request)
            except Refusal as refusal:
                self._refuse(refusal, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            self.requests.append(request)
            try:
                yield from handler(request)
            except Refusal as refusal:
                self._refuse(refusal, context)

        make = (
            grpc.unary_stream_rpc_method_handler
            if found.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(
            stream if found.server_streaming else unary,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _refuse(self, refusal: Refusal, context: grpc.ServicerContext) -> None:
        error = refusal.status
        context.set_trailing_metadata((("grpc-status-details-bin", error.SerializeToString()),))
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[error.code], error.message)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server on a free port without any method."""
    scripted = ScriptedServer()
    running = grpc.server(futures.ThreadPoolExecutor(4))
    running.add_generic_rpc_handlers((scripted,))
    scripted.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield scripted
    running.stop(None).wait()


@pytest.fixture
def run(server: ScriptedServer) -> Callable[..., Result]:
    """Runs a command line against the server."""

    def invoke(*arguments: str, input: str | bytes | None = None, **env: str) -> Result:
        return CliRunner().invoke(
            root,
            [*arguments],
            input=input,
            prog_name="quarterdeck",
            env={"QUARTERDECK_SERVER": server.address, "COLUMNS": "200", **env},
        )

    return invoke


Run = Callable[..., Result]
