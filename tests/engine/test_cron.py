from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.schedule.cron import MAX_INSTANT, next_after, parse_cron
from quarterdeck_server.engine.schedule.errors import CronError

EPOCH = datetime.fromtimestamp(0, UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def shown(instant: int, zone: str) -> str:
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).isoformat()


def runs(expression: str, zone: str, after: str, count: int) -> list[str]:
    cron, instant, found = parse_cron(expression, zone), us(after), []
    for _ in range(count):
        following = next_after(cron, instant)
        assert following is not None
        found.append(shown(following, zone))
        instant = following
    return found


def test_a_time_left_out_runs_right_after_the_jump() -> None:
    assert runs("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00+01:00", 2) == [
        "2025-03-30T03:00:00+02:00",
        "2025-03-31T02:30:00+02:00",
    ]


def test_a_time_that_comes_twice_runs_once() -> None:
    assert runs("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00+02:00", 2) == [
        "2025-10-26T02:30:00+02:00",
        "2025-10-27T02:30:00+01:00",
    ]


def test_the_second_pass_of_a_repeated_hour_is_over_for_a_fixed_hour() -> None:
    assert runs("*/20 2 * * *", "Europe/Berlin", "2025-10-26T02:10+01:00", 1) == [
        "2025-10-27T02:00:00+01:00",
    ]
    assert runs("0 2,3 * * *", "Europe/Berlin", "2025-10-26T02:10+01:00", 1) == [
        "2025-10-26T03:00:00+01:00",
    ]


def test_a_wildcard_hour_on_a_far_day_starts_with_that_day() -> None:
    assert runs("0 * 31 3 *", "Europe/Berlin", "2025-02-01T00:00+01:00", 2) == [
        "2025-03-31T00:00:00+02:00",
        "2025-03-31T01:00:00+02:00",
    ]
    assert runs("0 * 31 10 *", "Europe/Berlin", "2025-08-01T00:00+02:00", 1) == [
        "2025-10-31T00:00:00+01:00",
    ]


def test_a_day_that_does_not_exist_runs_once_on_the_next() -> None:
    assert runs("0 6,18 * * *", "Pacific/Apia", "2011-12-29T12:00-10:00", 4) == [
        "2011-12-29T18:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T06:00:00+14:00",
        "2011-12-31T18:00:00+14:00",
    ]


def test_a_wildcard_hour_runs_in_both_passes_of_a_repeated_hour() -> None:
    assert runs("15 * * * *", "America/New_York", "2025-11-02T00:30-04:00", 3) == [
        "2025-11-02T01:15:00-04:00",
        "2025-11-02T01:15:00-05:00",
        "2025-11-02T02:15:00-05:00",
    ]


def test_a_wildcard_hour_keeps_its_pace_over_a_jump() -> None:
    assert runs("15 * * * *", "Europe/Berlin", "2025-03-30T00:30+01:00", 2) == [
        "2025-03-30T01:15:00+01:00",
        "2025-03-30T03:15:00+02:00",
    ]


def test_a_stepped_hour_that_is_left_out_is_made_up() -> None:
    assert runs("0 */2 * * *", "Europe/Berlin", "2025-03-30T00:30+01:00", 2) == [
        "2025-03-30T03:00:00+02:00",
        "2025-03-30T04:00:00+02:00",
    ]


def test_six_fields_have_the_seconds_first() -> None:
    assert runs("*/25 30 2 * * *", "UTC", "2025-01-01T00:00+00:00", 4) == [
        "2025-01-01T02:30:00+00:00",
        "2025-01-01T02:30:25+00:00",
        "2025-01-01T02:30:50+00:00",
        "2025-01-02T02:30:00+00:00",
    ]


def test_an_hour_range_may_pass_midnight() -> None:
    assert runs("0 23-1 * * *", "UTC", "2025-01-01T01:00+00:00", 3) == [
        "2025-01-01T23:00:00+00:00",
        "2025-01-02T00:00:00+00:00",
        "2025-01-02T01:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("macro", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_a_macro_is_its_expression(macro: str, expression: str) -> None:
    start = "2025-03-30T00:59:59.5+00:00"
    assert runs(macro, "Europe/Berlin", start, 3) == runs(expression, "Europe/Berlin", start, 3)


@pytest.mark.parametrize(
    ("same", "as_this"),
    [("0 9-9 * * *", "0 9 * * *"), ("0 09-9/2 * * *", "0 9 * * *"), ("0 0 * jan-1 *", "0 0 * 1 *")],
)
def test_a_range_with_equal_ends_is_one_value(same: str, as_this: str) -> None:
    start = "2025-03-30T12:00+00:00"
    assert runs(same, "UTC", start, 3) == runs(as_this, "UTC", start, 3)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "got 0"),
        ("* * * *", "got 4"),
        ("* * * * * * 2030", "got 7"),
        ("60 * * * *", "minutes: expected 0-59"),
        ("60 * * * * *", "seconds: expected 0-59"),
        ("* 24 * * *", "hours: expected 0-23"),
        ("* * 0 * *", "day of month: expected 1-31"),
        ("* * * 13 *", "month: expected 1-12"),
        ("* * * * 8", "day of week: expected 0-7"),
        ("*/0 * * * *", "minutes"),
        ("1,,2 * * * *", "minutes"),
        ("-5 * * * *", "minutes"),
        ("H * * * *", "no H or R forms"),
        ("0 r(0-3) * * *", "hours: .*no H or R forms"),
        ("0 0 31 2 *", "day of month: expected a day that exists"),
        ("0 0 31 4,6 */2", "day of month: expected a day that exists"),
        ("0 0 1 * 5#2", "day of month, day of week"),
        ("0 0 15W * 1", "day of month, day of week"),
        ("@reboot", "@hourly"),
        ("*\n* * * *", "printable"),
        ("*\u00a0* * * *", "printable"),
        ("٣ * * * *", "printable"),
        ("0," * 64 + "0 * * * *", "128"),
    ],
)
def test_a_bad_expression_is_refused_with_the_field_at_fault(expression: str, message: str) -> None:
    with pytest.raises(CronError, match=message) as caught:
        parse_cron(expression, "UTC")
    assert caught.value.field == "cron"


@pytest.mark.parametrize(
    "zone",
    ["", "Europe", "Mars/Base", "../UTC", "/etc/localtime", "UTC\0", "right/UTC", "a" * 9999],
)
def test_a_bad_zone_is_refused(zone: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_cron("* * * * *", zone)
    assert caught.value.field == "time_zone"


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=140),
        st.lists(st.text("0123456789*/-,#?LWlw ABCFJMNORSTU@()", max_size=6), max_size=7).map(
            " ".join
        ),
    )
)
def test_hostile_text_is_refused_or_runs(expression: str) -> None:
    try:
        cron = parse_cron(expression, "Europe/Berlin")
    except CronError:
        return
    found = next_after(cron, us("2025-03-30T00:00+00:00"))
    assert found is not None
    assert found > us("2025-03-30T00:00+00:00")


def test_instants_end_with_the_calendar() -> None:
    cron = parse_cron("* * * * *", "Europe/Berlin")
    assert next_after(cron, MAX_INSTANT) is None
    assert next_after(cron, -(10**30)) == 0
    assert next_after(cron, 10**30) is None
