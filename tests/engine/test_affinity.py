"""Tasks go to the agents that have their labels, and to those that they prefer first."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Profile, PutAgents, Sweep
from quarterdeck_server.engine.flow.affinity import relax_at
from quarterdeck_server.engine.flow.lane import LaneKey, lane_of
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.engine.policy import Policy

from . import make
from .bench import Bench
from .flow import Flow, limit_queue
from .make import SECOND

GPU = ("gpu", "a100")
EU = ("region", "eu")
PREFERS_EU = Policy(preferred=(EU,), patience=5 * SECOND)


def test_only_an_agent_with_all_labels_is_given_the_task(bench: Bench) -> None:
    task_id = bench.one(make.spec(needs=(GPU, EU)))
    flow = Flow(bench)
    agents = [make.claim("plain"), make.claim("gpu", labels=(GPU,)), make.claim("eu", labels=(EU,))]
    assert flow.hand_out(*agents) == []
    both = make.claim("both", labels=(GPU, EU, ("zone", "b")))
    assert [task.id for task in flow.hand_out(both)] == [task_id]


def test_a_claim_that_waits_is_given_a_task_for_its_labels_at_once(bench: Bench) -> None:
    flow = Flow(bench)
    first, second = make.claim("plain"), make.claim("gpu", labels=(GPU,))
    flow.park(first, second)
    flow.group(make.submit(make.spec(needs=(GPU,))))
    assert (first.taken, len(second.taken)) == ([], 1)


def test_open_and_labelled_tasks_stand_in_one_order(bench: Bench) -> None:
    first = bench.one(make.spec())
    second = bench.one(make.spec(needs=(GPU,), priority=9))
    third = bench.one(make.spec(needs=(GPU,)))
    flow = Flow(bench)
    taken = flow.hand_out(make.claim("gpu", max_tasks=3, labels=(GPU,)))
    assert [task.id for task in taken] == [second, first, third]


def test_a_long_wait_of_others_does_not_keep_a_match_waiting(bench: Bench) -> None:
    flow = Flow(bench)
    flow.park(*(make.claim(f"a{n}") for n in range(50)))
    matching = make.claim("gpu", labels=(GPU,))
    flow.park(matching)
    flow.group(make.submit(make.spec(needs=(GPU,))))
    assert len(matching.taken) == 1


def test_a_name_that_the_agent_does_not_handle_is_not_given(bench: Bench) -> None:
    bench.one(make.spec(name="other", needs=(GPU,)))
    profile = Profile("default", ("default",), frozenset(("mine",)))
    claim = make.claim("gpu", profile=profile, labels=(GPU,))
    assert Flow(bench).hand_out(claim) == []


def test_a_preferred_agent_is_waited_for(bench: Bench) -> None:
    bench.one(make.spec(policy=PREFERS_EU))
    flow = Flow(bench)
    other, liked = make.claim("other"), make.claim("liked", labels=(EU,))
    flow.park(other)
    flow.group()
    assert other.taken == []
    flow.park(liked)
    flow.group()
    assert (other.taken, len(liked.taken)) == ([], 1)


def test_when_patience_is_over_any_agent_will_do(bench: Bench) -> None:
    task_id = bench.one(make.spec(policy=PREFERS_EU))
    flow = Flow(bench)
    other = make.claim("other")
    flow.park(other)
    flow.group()
    assert bench.task(task_id).wake_at == bench.now + 5 * SECOND
    bench.now += 5 * SECOND
    flow.group(Sweep())
    assert [task.id for task in other.taken] == [task_id]


def test_what_is_required_stays_when_patience_is_over(bench: Bench) -> None:
    policy = Policy(required=(GPU,), preferred=(EU,), patience=SECOND)
    task_id = bench.one(make.spec(policy=policy, needs=(GPU,)))
    bench.pass_time(1)
    task = bench.task(task_id)
    assert lane_of(task.lane) == LaneKey("", (GPU,), None)
    assert (relax_at(task), task.wake_at) == (None, None)
    flow = Flow(bench)
    assert flow.hand_out(make.claim("other")) == []
    assert len(flow.hand_out(make.claim("gpu", labels=(GPU,)))) == 1


def test_a_task_goes_back_to_the_agent_of_an_earlier_one(bench: Bench) -> None:
    bench.do(PutAgents([make.agent("warm"), make.agent("cold")]))
    bench.one()
    (earlier,) = bench.claim("warm")
    again = bench.one(make.spec(policy=Policy(same_agent_as=earlier.id)))
    flow = Flow(bench)
    cold, warm = make.claim("cold"), make.claim("warm")
    flow.park(cold)
    flow.group()
    flow.park(warm)
    flow.group()
    assert (cold.taken, [task.id for task in warm.taken]) == ([], [again])


def test_ten_thousand_distinct_agents_cost_nothing(bench: Bench) -> None:
    """Each of many idle agents has labels of its own: a task for one of them visits that one."""
    flow = Flow(bench)
    claims = [make.claim(f"a{n}", labels=(("host", f"h{n}"),)) for n in range(2000)]
    flow.park(*claims)
    flow.group()
    flow.group(make.submit(make.spec(needs=(("host", "h1234"),))))
    assert [claim.agent_id for claim in claims if claim.taken] == ["a1234"]


def test_labels_and_limits_hold_together(bench: Bench) -> None:
    limit_queue(bench, QueueLimits(concurrency_per_key=Concurrency(1)))
    bench.submit(*(make.spec(needs=(GPU,), group_key="k") for _ in range(3)))
    flow = Flow(bench)
    taken = flow.hand_out(make.claim("gpu", max_tasks=9, labels=(GPU,)))
    assert len(taken) == 1
    bench.end(taken[0], make.succeed())
    assert len(flow.hand_out(make.claim("gpu", max_tasks=9, labels=(GPU,)))) == 1
