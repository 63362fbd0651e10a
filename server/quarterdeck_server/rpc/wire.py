"""Says what is wrong with a request that protobuf refuses to parse.

Protobuf names only the message. This walks the wire format
(https://protobuf.dev/programming-guides/encoding/) to find the field, and runs only for requests
that are refused anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_MAX_DEPTH = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Fault(NamedTuple):
    """The field at fault, empty for the message as a whole, and what is wrong with it."""

    field: str
    description: str


class _Truncated(Exception):
    """The bytes are not the wire format."""


def find_fault(message: Descriptor, data: bytes) -> Fault:
    """Find why `data` cannot be parsed as `message`."""
    try:
        path = _bad_text(message, memoryview(data), 0)
    except _Truncated:
        path = None
    if path is None:
        return Fault("", f"the request is not a {message.full_name} message")
    return Fault(path, "the text is not valid UTF-8")


def _bad_text(message: Descriptor, data: memoryview, depth: int) -> str | None:
    """The path of the first text that is not UTF-8."""
    if depth > _MAX_DEPTH:
        raise _Truncated
    seen: dict[int, int] = {}
    for number, value in _fields(data):
        field = message.fields_by_number.get(number)
        if field is None or value is None:
            continue
        index = seen.get(number, 0)
        seen[number] = index + 1
        found = _bad_field(field, value, depth)
        if found is not None:
            place = f"{field.name}[{index}]" if field.is_repeated else field.name
            return f"{place}.{found}" if found else place
    return None


def _bad_field(field: FieldDescriptor, value: memoryview, depth: int) -> str | None:
    """The path below the field, empty for the field itself, None when nothing is wrong."""
    if field.message_type is not None:
        return _bad_text(field.message_type, value, depth + 1)
    if field.type == FieldDescriptor.TYPE_STRING:
        try:
            str(value, "utf-8")
        except UnicodeDecodeError:
            return ""
    return None


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Field numbers in order, with the bytes of those that have a length."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise _Truncated
            yield number, data[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(data, at)
            yield number, None
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            yield number, None
        else:
            raise _Truncated


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 70:
        if at >= len(data):
            raise _Truncated
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result, at
        shift += 7
    raise _Truncated
