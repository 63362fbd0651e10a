"""Cron expressions: what they accept, and which instants they name.

croniter reads an expression and steps it over readings of a wall clock that knows no zone. Which
instant a reading belongs to is decided here with `zoneinfo`, because croniter on aware datetimes
runs ``30 2 * * *`` twice on the night the clocks go back. The rules:

* A *fixed hour* (``30 2 * * *``) follows the wall clock. A reading that occurs twice runs at its
  first occurrence only; readings that a forward jump leaves out run once, at the instant of the
  jump.
* A *wildcard hour* (``*`` or ``*/n``, or all 24 hours spelt out) follows elapsed time: it runs
  whenever the wall clock shows a match, so every real hour of a repeated hour counts. When a
  forward jump leaves matches out, the run is made up once, at the jump, unless elapsed time
  already brings a match in its place (``15 * * * *`` still runs every 60 real minutes).

The same rules hold for five fields (minutes first) and six (seconds first).
As in cron(8), day of month and day of week are alternatives, unless one of them starts with ``*``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from quarterdeck_server.engine.schedule.errors import CronError

if TYPE_CHECKING:
    from quarterdeck_server.engine.schedule.cron_expression import Steps

MAX_EXPRESSION_LENGTH: Final = 128
MAX_INSTANT: Final = 250_000_000_000_000_000
"""The last instant that is scheduled, in the year 9892: `datetime` ends with the year 9999."""

_SECOND: Final = 1_000_000
_PROBE: Final = 48 * 3600 * _SECOND  # longer than any change of offset (Apia moved by 24 h)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH_UTC: Final = datetime.fromtimestamp(0, UTC)
_EPOCH: Final = _EPOCH_UTC.replace(tzinfo=None)

_BLANKS = re.compile(r"[ \t]+")
_ZONE = re.compile(r"(?!posix|right/|localtime$)[A-Za-z][\w+-]*(?:/[A-Za-z][\w+-]*){0,2}", re.ASCII)
_MAX_ZONE_LENGTH: Final = 64


class Cron(NamedTuple):
    """A valid expression in a time zone. Made by `parse_cron`.

    Attributes:
        expression: As written, with single spaces between the fields.
        time_zone: The IANA name, such as ``Europe/Berlin`` or ``UTC``.
    """

    expression: str
    time_zone: str


def parse_cron(expression: str, time_zone: str) -> Cron:
    """Checks an expression and a time zone.

    Args:
        expression: Five fields, six with seconds first, or ``@hourly``, ``@daily``, ``@midnight``,
            ``@weekly``, ``@monthly``, ``@yearly``, ``@annually``; at most 128 characters. A range
            may wrap, as in ``22-6``.
        time_zone: An IANA time zone name.

    Returns:
        The pair, for `next_after`.

    Raises:
        CronError: Either is malformed or unknown, or the expression names no date that exists.
    """
    _zone(time_zone)
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise CronError(
            "cron",
            f"expected at most {MAX_EXPRESSION_LENGTH} characters, got {len(expression)}",
        )
    normal = _BLANKS.sub(" ", expression).strip(" ")
    _steps(normal)
    return Cron(normal, time_zone)


def next_after(cron: Cron, after_us: int) -> int | None:
    """Returns the first instant of `cron` that is strictly later than `after_us`.

    Instants are microseconds since the epoch, UTC; none lies before the epoch or after
    `MAX_INSTANT`. The same arguments give the same instant however they were reached, so a
    schedule never drifts.

    Args:
        cron: The result of `parse_cron`.
        after_us: The exclusive lower bound.

    Returns:
        The instant, or None if there is none within the next 50 years.

    Raises:
        CronError: The expression or zone is not valid in this installation (a row written
            with another version of croniter or of the zone database).
    """
    steps = _steps(cron.expression)
    zone = _zone(cron.time_zone)
    after = max(after_us, -1)
    if after >= MAX_INSTANT:
        return None
    step = _next_elapsed if steps.wildcard_hour else _next_fixed
    found = step(steps, zone, after)
    if found is not None and found <= after:
        raise AssertionError(f"{cron} went from {after} to {found}")
    return found


def _next_fixed(steps: Steps, zone: ZoneInfo, after: int) -> int | None:
    local = _local(zone, after)
    reading = _reading(local)
    if local.fold:
        # Everything up to the end of the repeated stretch has had its run in the first pass.
        now, before = _offset_of(local), _offset_of(local.replace(fold=0))
        reading = _first_change(zone, after - (before - now), after) + before - 1
    found = steps.next_reading(reading)
    return None if found is None else _instant_of(zone, found)


def _next_elapsed(steps: Steps, zone: ZoneInfo, after: int) -> int | None:
    while after < MAX_INSTANT:
        offset = _offset(zone, after)
        reading = steps.next_reading(after + offset)
        if reading is None:
            return None
        found = reading - offset
        horizon = min(found, after + _PROBE)
        if _offset(zone, horizon) == offset:
            if horizon == found:
                return found
            # No reading matches until close to `found`, whatever the offsets on the way.
            after = max(horizon, found - _PROBE)
            continue
        change = _first_change(zone, after, horizon)
        gap = _offset(zone, change) - offset
        if reading < change + offset + gap and not _matches(steps, reading + gap):
            return change
        if _matches(steps, change + offset + gap):
            return change
        after = change
    return None


def _matches(steps: Steps, reading: int) -> bool:
    return steps.next_reading(reading - 1) == reading


def _instant_of(zone: ZoneInfo, reading: int) -> int:
    """Maps a reading to its first instant, or to the jump that leaves it out."""
    local = (_EPOCH + timedelta(microseconds=reading)).replace(tzinfo=zone)
    before, after = _offset_of(local), _offset_of(local.replace(fold=1))
    # PEP 495: in a gap, fold=0 has the offset before the jump, which is the smaller one.
    if before < after:
        return _first_change(zone, reading - after, reading - before)
    return reading - before


def _first_change(zone: ZoneInfo, low: int, high: int) -> int:
    """Finds the instant in (low, high] from which the offset is no longer that of `low`."""
    offset = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _local(zone: ZoneInfo, instant: int) -> datetime:
    return (_EPOCH_UTC + timedelta(microseconds=instant)).astimezone(zone)


def _reading(local: datetime) -> int:
    return (local.replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def _offset(zone: ZoneInfo, instant: int) -> int:
    return _offset_of(_local(zone, instant))


def _offset_of(local: datetime) -> int:
    offset = local.utcoffset()
    assert offset is not None  # every ZoneInfo datetime has one
    return offset // _MICROSECOND


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    if len(name) > _MAX_ZONE_LENGTH or not _ZONE.fullmatch(name):
        raise CronError("time_zone", "expected an IANA name such as Europe/Berlin or UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: the name is a folder
        raise CronError(
            "time_zone", f"expected a known IANA name such as Europe/Berlin, got {name!r}"
        ) from error


def _steps(expression: str) -> Steps:
    # Only when there is a cron expression: croniter takes long to import, and a server is to be up soon.
    from quarterdeck_server.engine.schedule.cron_expression import steps_of

    return steps_of(expression)
