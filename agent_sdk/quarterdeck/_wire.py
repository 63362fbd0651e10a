"""Plain values as messages of the wire: the way back from `_convert`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from quarterdeck._times import to_duration, to_timestamp
from quarterdeck.v1.task_pb2 import AttributeValue

M = TypeVar("M", bound=Message)


def to_message(kind: type[M], model: Any) -> M:
    """The dataclass `model` as a message, whose fields have the same names; None leaves one unset.

    Raises:
        TypeError: A value is of a wrong type; the message names the field.
        ValueError: A value cannot be; the message names the field.
    """
    message = kind()
    _fill(message, model)
    return message


def _fill(message: Message, model: Any) -> None:
    # A message that is set but empty says something else than one that is unset.
    message.SetInParent()
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if value is None:
            continue
        try:
            _set(message, message.DESCRIPTOR.fields_by_name[field.name], value)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{field.name}: {error}") from error


def _set(message: Message, field: Any, value: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"expected a list, got {value!r}")
        getattr(message, field.name).extend(_value(field, item) for item in value)
    elif field.message_type is not None and dataclasses.is_dataclass(value):
        _fill(getattr(message, field.name), value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(_value(field, value))
    else:
        setattr(message, field.name, _value(field, value))


_SPOKEN = {
    "google.protobuf.Duration": "seconds or a timedelta",
    "google.protobuf.Timestamp": "a datetime with a time zone",
}


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return enum_value(field.enum_type, value)
    if field.message_type is None:
        return value
    name = field.message_type.full_name
    if name == "google.protobuf.Duration" and isinstance(value, (int, float, dt.timedelta)):
        return to_duration(value)
    if name == "google.protobuf.Timestamp" and isinstance(value, dt.datetime):
        return to_timestamp(value)
    expected = _SPOKEN.get(name, f"a {field.message_type.name}")
    raise TypeError(f"expected {expected}, got {value!r}")


def enum_value(kind: Any, text: str) -> int:
    """The number of an enum's value by its text, such as 6 of TaskState for `succeeded`.

    Raises:
        ValueError: There is no such value.
    """
    first = kind.values_by_number[0].name
    prefix = first.removesuffix("UNSPECIFIED")
    found = kind.values_by_name.get(f"{prefix}{text.upper()}") if isinstance(text, str) else None
    if found is None:
        known = (v.name.removeprefix(prefix).lower() for v in kind.values if v.name != first)
        raise ValueError(f"expected one of {', '.join(known)}, got {text!r}")
    return int(found.number)


def attributes(values: Mapping[str, str | float | bool]) -> dict[str, AttributeValue]:
    """Typed facts for the wire.

    Raises:
        TypeError: A value is neither text, number nor truth.
    """
    messages = {}
    for key, value in values.items():
        if isinstance(value, bool):
            messages[key] = AttributeValue(flag=value)
        elif isinstance(value, (int, float)):
            messages[key] = AttributeValue(number=value)
        elif isinstance(value, str):
            messages[key] = AttributeValue(text=value)
        else:
            raise TypeError(f"{key}: expected text, a number or a bool, got {value!r}")
    return messages
