"""Every RPC with whatever a request can hold: it is answered or refused with a reason, never INTERNAL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from quarterdeck.v1 import (
    agent_service_pb2,
    fleet_service_pb2,
    schedule_service_pb2,
    stream_service_pb2,
    system_service_pb2,
    task_service_pb2,
    watch_service_pb2,
)

from .api import Api, agent, agents_pb, spec
from .conftest import Server

_FILES = (
    agent_service_pb2,
    fleet_service_pb2,
    schedule_service_pb2,
    stream_service_pb2,
    system_service_pb2,
    task_service_pb2,
    watch_service_pb2,
)
_TEXTS = [
    *(
        "",
        " ",
        "a",
        "default",
        "agent-1",
        "tenant",
        "work",
        "*",
        ".",
        "..",
        "#0",
        "#-1",
        "#99999999999999999999",
    ),
    *(
        "\0",
        "a\0b",
        "é",
        "\U0010ffff",
        "\u202e",
        "\x1b[31m",
        "'; DROP TABLE tasks; --",
        "%s%n",
        "x" * 300,
    ),
    *(
        "task_0000000000001",
        "task_zzzzzzzzzzzzz",
        "task_7zzzzzzzzzzzz",
        "task_",
        "x" * 5000,
        "1" * 5000,
    ),
    *(
        "state:ready",
        "age<1h",
        "age>99999999999999999999h",
        "id:*",
        "(" * 3000,
        '~"(a*)*"',
        "priority>1e400",
    ),
    *(
        "create_time desc",
        "name",
        "@daily",
        "* * * * *",
        "0 0 29 2 *",
        "Europe/Berlin",
        "UTC",
        "a@1",
    ),
    *("limits.rate", "paused", "retention", "application/json", "a=b", "a.b/c"),
]
_NUMBERS = [0, 1, 2, 3, 5, 10, 1000, 2**31 - 1, 2**62, 2**63 - 1, -1, -5, -(2**31), -(2**63)]
_DOUBLES = [0.0, 1.0, 0.5, -1.0, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan")]
_BYTES = [
    b"",
    b"{}",
    b"null",
    b"[1, 2",
    b"\xff\xfe",
    bytes(12),
    b"\xff" * 12,
    bytes(13),
    b"[" * 5000,
]
_DEEPEST = 5
_GOOD = {
    "namespace": "",
    "agent_id": "agent-1",
    "queue": "default",
    "queues": "default",
    "name": "work",
    "names": "work",
    "filter": "id:*",
    "page_token": "",
    "watch_token": "",
    "resume_token": "",
    "order_by": "name",
    "schedule_id": "s1",
    "expression": "@daily",
    "time_zone": "UTC",
    "content_type": "",
    "etag": "",
    "reason": "r",
    "actor": "a",
    "request_id": "",
    "depends_on": "#0",
    "parent_id": "",
    "subject": "a1",
    "paths": "*",
    "version": "1",
    "group_key": "g",
    "key": "k",
}
"""What most requests have in their texts, so that they come further than to the first check."""


def methods() -> Iterator[MethodDescriptor]:
    """All of the API."""
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


class Inventor:
    """Makes up requests, always the same for one seed."""

    def __init__(self, seed: str, tokens: list[bytes], task_ids: list[str]) -> None:
        self._chance = random.Random(seed)
        self._bytes = [*_BYTES, *tokens]
        self._texts = [*_TEXTS, *task_ids]
        self._ids = task_ids

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        """A message of which some fields are set."""
        made: Any = message_factory.GetMessageClass(kind)()
        chance = self._chance
        share = chance.choice([0.2, 0.5, 0.9]) if depth < _DEEPEST else 0.0
        for field in kind.fields:
            if chance.random() >= share:
                continue
            if field.is_repeated:
                self._fill(made, field, depth)
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(self.message(field.message_type, depth + 1))
            else:
                setattr(made, field.name, self._value(field))
        return made  # type: ignore[no-any-return]

    def _fill(self, made: Any, field: FieldDescriptor, depth: int) -> None:
        target, chance = getattr(made, field.name), self._chance
        kind = field.message_type
        for _ in range(chance.choice([1, 1, 2, 5])):
            if kind is None:
                target.append(self._value(field))
            elif not kind.GetOptions().map_entry:
                target.append(self.message(kind, depth + 1))
            else:
                key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
                if value.message_type is None:
                    target[self._value(key)] = self._value(value)
                else:
                    made_value = self.message(value.message_type, depth + 1)
                    target[self._value(key)].CopyFrom(made_value)

    def _value(self, field: FieldDescriptor) -> Any:
        chance = self._chance
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
                return chance.choice(self._bytes)
            case FieldDescriptor.CPPTYPE_STRING:
                if chance.random() < 0.85 and (field.name in _GOOD or "task_id" in field.name):
                    return _GOOD[field.name] if field.name in _GOOD else chance.choice(self._ids)
                return chance.choice(self._texts)
            case FieldDescriptor.CPPTYPE_BOOL:
                return chance.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                assert field.enum_type is not None
                return chance.choice([*field.enum_type.values_by_number, 99, -1])
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return chance.choice(_DOUBLES)
        low, high = _BOUNDS[field.cpp_type]
        most = 10 if chance.random() < 0.7 else high
        return chance.choice([n for n in _NUMBERS if low <= n <= most and (n >= 0 or most == high)])


_BOUNDS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def soon(request: Any) -> None:
    """Let nothing wait."""
    fields = request.DESCRIPTOR.fields_by_name
    if "wait" in fields and request.HasField("wait"):
        request.wait.seconds = min(request.wait.seconds, 0)
    if "skip_snapshot" in fields:
        request.skip_snapshot = False


async def answer(api: Api, method: MethodDescriptor, request: Any) -> grpc.StatusCode:
    """How a call ends; a stream that goes on is cut after its first message."""
    soon(request.request if method.client_streaming else request)
    service = method.containing_service
    assert service is not None
    path = f"/{service.full_name}/{method.name}"
    kind = message_factory.GetMessageClass(method.output_type)
    options = {"request_serializer": lambda message: message.SerializeToString()}
    options["response_deserializer"] = kind.FromString
    channel: Any = api.channel
    try:
        if method.client_streaming:
            call = channel.stream_stream(path, **options)()
            await call.write(request)
            await call.read()
            call.cancel()
        elif method.server_streaming:
            call = channel.unary_stream(path, **options)(request, timeout=5)
            await call.read()
            call.cancel()
        else:
            said = await channel.unary_unary(path, **options)(request, timeout=5)
            look_at_items(said)
    except grpc.aio.AioRpcError as error:
        return error.code()
    except asyncio.CancelledError:
        return grpc.StatusCode.CANCELLED
    return grpc.StatusCode.OK


def look_at_items(said: Any) -> None:
    """No item of an answer is refused as a defect."""
    for item in getattr(said, "results", ()):
        if "error" in item.DESCRIPTOR.fields_by_name and item.HasField("error"):
            assert item.error.code not in (2, 13), item


ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
}
ROUNDS = 100


@pytest.mark.parametrize("method", [pytest.param(m, id=m.name) for m in methods()])
async def test_whatever_a_request_holds_it_is_answered_or_refused_with_a_reason(
    server: Server, method: MethodDescriptor, caplog: pytest.LogCaptureFixture
) -> None:
    api = server.api
    task_ids = await api.submit(spec(), spec(), spec(labels={"k": "v"}))
    claimed = await api.claim(max_tasks=2)
    tokens = [task.lease_token for task in claimed.tasks]
    inventor = Inventor(method.full_name, tokens, task_ids)
    for _ in range(ROUNDS):
        request = inventor.message(method.input_type)
        code = await answer(api, method, request)
        assert code in ALLOWED, (code, request, caplog.text)


async def test_a_forged_lease_token_with_an_impossible_attempt_is_a_lost_lease(api: Api) -> None:
    (task_id,) = await api.submit()
    forged = {"task_id": task_id, "lease_token": b"\xff" * 12}
    request = agents_pb.HeartbeatRequest(agent=agent(), leases=[forged])
    (directive,) = (await api.agents.Heartbeat(request)).directives
    assert (directive.task_id, directive.directive) == (task_id, agents_pb.DIRECTIVE_LOST)
