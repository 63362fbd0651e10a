"""Partial updates: what a FieldMask says of a request whose fields are the settings themselves (AIP-134)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.validate import Violations

Request = TypeVar("Request", bound=Message)

Fields = Mapping[str, Sequence[str]]
"""What a request may change, with its parts."""

_ALL: Final = "*"
_SHOWN: Final = 80
"""Characters of a path that a refusal repeats."""


def read_mask(mask: FieldMask, fields: Fields, out: Violations) -> Fields | None:
    """What an update is about: its fields, and the parts of each that are meant; None when it does not say."""
    if not mask.paths:
        return None
    found: dict[str, list[str]] = {}
    for path in dict.fromkeys(mask.paths):
        if path == _ALL:
            continue
        field, dot, part = path.partition(".")
        if field not in fields or (dot and part not in fields[field]):
            known = ", ".join([*fields, *(f"{f}.{p}" for f in fields for p in fields[f])])
            rule = f"expected {known} or {_ALL}, got {path[:_SHOWN]!r}"
            out.append(Violation("update_mask", rule))
            return None
        parts = found.setdefault(field, [])
        parts += [part] if dot else fields[field]
    return fields if _ALL in mask.paths else found


def meant(request: Request, fields: Fields) -> Request:
    """A request that says only what is meant."""
    named = type(request)()
    paths = [
        path
        for field, parts in fields.items()
        for path in ([f"{field}.{part}" for part in parts] or [field])
    ]
    FieldMask(paths=paths).MergeMessage(request, named)
    return named
