"""What a cron expression accepts, and its steps over readings of a wall clock that knows no zone. By croniter."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from croniter import CroniterBadDateError, CroniterError, croniter

from quarterdeck_server.engine.schedule.errors import CronError

_SEARCH_YEARS: Final = 50  # 29 February on a given weekday recurs within 40 years
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)

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


@dataclass(frozen=True)
class Steps:
    """An expression ready to step. The croniter in it is only ever copied."""

    prototype: croniter[datetime]
    wildcard_hour: bool

    def next_reading(self, reading: int) -> int | None:
        """Returns the first matching wall clock reading after `reading`.

        A reading is counted in microseconds since 1970-01-01 00:00 on the same wall clock.
        """
        start = _EPOCH + timedelta(seconds=reading // 1_000_000)
        try:
            found = copy.copy(self.prototype).get_next(datetime, start_time=start)
        except CroniterBadDateError:
            return None
        return (found - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def steps_of(expression: str) -> Steps:
    """Reads an expression of 5 or 6 fields, or a macro.

    Raises:
        CronError: It is malformed, or names no date that exists.
    """
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
    steps = Steps(
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
