"""Cron against two oracles.

cronsim answers for five fields where Debian's rules are ours: a fixed minute in a fixed hour, and
``*`` as the hour in zones that shift by whole hours. It differs by design elsewhere:

* it lets elapsed time rule any expression whose *minute* starts with ``*`` (`*/15 1 * * *` runs
  eight times in a repeated hour) and every one with six fields; here only the hour decides;
* it drops the matches of a wildcard hour that a forward jump leaves out (`0 */2 * * *`); here
  they are made up once;
* it reads `9-9/2` as 9, 11, 13 and so on; here, as in cron(8), that is 9 (tested by example);
* started in the second pass of a repeated hour it first answers with times of the first pass,
  before its start; those are left out here.

For those, the oracle applies the rules of the module's docstring to every minute or second in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.schedule.cron import next_after, parse_cron

SECOND = 1_000_000
EPOCH = datetime.fromtimestamp(0, UTC)

# Days on which the offset changes, or one without a change.
TRANSITIONS = (
    ("UTC", "2025-03-30"),
    ("Asia/Kolkata", "2025-02-28"),
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("Europe/Dublin", "2025-10-26"),
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("America/St_Johns", "2025-11-02"),
    ("America/Havana", "2025-03-09"),  # midnight is left out
    ("America/Santiago", "2025-04-05"),  # midnight comes twice
    ("Africa/Cairo", "2024-04-26"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Antarctica/Troll", "2025-03-30"),  # two hours
    ("Antarctica/Troll", "2025-10-26"),
    ("Asia/Pyongyang", "2018-05-05"),  # half an hour, for good
    ("Australia/Lord_Howe", "2025-04-06"),  # half an hour
    ("Australia/Lord_Howe", "2025-10-05"),
    ("Pacific/Apia", "2011-12-30"),  # no such day
)
WHOLE_HOURS = tuple(
    pair for pair in TRANSITIONS if pair[0] not in ("Australia/Lord_Howe", "Asia/Pyongyang")
)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def shown(instant: int, zone: str) -> str:
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).isoformat()


class Field(NamedTuple):
    """A field's text and, worked out apart from any parser, the values it names."""

    text: str
    values: frozenset[int]


def fields(low: int, high: int, *, stars: bool = True) -> st.SearchStrategy[Field]:
    numbers = st.integers(low, high)
    ranges = st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)
    steps = st.integers(1, high)
    named = [
        numbers.map(lambda n: Field(f"{n}", frozenset({n}))),
        st.lists(numbers, min_size=2, max_size=4).map(
            lambda ns: Field(",".join(map(str, ns)), frozenset(ns))
        ),
        st.tuples(ranges, steps).map(
            lambda rs: Field(
                f"{rs[0][0]}-{rs[0][1]}/{rs[1]}", frozenset(range(rs[0][0], rs[0][1] + 1, rs[1]))
            )
        ),
    ]
    if stars:
        named.append(st.just(Field("*", frozenset(range(low, high + 1)))))
        named.append(
            steps.map(lambda n: Field(f"*/{n}", frozenset(range(low, high + 1, n)))),
        )
    return st.one_of(named)


class Expression(NamedTuple):
    seconds: Field | None
    minutes: Field
    hours: Field
    days: Field
    months: Field
    weekdays: Field

    def text(self) -> str:
        return " ".join(field.text for field in self if field is not None)

    def matches(self, reading: datetime) -> bool:
        day = reading.day in self.days.values
        weekday = reading.isoweekday() % 7 in self.weekdays.values
        both = self.days.text.startswith("*") or self.weekdays.text.startswith("*")
        return (
            reading.second in (self.seconds.values if self.seconds else {0})
            and reading.minute in self.minutes.values
            and reading.hour in self.hours.values
            and reading.month in self.months.values
            and (day and weekday if both else day or weekday)
        )

    def wildcard_hour(self) -> bool:
        return self.hours.text.startswith("*") or len(self.hours.values) == 24


STAR = Field("*", frozenset(range(60)))


def expressions(
    minutes: st.SearchStrategy[Field],
    hours: st.SearchStrategy[Field],
    seconds: st.SearchStrategy[Field | None] | None = None,
) -> st.SearchStrategy[Expression]:
    mostly_star = st.one_of(st.just(STAR), st.just(STAR), fields(1, 31))
    weekdays = st.one_of(st.just(STAR), st.just(STAR), fields(0, 6))
    return st.builds(
        Expression,
        seconds if seconds is not None else st.none(),
        minutes,
        hours,
        mostly_star,
        st.just(STAR),
        weekdays,
    )


class Moment(NamedTuple):
    instant: int
    reading: datetime
    repeated: bool
    missing: tuple[datetime, ...]  # the readings that the jump at this instant leaves out


@cache
def moments(zone: str, start: int, end: int, step: int) -> tuple[Moment, ...]:
    return tuple(_moments(ZoneInfo(zone), start, end, step))


def _moments(zone: ZoneInfo, start: int, end: int, step: int) -> Iterator[Moment]:
    tick = timedelta(microseconds=step)
    expected: datetime | None = None
    for instant in range(start, end, step):
        local = (EPOCH + timedelta(microseconds=instant)).astimezone(zone)
        reading = local.replace(tzinfo=None, fold=0)
        missing = []
        while expected is not None and expected < reading:
            missing.append(expected)
            expected += tick
        yield Moment(instant, reading, bool(local.fold), tuple(missing))
        expected = reading + tick


