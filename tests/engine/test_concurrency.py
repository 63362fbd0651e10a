"""Limits of what runs at once, rates, and ageing: what the hand-off gives, and when."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Sweep, UpdateQueue
from quarterdeck_server.engine.flow.limits import NO_LIMITS, Concurrency, QueueLimits, Rate
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import READY

from . import make
from .bench import Bench
from .flow import KEY, Flow, keys_of, limit_queue, set_limits
from .make import SECOND


def _two() -> QueueLimits:
    return QueueLimits(concurrency=Concurrency(2))


def _one_each() -> QueueLimits:
    return QueueLimits(concurrency_per_key=Concurrency(1))


class TestConcurrency:
    """How many run at once."""

    def test_no_more_than_the_limit_is_handed_out(self, bench: Bench) -> None:
        limit_queue(bench, _two())
        bench.submit(*(make.spec() for _ in range(5)))
        assert len(bench.claim(max_tasks=9)) == 2
        assert bench.claim("a2", max_tasks=9) == []

    def test_what_ran_before_the_limit_was_set_counts(self, bench: Bench) -> None:
        bench.running()
        limit_queue(bench, _two())
        bench.submit(*(make.spec() for _ in range(5)))
        assert len(bench.claim(max_tasks=9)) == 1

    def test_an_end_lets_a_waiting_claim_have_the_next_in_the_same_group(
        self, bench: Bench
    ) -> None:
        limit_queue(bench, _two())
        bench.submit(*(make.spec() for _ in range(5)))
        first, _ = bench.claim(max_tasks=2)
        flow = Flow(bench)
        claim = make.claim("a2")
        flow.park(claim)
        flow.group()
        assert claim.taken == []
        flow.group(make.report(first.id, first.lease_token, make.succeed()))
        assert len(claim.taken) == 1

    def test_each_key_has_a_limit_of_its_own(self, bench: Bench) -> None:
        limit_queue(bench, _one_each())
        bench.submit(*(make.spec(group_key=key) for key in "aaabbc"))
        bench.submit(make.spec(), make.spec())
        assert sorted(keys_of(bench.claim(max_tasks=9))) == ["", "a", "b", "c"]

    def test_a_key_at_its_limit_comes_back_when_one_of_its_tasks_ends(self, bench: Bench) -> None:
        limit_queue(bench, _one_each())
        for key in ("", "a"):
            ids = bench.submit(make.spec(group_key=key), make.spec(group_key=key))
            (task,) = bench.claim(max_tasks=9)
            flow = Flow(bench)
            claim = make.claim("a2")
            flow.park(claim)
            flow.group()
            assert claim.taken == []
            flow.group(make.report(task.id, task.lease_token, make.succeed()))
            assert [task.id for task in claim.taken] == ids[1:]
            bench.end(claim.taken[0], make.succeed())

    def test_a_higher_limit_is_used_in_the_group_that_sets_it(self, bench: Bench) -> None:
        for before in (_two(), _one_each()):
            bench.do(set_limits(before))
            bench.submit(*(make.spec(group_key="a") for _ in range(5)))
            held = bench.claim(max_tasks=9)
            flow = Flow(bench)
            claim = make.claim("a2", max_tasks=9)
            flow.park(claim)
            flow.group()
            flow.group(set_limits(NO_LIMITS))
            assert len(claim.taken) == 5 - len(held)
            for task in [*held, *claim.taken]:
                bench.end(task, make.succeed())

    def test_a_lower_limit_leaves_what_runs_alone(self, bench: Bench) -> None:
        bench.submit(*(make.spec() for _ in range(6)))
        running = bench.claim(max_tasks=5)
        limit_queue(bench, _two())
        assert bench.claim("a2") == []
        for task in running[:3]:
            bench.end(task, make.succeed())
        assert bench.claim("a2") == []
        bench.end(running[3], make.succeed())
        assert len(bench.claim("a2")) == 1

    def test_a_restart_counts_what_runs(self, bench: Bench) -> None:
        limit_queue(bench, _one_each())
        bench.submit(*(make.spec(group_key="a") for _ in range(3)))
        bench.claim()
        bench.driver.restart()
        assert bench.claim("a2") == []


class TestRates:
    """How many are started in a time."""

    def test_tokens_are_taken_and_come_back(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(rate=Rate(2, SECOND)))
        bench.submit(*(make.spec() for _ in range(6)))
        flow = Flow(bench)
        assert len(flow.hand_out(make.claim(max_tasks=9))) == 2
        waiting = make.claim("a2", max_tasks=9)
        flow.park(waiting)
        flow.group()
        assert waiting.taken == []
        assert flow.reopen == {KEY: bench.now + SECOND // 2}
        bench.now += SECOND // 2
        flow.group()
        assert len(waiting.taken) == 1

    def test_a_key_that_had_nothing_left_is_looked_at_again_when_its_tokens_are_there(
        self, bench: Bench
    ) -> None:
        limit_queue(bench, QueueLimits(rate_per_key=Rate(1, SECOND)))
        flow = Flow(bench)
        flow.park(make.claim(max_tasks=9))
        _, left = bench.submit(*(make.spec(group_key="a") for _ in range(2)))
        flow.group()
        # Its last task goes while it waits for tokens, and another comes.
        flow.group(make.cancel(left))
        waiting = make.claim("a2")
        flow.park(waiting)
        flow.group()
        flow.group(make.submit(make.spec(group_key="a")))
        assert flow.reopen == {KEY: bench.now + SECOND}
        bench.now += SECOND
        flow.group()
        assert keys_of(waiting.taken) == ["a"]

    def test_a_key_without_tokens_leaves_the_others_alone(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(rate_per_key=Rate(1, SECOND)))
        bench.submit(*(make.spec(group_key=key) for key in "aab"))
        flow = Flow(bench)
        assert keys_of(flow.hand_out(make.claim(max_tasks=9))) == ["a", "b"]
        waiting = make.claim("a2")
        flow.park(waiting)
        flow.group()
        assert flow.reopen == {KEY: bench.now + SECOND}
        bench.now += SECOND
        flow.group()
        assert keys_of(waiting.taken) == ["a"]

    def test_a_heavy_task_takes_its_units(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(rate=Rate(10, SECOND)))
        bench.submit(*(make.spec(policy=Policy(units=4)) for _ in range(6)))
        assert len(bench.claim(max_tasks=9)) == 2

    def test_a_light_task_does_not_overtake_a_heavy_one_of_its_key(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(rate_per_key=Rate(10, SECOND)))
        heavy = make.spec(policy=Policy(units=10), group_key="a", priority=9)
        bench.submit(make.spec(group_key="a"))
        assert len(bench.claim()) == 1
        bench.submit(heavy, make.spec(group_key="a"))
        assert bench.claim("a2", max_tasks=9) == []

    def test_a_restart_keeps_what_was_taken(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(rate=Rate(2, SECOND)))
        bench.submit(*(make.spec() for _ in range(6)))
        bench.claim(max_tasks=9)
        bench.driver.restart()
        assert bench.claim("a2") == []


class TestRest:
    """What an agent asks for after a provider's 429."""

    def test_a_key_rests_and_comes_back(self, bench: Bench) -> None:
        self._rests(bench, "k", key_only=True)
        assert keys_of(bench.claim("a2", max_tasks=9)) == ["other"]

    def test_tasks_without_a_key_rest_as_one(self, bench: Bench) -> None:
        self._rests(bench, "", key_only=True)
        assert keys_of(bench.claim("a2", max_tasks=9)) == ["other"]

    def test_a_plain_queue_rests_and_comes_back(self, bench: Bench) -> None:
        self._rests(bench, "", key_only=False)
        assert bench.claim("a2", max_tasks=9) == []

    def _rests(self, bench: Bench, key: str, *, key_only: bool) -> None:
        ids = bench.submit(make.spec(group_key=key), make.spec(group_key=key))
        (task,) = bench.claim()
        outcome = make.fail(retry_delay=100 * SECOND)._replace(
            back_off=10 * SECOND, key_only=key_only
        )
        flow = Flow(bench)
        claim = make.claim("a3")
        flow.park(claim)
        flow.group(make.report(task.id, task.lease_token, outcome))
        assert claim.taken == []
        assert flow.reopen == {KEY: bench.now + 10 * SECOND}
        bench.now += 10 * SECOND - 1
        flow.group()
        assert claim.taken == []
        bench.now += 1
        flow.group()
        assert [given.id for given in claim.taken] == ids[1:]
        again = make.report(ids[1], claim.taken[0].lease_token, outcome)
        bench.do(again)
        bench.submit(make.spec(group_key="other"), make.spec(group_key=key))


