"""What the pretended server says and understands: ids, instants, errors, filters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

from quarterdeck.v1 import agent_pb2, status_pb2, task_pb2

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ENDED = (
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
    task_pb2.TASK_STATE_EXPIRED,
)


def task_id(number: int) -> str:
    """The id of the n-th task."""
    text = ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        text = _ALPHABET[digit] + text
    return f"task_{text}"


def status(code: int, reason: str, message: str, **metadata: str) -> status_pb2.Status:
    """An error as the server writes it."""
    detail = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo")
    detail.value = status_pb2.ErrorInfo(
        reason=reason, domain="quarterdeck", metadata=metadata
    ).SerializeToString()
    return status_pb2.Status(code=code, message=message, details=[detail])


async def abort(
    context: Any, code: grpc.StatusCode, reason: str, message: str, **metadata: str
) -> Never:
    """Ends a call with an error as the server does."""
    error = status(code.value[0], reason, message, **metadata)
    await context.abort(code, message, (("grpc-status-details-bin", error.SerializeToString()),))
    raise AssertionError("abort raises")


class FilterError(ValueError):
    """A filter with an unknown field; carries its position."""


def parse(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Terms `field:a,b` of the fields that the console itself asks for."""
    terms = []
    at = 0
    for word in text.split():
        field, colon, values = word.partition(":")
        if not colon or field not in {
            "state",
            "queue",
            "id",
            "agent",
            "name",
            "schedule",
            "paused",
            "parent",
            "error_type",
        }:
            raise FilterError(f"unknown field {field!r}", str(at))
        terms.append((field, tuple(values.replace('"', "").split(","))))
        at += len(word) + 1
    return terms


def matches(kind: str, item: Any, terms: Iterable[tuple[str, tuple[str, ...]]]) -> bool:
    """Whether a resource passes a filter."""
    for field, values in terms:
        if field == "state":
            enum = task_pb2.TaskState if kind == "task" else agent_pb2.AgentState
            prefix = "TASK_STATE_" if kind == "task" else "AGENT_STATE_"
            value = enum.Name(item.state).removeprefix(prefix).lower()
        elif field == "agent":
            value = item.agent_id
        elif field == "parent":
            value = item.parent_id
        elif field == "error_type":
            value = item.failure.type
        elif field == "schedule":
            value = item.schedule_id
        elif field == "paused":
            value = "yes" if item.paused else "no"
        elif field == "name" and kind == "agent":
            value = item.info.name
        else:
            value = getattr(item, field)
        if value not in values:
            return False
    return True


def stamp(field: Any, seconds: float) -> None:
    """Sets an instant."""
    field.FromMicroseconds(int(seconds * 1_000_000))
