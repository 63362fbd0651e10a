"""Option values: durations, instants, labels, JSON. click names a value after its function."""

from __future__ import annotations

import datetime as dt
import json as jsonlib
import re

import click

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")
_RATE = re.compile(r"(\d{1,10})/([^,]+)(?:,burst=(\d{1,10}))?")
OVERFLOWS = ("wait", "reject", "cancel-oldest", "cancel-newest")


def duration(value: str) -> dt.timedelta:
    """A length of time such as `500ms`, `30s`, `1h30m`; a bare number is seconds."""
    text = value.strip().lower()
    parts = _PART.findall(text)
    try:
        if parts and "".join(number + unit for number, unit in parts) == text:
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        else:
            seconds = float(text)
        if not seconds >= 0:
            raise ValueError(text)
        return dt.timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"expected a duration such as 500ms, 30s, 5m or 1h30m, got {value!r}"
        ) from error


def instant(value: str) -> dt.datetime:
    """An instant by ISO 8601; one without an offset is local time."""
    try:
        return dt.datetime.fromisoformat(value.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"expected a time such as 2026-05-01T08:00:00Z, got {value!r}"
        ) from error


def label(value: str) -> tuple[str, str]:
    """`key=value`."""
    key, equals, rest = value.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"expected key=value, got {value!r}")
    return key, rest


def attribute(value: str) -> tuple[str, str | float | bool]:
    """`key=value`, where `true`, `false` and finite numbers are what they look like.

    A text that looks like one of these is written in double quotes.
    """
    key, text = label(value)
    if text in ("true", "false"):
        return key, text == "true"
    if _NUMBER.fullmatch(text):
        return key, float(text)
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return key, text[1:-1]
    return key, text


def debounce(value: str) -> tuple[str, dt.timedelta, dt.timedelta | None]:
    """`key=delay` or `key=delay,max_wait`."""
    key, _, rest = value.rpartition("=")
    delay, comma, most = rest.partition(",")
    if not key or not delay:
        raise click.BadParameter(f"expected KEY=DELAY[,MAX_WAIT], got {value!r}")
    return key, duration(delay), duration(most) if comma else None


def throttle(value: str) -> tuple[str, int, dt.timedelta]:
    """`key=n/period`."""
    key, _, rest = value.rpartition("=")
    number, slash, span = rest.partition("/")
    if not key or not slash or not number.isdecimal() or int(number) < 1:
        raise click.BadParameter(f"expected KEY=N/PERIOD such as user-7=10/1m, got {value!r}")
    return key, int(number), period(span)


def period(value: str) -> dt.timedelta:
    """A duration that may be a unit alone: `m` is `1m`."""
    return duration(f"1{value}" if value.strip().lower() in _UNITS else value)


def concurrency(value: str) -> tuple[int, str]:
    """`n` or `n:overflow`; 0 is no limit."""
    number, _, overflow = value.partition(":")
    if not number.isdecimal() or (overflow or "wait") not in OVERFLOWS:
        raise click.BadParameter(f"expected N[:{'|'.join(OVERFLOWS)}], got {value!r}")
    return int(number), overflow or "wait"


def rate(value: str) -> tuple[int, dt.timedelta, int]:
    """`units/period` or `units/period,burst=n`; 0 is no limit."""
    found = _RATE.fullmatch(value.strip())
    if value.strip() == "0":
        return 0, dt.timedelta(seconds=1), 0
    if not found:
        raise click.BadParameter(f"expected N/PERIOD[,burst=N] such as 100/1m, got {value!r}")
    return int(found[1]), period(found[2]), int(found[3] or 0)


def weight(value: str) -> tuple[str, int]:
    """`key=n`; 0 forgets the key."""
    key, equals, number = value.rpartition("=")
    if not equals or not number.isdecimal():
        raise click.BadParameter(f"expected KEY=N, got {value!r}")
    return key, int(number)


def json(value: str) -> bytes:
    """A JSON value, checked and kept as it is written."""
    try:
        jsonlib.loads(value)
        return value.encode()
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"expected JSON: {error}") from error
