"""Batch claims: tasks of one name and one key, given together when there are enough or the oldest waited long."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Batch, Claim, Profile
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits, Rate

from . import make
from .bench import Bench
from .flow import KEY, Flow, keys_of, limit_queue
from .make import SECOND


def _claim(size: int = 3, linger: int = 0, agent_id: str = "a1") -> Claim:
    return make.claim(agent_id, profile=Profile("default", ("default",), None, Batch(size, linger)))


def test_a_full_batch_is_given_at_once(bench: Bench) -> None:
    ids = bench.submit(*(make.spec() for _ in range(5)))
    taken = Flow(bench).hand_out(_claim(3, 60 * SECOND))
    assert [task.id for task in taken] == ids[:3]


def test_without_linger_what_is_there_is_given(bench: Bench) -> None:
    bench.submit(*(make.spec() for _ in range(2)))
    assert len(Flow(bench).hand_out(_claim(3))) == 2


def test_a_part_of_a_batch_waits_until_the_oldest_has_waited_long_enough(bench: Bench) -> None:
    flow = Flow(bench)
    claim = _claim(3, 10 * SECOND)
    flow.park(claim)
    oldest = bench.one(make.spec(priority=1))
    bench.now += 4 * SECOND
    bench.one(make.spec(priority=9))
    flow.group()
    assert claim.taken == []
    assert flow.reopen == {KEY: bench.now + 6 * SECOND}
    bench.now += 6 * SECOND
    flow.group()
    assert [task.id for task in claim.taken][-1] == oldest
    assert len(claim.taken) == 2


def test_the_last_of_a_batch_completes_it(bench: Bench) -> None:
    for key in ("", "k"):
        flow = Flow(bench)
        claim = _claim(3, 10 * SECOND)
        flow.park(claim)
        flow.group(make.submit(make.spec(group_key=key), make.spec(group_key=key)))
        flow.group()
        assert claim.taken == []
        flow.group(make.submit(make.spec(group_key=key)))
        assert len(claim.taken) == 3


def test_a_batch_is_of_one_name_and_one_key(bench: Bench) -> None:
    bench.submit(
        *(make.spec(name=name, group_key=key) for key in ("a", "b") for name in ("x", "y")),
        make.spec(name="x", group_key="b"),
    )
    taken = Flow(bench).hand_out(_claim(2, 60 * SECOND))
    assert [(task.name, key) for task, key in zip(taken, keys_of(taken), strict=True)] == [
        ("x", "b"),
        ("x", "b"),
    ]


def test_batches_take_turns_by_key(bench: Bench) -> None:
    bench.submit(*(make.spec(group_key=key) for key in "a" * 9 + "b" * 3))
    flow = Flow(bench)
    got = [keys_of(flow.hand_out(_claim(3, agent_id=f"a{n}"))) for n in range(3)]
    assert sorted(got[:2]) == [["a"] * 3, ["b"] * 3]


def test_plain_and_batch_claims_stand_in_one_line(bench: Bench) -> None:
    flow = Flow(bench)
    plain, batch, late = make.claim("a1"), _claim(3, agent_id="a2"), make.claim("a3")
    flow.park(plain, batch, late)
    flow.group(make.submit(*(make.spec() for _ in range(5))))
    assert [len(claim.taken) for claim in (plain, batch, late)] == [1, 3, 1]


def test_a_batch_does_not_keep_its_tasks_from_plain_claims(bench: Bench) -> None:
    flow = Flow(bench)
    batch, plain = _claim(3, 60 * SECOND), make.claim("a2")
    flow.park(batch, plain)
    flow.group(make.submit(make.spec()))
    assert (batch.taken, len(plain.taken)) == ([], 1)


def test_a_batch_keeps_to_the_limits(bench: Bench) -> None:
    bench.submit(*(make.spec() for _ in range(9)))
    limit_queue(bench, QueueLimits(concurrency=Concurrency(2)))
    first = Flow(bench).hand_out(_claim(3))
    assert len(first) == 2
    limit_queue(bench, QueueLimits(rate=Rate(1, SECOND)))
    assert len(Flow(bench).hand_out(_claim(3))) == 1


def test_many_keys_without_a_batch_are_looked_at_once(bench: Bench) -> None:
    bench.submit(*(make.spec(group_key=f"k{n}") for n in range(500)))
    flow = Flow(bench)
    claim = _claim(2, 60 * SECOND)
    flow.park(claim)
    flow.group()
    assert claim.taken == []
    flow.group(make.submit(make.spec(group_key="k77")))
    assert keys_of(claim.taken) == ["k77", "k77"]
