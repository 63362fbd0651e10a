"""Rate limits as arithmetic."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck_server.engine.flow.limits import Rate
from quarterdeck_server.engine.flow.meters import (
    REST,
    Meter,
    Meters,
    at_rest,
    available_at,
    back_off,
    edited,
    one_key,
    take,
    whole_queue,
)
from quarterdeck_server.engine.timeunits import DAY, HOUR, SECOND

NOW = 1_780_000_000_000_000
RATES = st.builds(
    Rate,
    units=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
    period=st.one_of(st.just(SECOND), st.integers(1000, 31 * DAY)),
    burst=st.one_of(st.just(0), st.integers(1, 50)),
)
STEPS = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 60)), min_size=1, max_size=40)


def burst_of(rate: Rate) -> int:
    return rate.burst or rate.units


def drive(rate: Rate, steps: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], Meter]:
    """Try to start; return what was started and when."""
    now, meter, started = NOW, REST, []
    for wait, units in steps:
        now += wait
        after = take(meter, rate, units, now)
        if isinstance(after, Meter):
            meter = after
            started.append((now, units))
    return started, meter


@given(RATES, STEPS)
def test_no_window_starts_more_than_a_burst_and_what_time_filled(
    rate: Rate, steps: list[tuple[int, int]]
) -> None:
    small = [(wait, min(units, burst_of(rate))) for wait, units in steps]
    started, _ = drive(rate, small)
    for first in range(len(started)):
        total = 0
        for when, units in started[first:]:
            total += units
            filled = Fraction((when - started[first][0]) * rate.units, rate.period)
            assert total <= burst_of(rate) + filled


@given(RATES, STEPS)
def test_the_instant_told_is_the_first_one_possible(
    rate: Rate, steps: list[tuple[int, int]]
) -> None:
    now, meter = NOW, REST
    for wait, units in steps:
        now += wait
        after = take(meter, rate, units, now)
        if isinstance(after, int):
            assert after == available_at(meter, rate, units, now) > now
            assert take(meter, rate, units, after - 1) == after
            now = after
            after = take(meter, rate, units, now)
        assert isinstance(after, Meter)
        meter = after


@given(RATES, st.integers(1, 200))
@example(Rate(3, SECOND, 1), 200)
@example(Rate(10**9, SECOND, 1), 200)
def test_starting_one_after_the_other_loses_nothing_to_rounding(rate: Rate, count: int) -> None:
    _, meter = drive(rate._replace(burst=count), [(0, 1)] * count)
    exact = NOW + Fraction(count * rate.period, rate.units)
    assert meter.full_at + Fraction(meter.part, rate.units) == exact


@given(RATES, st.integers(1, 60))
def test_a_task_larger_than_the_bucket_starts_when_it_is_full(rate: Rate, more: int) -> None:
    rate = rate._replace(burst=min(50, burst_of(rate)))
    large = rate.burst + more
    first = take(REST, rate, large, NOW)
    assert isinstance(first, Meter)
    again = take(first, rate, 1, NOW)
    assert isinstance(again, int)
    # Its price is paid in full: the bucket fills from as far below as it took.
    assert again == NOW - (-(large - rate.burst + 1) * rate.period // rate.units)


def test_no_rate_lets_everything_through_but_what_rests() -> None:
    assert take(REST, Rate(), 10**6, NOW) == REST
    resting = back_off(REST, NOW + SECOND)
    assert take(resting, Rate(), 1, NOW) == NOW + SECOND
    assert take(resting, Rate(), 1, NOW + SECOND) == resting


def test_an_earlier_rest_does_not_shorten_a_later_one() -> None:
    resting = back_off(REST, NOW + 2 * SECOND)
    assert back_off(resting, NOW + SECOND) == resting
    assert back_off(resting, NOW + 3 * SECOND).back_off_until == NOW + 3 * SECOND


@given(RATES, RATES, STEPS)
def test_an_edit_never_gives_more_than_a_bucket_nor_owes_more_than_one(
    before: Rate, after: Rate, steps: list[tuple[int, int]]
) -> None:
    _, meter = drive(before, steps)
    now = NOW + sum(wait for wait, _ in steps)
    new = edited(meter, before, after, now)
    exact = new.full_at + Fraction(new.part, after.units)
    if before == after:
        assert new == meter
    else:
        assert exact <= now + Fraction(burst_of(after) * after.period, after.units)


def test_a_higher_rate_helps_at_once() -> None:
    slow, fast = Rate(1, HOUR), Rate(100, SECOND)
    empty = take(REST, slow, 1, NOW)
    assert isinstance(empty, Meter)
    assert isinstance(take(edited(empty, slow, fast, NOW), fast, 99, NOW), Meter)
    assert edited(empty, slow, Rate(), NOW) == REST


def test_a_smaller_bucket_begins_with_what_was_owed() -> None:
    large, small = Rate(100, SECOND), Rate(10, SECOND)
    used = take(REST, large, 100, NOW)
    assert isinstance(used, Meter)
    assert take(edited(used, large, small, NOW), small, 1, NOW) == NOW + SECOND // 10


def test_a_meter_is_at_rest_when_it_is_full_and_nobody_rests() -> None:
    rate = Rate(3, SECOND)
    used = take(REST, rate, 1, NOW)
    assert isinstance(used, Meter)
    assert not at_rest(used, NOW + 333_333)
    assert at_rest(used, NOW + 333_334)
    assert not at_rest(back_off(REST, NOW + 1), NOW)
    assert at_rest(back_off(REST, NOW + 1), NOW + 1)


def test_a_unit_of_work_sees_its_own_meters_over_the_stored_ones() -> None:
    queue, key = whole_queue("default", "q"), one_key("default", "q", "")
    meters = Meters({queue: Meter(NOW)})
    meters.put(key, Meter(NOW + 1))
    assert meters.get(queue) == Meter(NOW) and meters.get(key) == Meter(NOW + 1)
    assert meters.get(one_key("default", "q", "other")) == REST
    meters.put(queue, REST)
    assert meters.get(queue) == REST
