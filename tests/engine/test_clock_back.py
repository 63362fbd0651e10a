"""A wall clock that was ahead and is set back lets nothing stand still for longer; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine.admission import PERIOD, REJECT
from quarterdeck_server.engine.commands import Fail, Throttle, Unique, UpdateQueue
from quarterdeck_server.engine.flow.limits import QueueLimits, Rate
from quarterdeck_server.engine.flow.meters import one_key, whole_queue
from quarterdeck_server.engine.model import Failure
from quarterdeck_server.engine.policy import Policy

from . import make
from .bench import Bench
from .make import SECOND

HOUR = 3600 * SECOND
KEY = ("default", "default")


def limit(bench: Bench, limits: QueueLimits) -> None:
    bench.do(UpdateQueue("default", "default", None, "", None, limits))


def asking(seconds: int, *, key_only: bool = False) -> Fail:
    return Fail(Failure("Busy", "429"), 0, seconds * SECOND, key_only)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "limits",
    [QueueLimits(rate=Rate(1, 10 * SECOND)), QueueLimits(rate_per_key=Rate(1, 10 * SECOND))],
)
def test_a_bucket_has_as_long_to_fill_as_it_had(
    bench: Bench, limits: QueueLimits, restart: bool
) -> None:
    limit(bench, limits)
    bench.submit(*[make.spec(group_key="red")] * 3)
    bench.now += HOUR
    assert len(bench.claim(max_tasks=9)) == 1
    assert not bench.claim(max_tasks=9)
    bench.now -= HOUR
    if restart:
        bench.driver.restart()
    assert not bench.claim(max_tasks=9)
    bench.now += 10 * SECOND - 1
    assert not bench.claim(max_tasks=9)
    bench.now += 1
    assert len(bench.claim(max_tasks=9)) == 1


def test_a_debt_of_more_than_a_bucket_stays_whole(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(1, 10 * SECOND)))
    bench.submit(make.spec(policy=Policy(units=5)), make.spec())
    bench.now += HOUR
    assert len(bench.claim(max_tasks=9)) == 1
    bench.now -= HOUR
    assert not bench.claim(max_tasks=9)
    bench.now += 50 * SECOND - 1
    assert not bench.claim(max_tasks=9)
    bench.now += 1
    assert len(bench.claim(max_tasks=9)) == 1


def test_a_queue_rests_no_longer_than_was_asked_for(bench: Bench) -> None:
    task = bench.running()
    bench.now += HOUR
    bench.end(task, asking(20))
    bench.now -= HOUR
    assert not bench.claim()
    assert bench.driver.queues[KEY].back_off_until == bench.now + 20 * SECOND
    bench.now += 20 * SECOND
    assert len(bench.claim()) == 1


@pytest.mark.parametrize("key", ["red", ""])
def test_a_key_rests_no_longer_than_was_asked_for(bench: Bench, key: str) -> None:
    task = bench.running(make.spec(group_key=key))
    bench.now += HOUR
    bench.end(task, asking(20, key_only=True))
    assert not bench.claim()
    bench.now -= HOUR
    assert not bench.claim()
    bench.now += 20 * SECOND
    assert len(bench.claim()) == 1


def test_a_throttle_lets_as_many_through_in_a_period_that_begins_now(bench: Bench) -> None:
    throttled = make.spec(admission=Throttle("k", 2, 60 * SECOND))
    bench.now += HOUR
    first = bench.one(throttled)
    bench.now -= HOUR
    second = bench.one(throttled)
    assert second != first
    bench.now += 60 * SECOND - 1
    (held,) = bench.do(make.submit(throttled))
    assert held.existed and held.task_id == second
    bench.now += 1
    assert bench.one(throttled) not in (first, second)


def test_a_throttle_that_lets_nothing_through_does_not_begin_again_with_each_submit(
    bench: Bench,
) -> None:
    throttled = make.spec(admission=Throttle("k", 1, 60 * SECOND))
    bench.now += HOUR
    first = bench.one(throttled)
    bench.now -= HOUR
    for _ in range(6):
        (held,) = bench.do(make.submit(throttled))
        assert held.existed and held.task_id == first
        bench.now += 10 * SECOND
    assert bench.one(throttled) != first


def test_a_unique_key_is_kept_for_a_period_that_begins_now(bench: Bench) -> None:
    unique = make.spec(admission=Unique("k", PERIOD, REJECT, 60 * SECOND))
    bench.now += HOUR
    bench.one(unique)
    bench.now -= HOUR
    (refused,) = bench.do(make.submit(unique))
    assert refused.refusal is not None
    bench.now += 60 * SECOND
    assert bench.one(unique)


def test_a_small_step_back_changes_no_meter(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(1, 10 * SECOND)))
    bench.submit(make.spec(), make.spec())
    assert len(bench.claim(max_tasks=9)) == 1
    full_at = bench.now + 10 * SECOND
    bench.now -= SECOND
    assert not bench.claim()
    assert bench.driver.meters[whole_queue(*KEY)].full_at == full_at


def test_a_meter_at_rest_is_left_alone(bench: Bench) -> None:
    limit(bench, QueueLimits(rate=Rate(1, SECOND), rate_per_key=Rate(1, 10 * HOUR)))
    bench.running()
    before = bench.driver.meters[whole_queue(*KEY)]
    bench.now += 2 * HOUR
    bench.one()
    bench.now -= HOUR
    bench.one()
    assert bench.driver.meters[whole_queue(*KEY)] == before
    assert bench.driver.meters[one_key(*KEY, "")].full_at == bench.now + 8 * HOUR