def by_the_rules(expression: Expression, timeline: tuple[Moment, ...]) -> Iterator[int]:
    elapsed = expression.wildcard_hour()
    for moment in timeline:
        missed = next((m for m in moment.missing if expression.matches(m)), None)
        if missed is not None and elapsed:
            jump = moment.reading - moment.missing[0]
            missed = None if expression.matches(missed + jump) else missed
        if missed is not None or (
            (elapsed or not moment.repeated) and expression.matches(moment.reading)
        ):
            yield moment.instant


def check_by_the_rules(
    expression: Expression, zone: str, timeline: tuple[Moment, ...], start: int
) -> None:
    cron = parse_cron(expression.text(), zone)
    after = timeline[start].instant
    for expected in list(by_the_rules(expression, timeline[start + 1 :]))[:40]:
        following = next_after(cron, after)
        assert following is not None
        assert shown(following, zone) == shown(expected, zone), expression.text()
        after = following
    following = next_after(cron, after)
    assert following is None or following > after


@settings(max_examples=150, deadline=None)
@given(
    expression=expressions(fields(0, 59), fields(0, 23)),
    where=st.sampled_from(TRANSITIONS),
    start=st.integers(0, 4000),
)
def test_every_minute_obeys_the_rules(
    expression: Expression, where: tuple[str, str], start: int
) -> None:
    zone, day = where
    middle = us(f"{day}T12:00:00+00:00")
    timeline = moments(zone, middle - 2 * 86400 * SECOND, middle + 2 * 86400 * SECOND, 60 * SECOND)
    check_by_the_rules(expression, zone, timeline, start)


@settings(max_examples=60, deadline=None)
@given(
    expression=expressions(fields(0, 59), fields(0, 4), fields(0, 59)),
    where=st.sampled_from(
        (
            ("Europe/Berlin", "2025-03-30T01:00:00+00:00"),
            ("Europe/Berlin", "2025-10-26T01:00:00+00:00"),
            ("Australia/Lord_Howe", "2025-04-05T15:00:00+00:00"),
            ("Australia/Lord_Howe", "2025-10-04T15:30:00+00:00"),
        )
    ),
    start=st.integers(0, 9000),
)
def test_six_fields_obey_the_same_rules(
    expression: Expression, where: tuple[str, str], start: int
) -> None:
    zone, change = where
    timeline = moments(zone, us(change) - 6000 * SECOND, us(change) + 6000 * SECOND, SECOND)
    check_by_the_rules(expression, zone, timeline, start)


def check_against_cronsim(expression: Expression, where: tuple[str, str], offset: int) -> None:
    zone, day = where
    start = us(f"{day}T12:00:00+00:00") + offset * 60 * SECOND
    oracle = CronSim(
        expression.text(), (EPOCH + timedelta(microseconds=start)).astimezone(ZoneInfo(zone))
    )
    cron, after = parse_cron(expression.text(), zone), start
    coming = (found for found in oracle if found.timestamp() * SECOND > start)
    for expected in (next(coming) for _ in range(12)):
        following = next_after(cron, after)
        assert following is not None
        assert shown(following, zone) == expected.isoformat(), expression.text()
        after = following


@settings(max_examples=150, deadline=None)
@given(
    expression=expressions(fields(0, 59, stars=False), fields(0, 22, stars=False)),
    where=st.sampled_from(TRANSITIONS),
    offset=st.integers(-3000, 0),
)
def test_fixed_hours_agree_with_cronsim(
    expression: Expression, where: tuple[str, str], offset: int
) -> None:
    check_against_cronsim(expression, where, offset)


@settings(max_examples=80, deadline=None)
@given(
    expression=expressions(fields(0, 59), st.just(Field("*", frozenset(range(24))))),
    where=st.sampled_from(WHOLE_HOURS),
    offset=st.integers(-3000, 0),
)
def test_every_hour_agrees_with_cronsim(
    expression: Expression, where: tuple[str, str], offset: int
) -> None:
    check_against_cronsim(expression._replace(days=STAR, weekdays=STAR), where, offset)


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 31 * *",
        "30 6 29 2 *",
        "0 12 * * MON-FRI",
        "0 0 13 * FRI",
        "0 0 */10 * 1",
        "0 0 L * *",
        "15 3 * FEB,JUN-AUG 7",
        "0 0 1-7 * 1",
        "5 4 * * 5#2",
        "5 4 * * 1-7/2",
        "50/5 0 1 1/3 *",
        "0 0 9-9 * *",
        "7 7 30,31 1-12/2 *",
    ],
)
def test_dates_agree_with_cronsim(expression: str) -> None:
    start = datetime(2023, 11, 30, tzinfo=UTC)
    oracle = CronSim(expression, start)
    cron, after = parse_cron(expression, "UTC"), us(start.isoformat())
    for expected in (next(oracle) for _ in range(30)):
        following = next_after(cron, after)
        assert following is not None
        assert shown(following, "UTC") == expected.isoformat()
        after = following


@settings(max_examples=100, deadline=None)
@given(
    expression=expressions(fields(0, 59), fields(0, 23)),
    zone=st.sampled_from([zone for zone, _ in TRANSITIONS]),
    after=st.integers(0, us("2090-01-01T00:00+00:00")),
    part=st.floats(0, 1),
)
def test_no_instant_lies_between_an_instant_and_the_next(
    expression: Expression, zone: str, after: int, part: float
) -> None:
    cron = parse_cron(expression.text(), zone)
    found = next_after(cron, after)
    assert found is not None
    between = after + int((found - 1 - after) * part)
    assert next_after(cron, between) == found
