"""Group keys take turns by weight, whatever each of them has in line."""

from __future__ import annotations

import contextlib
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.commands import Profile, PutHold, ReleaseHold
from quarterdeck_server.engine.flow.limits import QueueLimits
from quarterdeck_server.engine.flow.turns import Kind, Turns
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import HoldKind

from . import make
from .bench import Bench
from .flow import Flow, keys_of, limit_queue

WORK = Kind("work")


def _fill(bench: Bench, **counts: int) -> None:
    bench.submit(*(make.spec(group_key=key) for key, count in counts.items() for _ in range(count)))


class TestTurns:
    """What the hand-off makes of turns."""

    def test_a_small_key_does_not_wait_for_a_large_one(self, bench: Bench) -> None:
        _fill(bench, large=300)
        _fill(bench, small=10)
        taken = [bench.claim()[0] for _ in range(30)]
        assert Counter(keys_of(taken))["small"] == 10

    def test_one_claim_for_many_takes_turns_too(self, bench: Bench) -> None:
        _fill(bench, a=20, b=20)
        taken = keys_of(bench.claim(max_tasks=10))
        assert taken == ["a", "b"] * 5

    def test_turns_are_by_weight(self, bench: Bench) -> None:
        limit_queue(bench, QueueLimits(weights=(("heavy", 3),)))
        _fill(bench, heavy=60, light=60)
        counts = Counter(keys_of(bench.claim(max_tasks=40)))
        assert (counts["heavy"], counts["light"]) == (30, 10)

    def test_tasks_without_a_key_take_turns_as_one_key(self, bench: Bench) -> None:
        bench.submit(*(make.spec() for _ in range(20)))
        _fill(bench, a=20)
        assert Counter(keys_of(bench.claim(max_tasks=10))) == {"": 5, "a": 5}

    def test_idling_gives_no_credit(self, bench: Bench) -> None:
        _fill(bench, busy=100)
        bench.claim(max_tasks=50)
        _fill(bench, late=40)
        assert Counter(keys_of(bench.claim(max_tasks=20)))["late"] == 10

    def test_within_a_key_priority_then_time_decides_over_all_names(self, bench: Bench) -> None:
        first = bench.one(make.spec(name="one", group_key="k"))
        second = bench.one(make.spec(name="two", group_key="k", priority=9))
        third = bench.one(make.spec(name="two", group_key="k"))
        assert [task.id for task in bench.claim(max_tasks=3)] == [second, first, third]

    def test_a_claim_is_given_only_the_names_that_it_handles(self, bench: Bench) -> None:
        bench.submit(make.spec(name="other", group_key="a"), make.spec(name="mine", group_key="b"))
        flow = Flow(bench)
        claim = make.claim(
            profile=Profile("default", ("default",), frozenset(("mine",))), max_tasks=5
        )
        assert [task.name for task in flow.hand_out(claim)] == ["mine"]

    def test_a_restart_keeps_what_is_in_line(self, bench: Bench) -> None:
        _fill(bench, a=5, b=5)
        bench.claim(max_tasks=2)
        bench.driver.restart()
        assert Counter(keys_of(bench.claim(max_tasks=10))) == {"a": 4, "b": 4}

    def test_a_cancelled_task_takes_no_turn(self, bench: Bench) -> None:
        _fill(bench, a=2, b=2)
        first = min(task.id for task in bench.driver.tasks.values())
        bench.do(make.cancel(first))
        assert sorted(keys_of(bench.claim(max_tasks=9))) == ["a", "b", "b"]

    def test_a_group_that_fails_leaves_the_lines_right(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _fill(bench, a=3)
        monkeypatch.setattr("quarterdeck_server.engine.flow.claim.claimed", _fails)
        with contextlib.suppress(OSError):
            bench.claim()
        monkeypatch.undo()
        assert len(bench.claim(max_tasks=9)) == 3


def _fails(*_: object) -> Task:
    raise OSError("a bug")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=8),
    st.lists(st.integers(0, 7), min_size=1, max_size=60),
)
def test_no_key_waits_for_more_than_its_share(weights: list[int], gaps: list[int]) -> None:
    """Between two turns of a key that always has tasks, another one has no more than its weight and one allows."""
    turns = Turns()
    keys = [f"k{n}" for n in range(len(weights))]
    for key in keys:
        turns.activate(key)
        turns.enter(WORK, key)
    given_to: list[str] = []
    for _ in range(40 * len(weights)):
        place = turns.first(WORK, lambda kind, key: True)
        assert place is not None
        turns.served(place.key, weights[keys.index(place.key)])
        given_to.append(place.key)
    for key, weight in zip(keys, weights, strict=True):
        at = [n for n, got in enumerate(given_to) if got == key]
        for start, end in pairwise(at):
            between = Counter(given_to[start + 1 : end])
            for other, count in between.items():
                assert count <= weights[keys.index(other)] / weight + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), min_size=1, max_size=200))
def test_of_equal_keys_none_waits_for_more_than_all_others_once(
    arrivals: list[tuple[str, bool]],
) -> None:
    turns, left, waited = Turns(), Counter[str](), Counter[str]()
    for key, serve in arrivals:
        if not left[key]:
            turns.activate(key)
            waited[key] = 0
        left[key] += 3
        turns.enter(WORK, key)
        for _ in range(2 * serve):
            place = turns.first(WORK, lambda kind, key: left[key] > 0)
            if place is None:
                continue
            turns.served(place.key, 1)
            left[place.key] -= 1
            waited[place.key] = 0
            for other in left:
                if left[other] and other != place.key:
                    waited[other] += 1
                    assert waited[other] <= 2 * len(left)


def test_ten_tasks_beside_a_million_start_within_thirty_claims() -> None:
    turns, left = Turns(), {"large": 1_000_000, "small": 10}
    for key in left:
        turns.activate(key)
        turns.enter(WORK, key)
    given_to = []
    for _ in range(30):
        place = turns.first(WORK, lambda kind, key: left[key] > 0)
        assert place is not None
        left[place.key] -= 1
        turns.served(place.key, 1)
        given_to.append(place.key)
    assert given_to.count("small") == 10


def test_a_turn_costs_no_more_with_ten_thousand_keys() -> None:
    looked = 0

    def stays(kind: Kind, key: str) -> bool:
        nonlocal looked
        looked += 1
        return True

    turns = Turns()
    for n in range(10_000):
        turns.enter(WORK, f"k{n}")
    for _ in range(10_000):
        place = turns.first(WORK, stays)
        assert place is not None
        turns.served(place.key, 1)
    assert looked < 30_000


def test_a_held_name_gives_its_turn_to_others(bench: Bench) -> None:
    bench.submit(make.spec(name="held", group_key="a"), make.spec(group_key="b"))
    hold = PutHold("default", int(HoldKind.TASK_NAME), "held", "tester", "a test")
    bench.do(hold)
    flow = Flow(bench)
    claim = make.claim("a2")
    assert keys_of(bench.claim(max_tasks=9)) == ["b"]
    flow.park(claim)
    flow.group()
    assert claim.taken == []
    flow.group(ReleaseHold("default", int(HoldKind.TASK_NAME), "held"))
    assert keys_of(claim.taken) == ["a"]


def test_a_held_agent_is_passed_over(bench: Bench) -> None:
    flow = Flow(bench)
    held, free = make.claim("bad"), make.claim("good")
    flow.park(held, free)
    hold = PutHold("default", int(HoldKind.AGENT), "bad", "tester", "a test")
    flow.group(hold, make.submit(make.spec(group_key="a"), make.spec(group_key="b")))
    assert (held.taken, keys_of(free.taken)) == ([], ["a"])