class TestAgeing:
    """Waiting counts."""

    def test_a_task_that_waited_long_goes_before_a_higher_priority(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(ageing=10 * SECOND))
        low = bench.one(make.spec(priority=2))
        bench.now += 39 * SECOND
        high = bench.one(make.spec(priority=5))
        higher = bench.one(make.spec(priority=6))
        bench.now += SECOND
        assert [task.id for task in bench.claim(max_tasks=3)] == [low, higher, high]

    def test_nothing_rises_above_nine(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(ageing=SECOND))
        first = bench.one(make.spec(priority=9))
        bench.now += 1
        second = bench.one(make.spec(priority=0))
        bench.now += 1000 * SECOND
        assert [task.id for task in bench.claim(max_tasks=3)] == [first, second]

    def test_without_ageing_priority_alone_decides(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(concurrency=Concurrency(100)))
        low = bench.one(make.spec(priority=2))
        bench.now += 10_000 * SECOND
        high = bench.one(make.spec(priority=3))
        assert [task.id for task in bench.claim(max_tasks=3)] == [high, low]

    def test_ageing_orders_thousands_as_sorting_them_does(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(ageing=7 * SECOND))
        for n in range(120):
            bench.one(make.spec(priority=(n * 7) % 10, name=f"n{n % 3}"))
            bench.now += (n * 13) % 5 * SECOND
        now = bench.now
        rows = [task for task in bench.driver.tasks.values() if task.state == READY]
        rows.sort(
            key=lambda t: (-min(9, t.priority + (now - t.run_at) // (7 * SECOND)), t.run_at, t.id)
        )
        taken = bench.claim(max_tasks=60) + bench.claim("a2", max_tasks=60)
        assert [task.id for task in taken] == [task.id for task in rows]


class TestPause:
    """A queue that hands out nothing."""

    def test_a_limited_queue_can_be_paused(self, bench: Bench) -> None:
        limit_queue(bench, _two())
        bench.one()
        bench.do(UpdateQueue("default", "default", True, "a rest"))
        assert bench.claim() == []
        bench.do(Sweep())
        bench.do(UpdateQueue("default", "default", False, ""))
        assert len(bench.claim()) == 1
