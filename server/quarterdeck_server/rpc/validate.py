"""Checks of single fields: the rules that the proto comments state.

A check adds to a list of violations and goes on, so that a client learns of every wrong field at
once. Field paths are relative to the message at hand; `errors.invalid` puts the rest in front.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import payload_pb2, task_pb2
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.schedule.cron import MAX_INSTANT
from quarterdeck_server.rpc.errors import (
    ApiError,
    Violation,
    invalid,
    invalid_field,
    limit_exceeded,
)

MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 100
MAX_BATCH: Final = 5000
MAX_WAIT: Final = 30.0
"""Seconds that a long poll may take."""
MAX_REQUEST_ID: Final = 64
MAX_ANSWER: Final = 3_500_000
"""Bytes of one answer: a client takes 4 MiB unless told otherwise."""
MAX_SPAN: Final = 36_500 * 86_400 * 1_000_000
"""The longest duration in microseconds: a hundred years, as in the settings."""
DEFAULT_CONTENT_TYPE: Final = "application/json"

_MAX_LABELS = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_\-.:/]{1,256}")
_AGENT_ID: Final = re.compile(r"[A-Za-z0-9_\-.:]{1,128}")
_NAME_RULE: Final = "expected 1 to 256 characters of letters, digits and _ - . : /"

Violations = list[Violation]


@lru_cache(maxsize=4096)
def is_name(text: str) -> bool:
    """Whether a text may name a task, a queue, a namespace or a schedule."""
    return _NAME.fullmatch(text) is not None


def namespace_of(text: str) -> str:
    """The namespace that a request names.

    Raises:
        ApiError: it is no name.
    """
    if not text:
        return "default"
    if not is_name(text):
        raise invalid_field("namespace", _NAME_RULE)
    return text


def name(text: str, field: str, out: Violations, default: str = "") -> str:
    """A name, or the default for an empty one; without a default it is required."""
    if not text and default:
        return default
    if not is_name(text):
        out.append(Violation(field, _NAME_RULE if text else f"required: {_NAME_RULE}"))
    return text


def agent_id(text: str, field: str, out: Violations) -> str:
    """The id of an agent: required."""
    if _AGENT_ID.fullmatch(text) is None:
        rule = "required: expected 1 to 128 characters of letters, digits and _ - . :"
        out.append(Violation(field, rule))
    return text


def text(value: str, field: str, limit: int, out: Violations) -> str:
    """A free text of at most `limit` characters.

    A NUL is refused: PostgreSQL cannot store one, and what one back end takes all must take.
    """
    if len(value) > limit:
        out.append(Violation(field, f"expected at most {limit} characters, got {len(value)}"))
    elif "\0" in value:
        out.append(Violation(field, "expected a text without NUL characters"))
    return value


def kept(value: str, limit: int) -> str:
    """A text that is cut and mended rather than refused, because its message must not be lost."""
    value = value[:limit]
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in value else value


def number(value: int, field: str, low: int, high: int, out: Violations, default: int = 0) -> int:
    """An integer within bounds; 0 stands for the default."""
    if value == 0 and default:
        return default
    if not low <= value <= high:
        hint = f"; 0 means {default}" if default else ""
        out.append(Violation(field, f"expected {low} to {high}{hint}, got {value}"))
        return low
    return value


def span(value: Duration, field: str, out: Violations, least: int = 0) -> int:
    """A duration in microseconds, from `least` to a hundred years."""
    seconds, nanos = value.seconds, value.nanos
    micros = seconds * 1_000_000 + nanos // 1000
    if not -1_000_000_000 < nanos < 1_000_000_000 or (seconds > 0 > nanos) or (seconds < 0 < nanos):
        out.append(
            Violation(field, "expected a duration whose nanos are of its sign and below a second")
        )
        return least
    if not least <= micros <= MAX_SPAN:
        low = f"at least {least / 1_000_000:g} s" if least else "that is not negative"
        out.append(Violation(field, f"expected a duration {low} and at most 36500 days"))
        return least
    return micros


def instant(value: Timestamp, field: str, out: Violations) -> int:
    """An instant in microseconds since the epoch."""
    micros = value.seconds * 1_000_000 + value.nanos // 1000
    if not 0 <= value.nanos < 1_000_000_000 or not 0 <= micros <= MAX_INSTANT:
        out.append(Violation(field, "expected an instant from 1970 to 9892"))
        return 0
    return micros


def labels(value: Mapping[str, str], field: str, out: Violations) -> str | None:
    """Labels as the JSON text of their column; None when there are none."""
    if not value:
        return None
    if len(value) > _MAX_LABELS:
        out.append(Violation(field, f"expected at most {_MAX_LABELS} pairs, got {len(value)}"))
        return None
    pairs = dict(value)
    for key, label in pairs.items():
        if not key or len(key) > 128 or len(label) > 256 or "\0" in key or "\0" in label:
            rule = "expected keys of 1 to 128 and values of up to 256 characters, without NUL"
            out.append(Violation(f"{field}[{json.dumps(key[:40])}]", rule))
    return json.dumps(pairs, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def attributes(
    value: Mapping[str, task_pb2.AttributeValue], field: str, out: Violations
) -> str | None:
    """Typed facts as the JSON text of their column; None when there are none."""
    if not value:
        return None
    if len(value) > _MAX_LABELS:
        out.append(Violation(field, f"expected at most {_MAX_LABELS} pairs, got {len(value)}"))
        return None
    facts: dict[str, str | float | bool] = {}
    for key, fact in value.items():
        place = f"{field}[{json.dumps(key[:40])}]"
        if not key or len(key) > 128 or "\0" in key:
            out.append(Violation(place, "expected keys of 1 to 128 characters, without NUL"))
        match fact.WhichOneof("value"):
            case "text":
                facts[key] = text(fact.text, f"{place}.text", 256, out)
            case "flag":
                facts[key] = fact.flag
            case "number" if math.isfinite(fact.number):
                facts[key] = fact.number
            case "number":
                out.append(Violation(f"{place}.number", "expected a finite number"))
            case _:
                rule = "required: expected text, number or flag"
                out.append(Violation(f"{place}.value", rule))
    return json.dumps(facts, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def payload(value: payload_pb2.Payload, field: str, limit: int, out: Violations) -> Payload:
    """A payload of at most `limit` bytes."""
    content_type, data = value.content_type, value.data
    if len(data) > limit:
        metadata = (("size", str(len(data))), ("limit", str(limit)))
        rule = f"expected at most {limit} bytes, got {len(data)}; pass large data by reference"
        out.append(Violation(f"{field}.data", rule, "PAYLOAD_TOO_LARGE", metadata))
    if not content_type:
        return Payload(DEFAULT_CONTENT_TYPE, data)
    if len(content_type) > 128 or "\0" in content_type:
        out.append(
            Violation(f"{field}.content_type", "expected at most 128 characters, without NUL")
        )
    return Payload(content_type, data)


def task_id(value: str, field: str) -> int:
    """The number of a task id.

    Raises:
        ApiError: the text is not a task id.
    """
    try:
        return decode_task_id(value)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None


def batch(count: int, field: str, limit: int = MAX_BATCH) -> None:
    """Check how many items a request has.

    Raises:
        ApiError: LIMIT_EXCEEDED.
    """
    if count > limit:
        raise limit_exceeded(field, count, limit)


def page_size(value: int, maximum: int = MAX_PAGE_SIZE, default: int = DEFAULT_PAGE_SIZE) -> int:
    """How many rows a page has: larger is cut, 0 is the default.

    Raises:
        ApiError: it is negative.
    """
    if value < 0:
        raise invalid_field("page_size", f"expected 0 to {maximum}, got {value}")
    return min(value, maximum) or default


def refuse(violations: Violations) -> None:
    """End a call with wrong fields.

    Raises:
        ApiError: there are violations.
    """
    if violations:
        raise invalid(violations)


def item_error(violations: Violations, prefix: str) -> ApiError:
    """Refuse one item of a batch, and forget its violations for the next."""
    error = invalid(violations, prefix)
    violations.clear()
    return error
