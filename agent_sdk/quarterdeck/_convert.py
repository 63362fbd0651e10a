"""Messages of the wire as the plain values of `_models`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

from quarterdeck._models import (
    AgentStatus,
    Change,
    Hold,
    Instance,
    Pool,
    Queue,
    Schedule,
    Task,
)
from quarterdeck._times import from_duration, from_timestamp
from quarterdeck.v1 import watch_service_pb2

M = TypeVar("M")

Convert = Callable[[Any], Any]
_plans: dict[tuple[type, str], list[tuple[str, bool, Convert | None]]] = {}


def from_message(model: type[M], message: Message) -> M:
    """`message` as a `model`, whose fields have the names of the message's."""
    key = (model, message.DESCRIPTOR.full_name)
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = _plan(model, message)
    values: list[Any] = []
    for name, optional, convert in plan:
        if optional and not message.HasField(name):
            values.append(None)
        else:
            value = getattr(message, name)
            values.append(value if convert is None else convert(value))
    return model(*values)


def _plan(model: type, message: Message) -> list[tuple[str, bool, Convert | None]]:
    """How each field of `model` is read: name, whether it may be unset, conversion."""
    hints = typing.get_type_hints(model)
    plan = []
    for field in dataclasses.fields(model):
        source = message.DESCRIPTOR.fields_by_name[field.name]
        nested = next((t for t in _types(hints[field.name]) if dataclasses.is_dataclass(t)), None)
        convert = _conversion(source, nested)
        if source.is_repeated and not _is_map(source):
            convert = _each(convert)
        optional = not source.is_repeated and source.has_presence
        plan.append((field.name, optional, convert))
    return plan


def _types(hint: Any) -> tuple[Any, ...]:
    """The types that a hint is made of."""
    arguments = typing.get_args(hint)
    return (hint,) if not arguments else tuple(t for a in arguments for t in _types(a))


def _conversion(source: Any, nested: Any) -> Convert | None:
    if source.enum_type is not None:
        return enum_reader(source.enum_type)
    if source.message_type is None:
        return None
    if _is_map(source):
        return _attributes if source.name == "attributes" else dict
    if source.message_type.full_name == "google.protobuf.Timestamp":
        return from_timestamp
    if source.message_type.full_name == "google.protobuf.Duration":
        return from_duration
    return lambda message: from_message(nested, message)


def _is_map(source: Any) -> bool:
    return source.message_type is not None and source.message_type.GetOptions().map_entry


def _attributes(values: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Typed facts as plain values; one of a type that this SDK does not know is left out."""
    found = {key: (value.WhichOneof("value"), value) for key, value in values.items()}
    return {key: getattr(value, kind) for key, (kind, value) in found.items() if kind is not None}


def _each(convert: Convert | None) -> Convert:
    return tuple if convert is None else lambda items: tuple(map(convert, items))


def enum_reader(kind: Any) -> Callable[[int], str]:
    """Turns numbers of an enum into text, such as 6 of TaskState into `succeeded`."""
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    names = {value.number: value.name.removeprefix(prefix).lower() for value in kind.values}
    return lambda number: names.get(number) or f"unknown_{number}"


_RESOURCES: dict[str, type[Any]] = {
    "task": Task,
    "agent": AgentStatus,
    "queue": Queue,
    "schedule": Schedule,
    "instance": Instance,
    "pool": Pool,
    "hold": Hold,
}
_change_type = enum_reader(watch_service_pb2.ChangeType.DESCRIPTOR)


def change(message: watch_service_pb2.Change) -> Change | None:
    """A change; None for a kind of resource that this SDK does not know."""
    kind = message.WhichOneof("resource")
    if kind is None:
        return None
    return Change(
        type=_change_type(message.type),
        kind=kind,
        resource=from_message(_RESOURCES[kind], getattr(message, kind)),
        revision=message.revision,
        time=from_timestamp(message.time) if message.HasField("time") else None,
    )
