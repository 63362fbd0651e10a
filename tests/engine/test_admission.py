"""Debounce and throttle keys, and the ttl of idempotency keys; on dicts and on SQLite."""

from __future__ import annotations

from typing import Any

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import READY, SCHEDULED

from . import make
from .bench import Bench
from .make import NOW, SECOND


def debounce(delay: float = 10, max_wait: float | None = None, **fields: Any) -> c.Spec:
    wait = None if max_wait is None else round(max_wait * SECOND)
    return make.spec(admission=c.Debounce("k", round(delay * SECOND), wait), **fields)


def throttle(limit: int = 1, period: float = 10, **fields: Any) -> c.Spec:
    return make.spec(admission=c.Throttle("k", limit, round(period * SECOND)), **fields)


class TestDebounce:
    """A burst becomes one task."""

    def test_the_latest_wins_and_begins_the_delay_again(self, bench: Bench) -> None:
        first = bench.one(debounce(data=b"1", priority=3))
        bench.pass_time(6)
        latest = debounce(
            data=b"2" * 20_000, priority=8, labels='{"a":"b"}', policy=Policy(max_attempts=7)
        )
        (item,) = bench.do(make.submit(latest))
        assert (item.task_id, item.existed) == (first, True)
        task = bench.task(first)
        assert (task.priority, task.labels, task.max_attempts) == (8, '{"a":"b"}', 7)
        assert task.state == SCHEDULED and task.run_at == bench.now + 10 * SECOND
        assert bench.driver.inputs[first].data == b"2" * 20_000
        bench.pass_time(10)
        assert bench.task(first).state == READY
        assert bench.one(debounce()) != first, "it waits for its delay no longer"

    def test_a_submit_without_input_takes_the_input_away(self, bench: Bench) -> None:
        first = bench.one(debounce(data=b"1"))
        bench.do(make.submit(debounce()))
        assert first not in bench.driver.inputs

    def test_a_burst_in_one_request_is_one_task(self, bench: Bench) -> None:
        items = bench.do(make.submit(*[debounce(data=bytes([n])) for n in range(5)]))
        assert {item.task_id for item in items} == {items[0].task_id}
        assert [item.existed for item in items] == [False, True, True, True, True]
        assert bench.driver.inputs[items[0].task_id] == Payload("application/octet-stream", b"\4")

    def test_the_first_submit_waits_no_longer_than_asked_for(self, bench: Bench) -> None:
        first = bench.one(debounce(10, 15))
        for _ in range(3):
            bench.pass_time(4)
            bench.do(make.submit(debounce(10, 15)))
        assert bench.task(first).run_at == NOW + 15 * SECOND
        bench.pass_time(3)
        assert bench.task(first).state == READY

    def test_the_time_to_start_counts_from_the_end_of_the_delay(self, bench: Bench) -> None:
        first = bench.one(debounce())
        bench.do(make.submit(debounce(policy=Policy(schedule_to_start=SECOND))))
        assert bench.task(first).expire_at == NOW + 11 * SECOND

    def test_a_debounced_task_that_is_claimed_at_once_has_its_last_input(
        self, bench: Bench
    ) -> None:
        first = bench.one(debounce(10, 5, data=b"1"))
        bench.now += 5 * SECOND
        bench.group(make.submit(debounce(10, 5, data=b"2")), claims=[claim := make.claim()])
        assert [task.id for task in claim.taken] == [first]
        assert bench.driver.inputs[first].data == b"2"


class TestThrottle:
    """A number of submits in a period."""

    def test_the_last_that_was_let_through_is_the_answer(self, bench: Bench) -> None:
        one, two, three = bench.do(make.submit(*[throttle(2)] * 3))
        assert (one.existed, two.existed, three.existed) == (False, False, True)
        assert three.task_id == two.task_id
        bench.pass_time(9.9)
        (item,) = bench.do(make.submit(throttle(2)))
        assert item.task_id == two.task_id
        bench.pass_time(0.1)
        (item,) = bench.do(make.submit(throttle(2)))
        assert not item.existed

    def test_an_expired_row_is_pruned(self, bench: Bench) -> None:
        bench.one(throttle())
        bench.prune()
        assert bench.driver.admissions
        bench.pass_time(10)
        bench.prune()
        assert not bench.driver.admissions


class TestIdempotencyTtl:
    """A key may be kept for another time than its task."""

    def test_an_expired_key_is_free(self, bench: Bench) -> None:
        spec = make.spec(key="k", key_ttl=10 * SECOND)
        first = bench.one(spec)
        (again,) = bench.do(make.submit(spec))
        assert (again.task_id, again.existed) == (first, True)
        bench.pass_time(10)
        second = bench.one(make.spec(key="k", content=b"other"))
        assert second != first
        assert bench.driver.keys["default", "k"][0] == second

    def test_a_key_outlives_its_task(self, bench: Bench) -> None:
        task = bench.running(make.spec(key="k", key_ttl=10 * SECOND))
        bench.end(task, make.succeed())
        bench.prune()
        (again,) = bench.do(make.submit(make.spec(key="k")))
        assert (again.task_id, again.existed) == (task.id, True)
        bench.pass_time(10)
        bench.prune()
        assert not bench.driver.keys
