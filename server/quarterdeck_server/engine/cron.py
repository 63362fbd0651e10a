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

import copy
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

MAX_EXPRESSION_LENGTH: Final = 128
MAX_INSTANT: Final = 250_000_000_000_000_000
"""The last instant that is scheduled, in the year 9892: `datetime` ends with the year 9999."""

_SEARCH_YEARS: Final = 50  # 29 February on a given weekday recurs within 40 years
_SECOND: Final = 1_000_000
_PROBE: Final = 48 * 3600 * _SECOND  # longer than any change of offset (Apia moved by 24 h)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH_UTC: Final = datetime.fromtimestamp(0, UTC)
_EPOCH: Final = _EPOCH_UTC.replace(tzinfo=None)

_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = (
    ("seconds", "0-59"),
    ("minutes", "0-59"),
    ("hours", "0-23"),
    ("day of month", "1-31, L or 15W"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 (0 and 7 are Sunday) or SUN-SAT, 5#2 or L5"),
)
_NAMES: Final = {
    name: str(number)
    for first, names in (
        (1, "jan feb mar apr may jun jul aug sep oct nov dec"),
        (0, "sun mon tue wed thu fri sat"),
    )
    for number, name in enumerate(names.split(), first)
}
_HASHED = re.compile(r"(?:^|,)[hr](?=$|[,(/])", re.ASCII | re.IGNORECASE)
_RANGE = re.compile(r"(?<![^,])(\w+)-(\w+)(/0*[1-9]\d*)?(?=$|[,/#])", re.ASCII)
_BLANKS = re.compile(r"[ \t]+")
_ZONE = re.compile(r"(?!posix|right/|localtime$)[A-Za-z][\w+-]*(?:/[A-Za-z][\w+-]*){0,2}", re.ASCII)
_MAX_ZONE_LENGTH: Final = 64


class CronError(ValueError):
    """An expression or a time zone that cannot be used.

    Attributes:
        field: ``cron`` or ``time_zone``.
        message: Names the cron field at fault and what is expected there.
    """

    def __init__(self, field: Literal["cron", "time_zone"], message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field: Literal["cron", "time_zone"] = field
        self.message = message


@dataclass(frozen=True)
class Cron:
    """A valid expression in a time zone. Made by `parse_cron`.

    Attributes:
        expression: As written, with single spaces between the fields.
        time_zone: The IANA name, such as ``Europe/Berlin`` or ``UTC``.
    """

    expression: str
    time_zone: str


@dataclass(frozen=True)
class _Steps:
    """An expression ready to step. The croniter in it is only ever copied."""

    prototype: croniter[datetime]
    wildcard_hour: bool

    def next_reading(self, reading: int) -> int | None:
        """Returns the first matching wall clock reading after `reading`.

        A reading is counted in microseconds since 1970-01-01 00:00 on the same wall clock.
        """
        start = _EPOCH + timedelta(seconds=reading // _SECOND)
        try:
            found = copy.copy(self.prototype).get_next(datetime, start_time=start)
        except CroniterBadDateError:
            return None
        return (found - _EPOCH) // _MICROSECOND


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


def _next_fixed(steps: _Steps, zone: ZoneInfo, after: int) -> int | None:
    local = _local(zone, after)
    reading = _reading(local)
    if local.fold:
        # Everything up to the end of the repeated stretch has had its run in the first pass.
        now, before = _offset_of(local), _offset_of(local.replace(fold=0))
        reading = _first_change(zone, after - (before - now), after) + before - 1
    found = steps.next_reading(reading)
    return None if found is None else _instant_of(zone, found)


def _next_elapsed(steps: _Steps, zone: ZoneInfo, after: int) -> int | None:
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


def _matches(steps: _Steps, reading: int) -> bool:
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


@lru_cache(maxsize=4096)
def _steps(expression: str) -> _Steps:
    fields = _split(expression)
    text = " ".join(fields)
    try:
        croniter.expand(text, second_at_beginning=True, strict=True)
        prototype = croniter(
            text,
            _EPOCH,
            datetime,
            max_years_between_matches=_SEARCH_YEARS,
            implement_cron_bug=True,  # cron(8): `*/2` in a day field counts as unrestricted
            second_at_beginning=True,
        )
    except (CroniterError, ValueError, TypeError, KeyError) as error:
        raise CronError("cron", _diagnose(fields)) from error
    _refuse_dropped_day_field(prototype, fields)
    hour = fields[-4]
    steps = _Steps(
        prototype,
        wildcard_hour=prototype.expanded[1] == ["*"]
        or any(term.startswith("*") for term in hour.split(",")),
    )
    if steps.next_reading(0) is None:
        raise CronError("cron", _no_such_date(fields))
    return steps


def _split(expression: str) -> list[str]:
    """Splits into fields that croniter may see: no macros, no hash forms, no ``9-9``."""
    if not expression.isascii() or not expression.isprintable():
        raise CronError("cron", "expected printable ASCII characters only")
    if expression.startswith("@"):
        if expression.lower() not in _MACROS:
            raise CronError("cron", f"expected one of {', '.join(_MACROS)}, got {expression!r}")
        expression = _MACROS[expression.lower()]
    fields = expression.split()
    if len(fields) not in (5, 6):
        raise CronError("cron", f"expected 5 fields, or 6 with seconds first, got {len(fields)}")
    for (name, expected), field in zip(_FIELDS[-len(fields) :], fields, strict=True):
        if _HASHED.search(field):
            raise CronError("cron", f"{name}: expected {expected}, got {field!r} (no H or R forms)")
    return [_RANGE.sub(_collapse, field) for field in fields]


def _collapse(span: re.Match[str]) -> str:
    """Reads ``9-9`` and ``9-9/2`` as 9, as cron(8) does; croniter takes it for the whole cycle."""
    low, high = (_NAMES.get(end.lower(), end.lstrip("0") or "0") for end in span.group(1, 2))
    return low if low == high else span.group()


def _diagnose(fields: list[str]) -> str:
    """Says which field croniter refuses, by trying each one alone."""
    for place, ((name, expected), field) in enumerate(
        zip(_FIELDS[-len(fields) :], fields, strict=True)
    ):
        alone = ["*"] * len(fields)
        alone[place] = field
        try:
            croniter.expand(" ".join(alone), second_at_beginning=True)
        except (CroniterError, ValueError, TypeError, KeyError):
            return f"{name}: expected {expected}, with * , - and / as in cron, got {field!r}"
    return _no_such_date(fields)


def _no_such_date(fields: list[str]) -> str:
    day, month, weekday = fields[-3:]
    return (
        "day of month: expected a day that exists in the month, "
        f"got day {day!r} in month {month!r} with day of week {weekday!r}"
    )


def _refuse_dropped_day_field(prototype: croniter[datetime], fields: list[str]) -> None:
    """Refuses `1 * 5#2` and `15W * 1`: croniter 7.0 silently ignores one of the two days."""
    special = prototype.nth_weekday_of_month or prototype.nearest_weekday
    if special and prototype.expanded[2] != ["*"] and prototype.expanded[4] != ["*"]:
        raise CronError(
            "cron",
            f"day of month, day of week: expected * in one of them when the other has W, # or "
            f"L, got {fields[-3]!r} and {fields[-1]!r}",
        )
