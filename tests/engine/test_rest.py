"""The rest that agents ask for."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine.commands import Fail, Spec
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.meters import one_key
from quarterdeck_server.engine.model import Failure

from . import make
from .bench import Bench
from .make import SECOND

KEY = ("default", "default")


def asking(seconds: int, *, key_only: bool = False) -> Fail:
    return Fail(Failure("Busy", "429"), 0, seconds * SECOND, key_only)


def of_key(key: str) -> Spec:
    return make.spec()._replace(lane=lane_text(LaneKey(key)))


def test_a_queue_rests_until_the_latest_instant_asked_for(bench: Bench) -> None:
    bench.submit(*[make.spec()] * 3)
    first, second, third = bench.claim(max_tasks=3)
    bench.end(first, asking(20))
    assert bench.driver.queues[KEY].back_off_until == bench.now + 20 * SECOND
    bench.end(second, asking(10))
    assert bench.driver.queues[KEY].back_off_until == bench.now + 20 * SECOND
    bench.end(third, asking(30))
    assert bench.driver.queues[KEY].back_off_until == bench.now + 30 * SECOND


def test_a_report_that_is_late_asks_for_nothing(bench: Bench) -> None:
    task = bench.running()
    bench.end(task, make.succeed())
    bench.do(make.report(task.id, task.lease_token, asking(20)))
    assert bench.driver.queues[KEY].back_off_until is None


def test_a_report_twice_asks_once(bench: Bench) -> None:
    task = bench.running()
    bench.end(task, asking(20))
    until = bench.driver.queues[KEY].back_off_until
    bench.now += SECOND
    bench.do(make.report(task.id, task.lease_token, asking(20)))
    assert bench.driver.queues[KEY].back_off_until == until


@pytest.mark.parametrize("key", ["red", ""])
def test_a_key_rests_alone(bench: Bench, key: str) -> None:
    task_id = bench.one(of_key(key))
    (task,) = bench.claim()
    assert task.id == task_id
    bench.end(task, asking(20, key_only=True))
    assert bench.driver.queues[KEY].back_off_until is None
    meter = bench.driver.meters[one_key("default", "default", key)]
    assert meter.back_off_until == bench.now + 20 * SECOND


def test_a_rest_that_is_over_is_forgotten_with_the_next_change_of_its_queue(bench: Bench) -> None:
    bench.end(bench.running(), asking(20))
    bench.now += 20 * SECOND - 1
    bench.one()
    assert bench.driver.queues[KEY].back_off_until == bench.now + 1
    bench.now += 1
    bench.one()
    assert bench.driver.queues[KEY].back_off_until is None
    assert len(bench.claim(max_tasks=9)) == 3
