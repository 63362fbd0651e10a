"""Option values: durations, instants, labels, JSON. click names a value after its function."""

from __future__ import annotations

import datetime as dt
import json as jsonlib
import re

import click

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


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


def json(value: str) -> bytes:
    """A JSON value, checked and kept as it is written."""
    try:
        jsonlib.loads(value)
        return value.encode()
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"expected JSON: {error}") from error
