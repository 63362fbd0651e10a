"""Rates in the engine: what is handed out, what is kept, and what is forgotten."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.commands import Prune, UpdateQueue
from quarterdeck_server.engine.flow.limits import NO_LIMITS, QueueLimits, Rate
from quarterdeck_server.engine.flow.meters import MeterKey, one_key, whole_queue
from quarterdeck_server.engine.policy import Policy

from . import make
from .bench import Bench
from .make import SECOND

WHOLE: MeterKey = whole_queue("default", "default")
NO_KEY: MeterKey = one_key("default", "default", "")


def limit(bench: Bench, limits: QueueLimits) -> None:
    bench.do(UpdateQueue("default", "default", None, "", None, limits))


def prune(bench: Bench) -> int:
    removed: int = bench.do(Prune(0, 0, 0, 1_000_000))
    return removed


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.builds(Rate, st.integers(1, 5), st.just(SECOND), st.integers(0, 8)),
    waits=st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=12),
)
def test_no_window_hands_out_more_than_the_rate_allows(
    bench: Bench, rate: Rate, waits: list[int]
) -> None:
    limit(bench, QueueLimits(rate=rate))
    bench.now += 3600 * SECOND
    started: list[int] = []
    for wait in waits:
        bench.now += wait
        bench.submit(*[make.spec()] * 9)
        tasks = bench.claim(max_tasks=9)
        started += [bench.now] * len(tasks)
    burst = rate.burst or rate.units
    for first in range(len(started)):
        for last in range(first, len(started)):
            filled = (started[last] - started[first]) * rate.units // rate.period
            assert last - first + 1 <= burst + filled


def test_units_are_what_a_start_takes(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(10, SECOND)))
    bench.submit(*[make.spec(policy=Policy(units=4))] * 4)
    assert len(bench.claim(max_tasks=9)) == 2
    bench.now += SECOND // 5
    assert len(bench.claim(max_tasks=9)) == 1


def test_a_rate_goes_on_after_a_restart(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(1, 10 * SECOND), rate_per_key=Rate(5, SECOND)))
    bench.submit(make.spec(), make.spec())
    assert len(bench.claim(max_tasks=9)) == 1
    bench.driver.restart()
    assert not bench.claim(max_tasks=9)
    bench.now += 10 * SECOND
    assert len(bench.claim(max_tasks=9)) == 1


def test_meters_are_kept_only_where_there_is_a_rate_and_until_they_are_full(bench: Bench) -> None:
    bench.running()
    assert not bench.driver.meters
    limit(bench, QueueLimits(rate=Rate(1, 10 * SECOND), rate_per_key=Rate(1, SECOND)))
    bench.one()
    assert len(bench.claim(max_tasks=9)) == 1
    assert set(bench.driver.meters) == {WHOLE, NO_KEY}
    bench.now += SECOND
    prune(bench)
    assert set(bench.driver.meters) == {WHOLE}
    limit(bench, NO_LIMITS)
    prune(bench)
    assert not bench.driver.meters


def test_a_group_that_fails_takes_nothing(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(1, 10 * SECOND)))
    bench.one()
    claim = make.claim(max_tasks=1)
    broken = make.submit(make.spec()._replace(policy="broken"))
    bench.driver.run([broken], make.waiting([claim]), bench.now)
    assert len(claim.taken) == 1
    assert bench.driver.meters[WHOLE].full_at == bench.now + 10 * SECOND
