"""Limits of queues: edited while in use."""

from __future__ import annotations

from quarterdeck_server.engine.commands import UpdateQueue
from quarterdeck_server.engine.limits import (
    CANCEL_OLDEST,
    NO_LIMITS,
    Concurrency,
    QueueLimits,
    Rate,
    limits_of,
)

from .bench import Bench
from .make import SECOND

KEY = ("default", "default")
ALL = QueueLimits(
    Concurrency(3, CANCEL_OLDEST),
    Concurrency(1),
    Rate(10, SECOND, 20),
    Rate(1, 60 * SECOND, 0),
    5 * SECOND,
    (("a", 3),),
)


def update(limits: QueueLimits | None = None, drops: bool | None = None) -> UpdateQueue:
    return UpdateQueue("default", "default", None, "", None, limits, drops)


def test_limits_are_kept_until_others_are_set(bench: Bench) -> None:
    bench.do(update(ALL))
    bench.one()
    assert limits_of(bench.driver.queues[KEY].limits) == ALL
    bench.do(UpdateQueue("default", "default", True, "a rest"))
    assert limits_of(bench.driver.queues[KEY].limits) == ALL
    bench.do(update(NO_LIMITS))
    assert bench.driver.queues[KEY].limits is None


def test_what_becomes_of_arrivals_is_set_beside_the_limits(bench: Bench) -> None:
    bench.do(update(drops=True))
    bench.do(update(ALL))
    queue = bench.do(update())
    assert (limits_of(queue.limits), queue.drops) == (ALL, 1)
    queue = bench.do(update(drops=False))
    assert (limits_of(queue.limits), queue.drops) == (ALL, 0)
