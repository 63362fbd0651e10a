"""The line of claims: first come, first served; expired and abandoned ones leave it."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Claim, Profile
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.submit import create
from quarterdeck_server.engine.world import World
from quarterdeck_server.runtime.line import Line

from ..engine import make
from ..engine.make import NOW

QUEUE = ("default", "default")
NAMED = Profile("default", ("default",), frozenset({"rare"}))


def _task() -> Task:
    return create(World(NOW, 0, lambda: 1, lambda: 1), "default", make.spec())


def _given(claim: Claim) -> Claim:
    claim.taken = [_task()]
    return claim


async def test_claims_stand_in_the_order_of_their_coming() -> None:
    line = Line()
    claims = [make.claim(f"a{i}") for i in range(5)]
    for claim in claims:
        line.park(claim)
    assert list(line.snapshot().profiles[make.DEFAULT]) == claims
    assert [claim.place for claim in claims] == [1, 2, 3, 4, 5]


async def test_a_claim_is_servable_only_where_something_for_it_is_ready() -> None:
    line = Line()
    line.start({QUEUE: {"work": 1}})
    line.park(make.claim(profile=NAMED))
    assert not line.servable
    line.park(make.claim())
    assert line.servable
    line.snapshot()
    assert not line.servable, "a group looks at it now"


async def test_a_queue_is_looked_at_again_while_that_serves_somebody() -> None:
    line = Line()
    line.start({QUEUE: {"work": 2}})
    first, second = make.claim("a1"), make.claim("a2")
    line.park(first)
    line.park(second)
    line.snapshot()
    line.settle([_given(first)], {}, {QUEUE: {"work": 1}})
    assert line.servable
    line.snapshot()
    line.settle([], {}, {QUEUE: {"work": 1}})
    assert not line.servable, "looking again would give the same"


async def test_a_served_claim_gets_its_tasks_and_leaves() -> None:
    line = Line()
    claim = make.claim()
    future = line.park(claim)
    line.snapshot()
    assert line.settle([_given(claim)], {}, {}) == []
    assert [task for task, _ in await future] == claim.taken and len(line) == 0


async def test_a_claim_that_expires_during_a_group_may_still_be_served_by_it() -> None:
    line = Line()
    claim = make.claim()
    future = line.park(claim)
    line.snapshot()
    line.withdraw(claim, busy=True)
    assert not future.done()
    line.settle([_given(claim)], {}, {})
    assert len(await future) == 1


async def test_a_claim_that_expires_during_a_group_that_has_nothing_gets_nothing() -> None:
    line = Line()
    known = make.claim("a1")
    future = line.park(known)
    line.snapshot()
    late = make.claim("a2")
    late_future = line.park(late)
    line.withdraw(known, busy=True)
    line.withdraw(late, busy=True)
    line.settle([], {}, {})
    assert await future == [] and not late_future.done(), "the next group may serve that one"
    line.release_expired()
    assert await late_future == []


async def test_an_abandoned_claim_that_was_served_is_an_orphan() -> None:
    line = Line()
    claim = make.claim()
    line.park(claim)
    line.snapshot()
    line.abandon(claim)
    assert line.settle([_given(claim)], {}, {}) == [claim]
    assert len(line) == 0


async def test_emptying_answers_everybody() -> None:
    line = Line()
    futures = [line.park(make.claim()), line.park(make.claim(profile=NAMED))]
    line.empty()
    assert [future.result() for future in futures] == [[], []]
    assert line.snapshot().of_queue == {}


async def test_after_a_lost_group_every_queue_is_tried_again() -> None:
    line = Line()
    line.start({QUEUE: {"work": 1}, ("default", "other"): {"work": 1}})
    line.park(make.claim())
    line.snapshot()
    line.retry()
    assert list(line.snapshot().candidates) == [QUEUE]
