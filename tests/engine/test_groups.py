"""Commands that share a group see each other as if each had a transaction of its own, in their order."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, FAILED, READY, SUCCEEDED
from quarterdeck_server.engine.world import World

from . import make
from .bench import Bench

ALL_ENDED = Policy(all_ended=True)
ONCE = Policy(max_attempts=1)


def test_a_dependency_that_ended_before_its_dependent_was_made_is_not_counted_twice(
    bench: Bench,
) -> None:
    first = bench.running()
    second = bench.one()
    done = make.report(first.id, first.lease_token, make.succeed())
    _, submitted = bench.group(done, make.submit(make.spec(depends_on=(first.id, second))))
    dependent = bench.task(submitted[0].task_id)
    assert (dependent.state, dependent.pending) == (BLOCKED, 1)


def test_a_dependency_counts_once_however_often_it_ends(bench: Bench) -> None:
    first = bench.running(make.spec(policy=ONCE))
    second = bench.one()
    dependent = bench.one(make.spec(policy=ALL_ENDED, depends_on=(first.id, second)))
    bench.end(first, make.fail())
    assert bench.task(dependent).pending == 1
    bench.do(make.retry(first.id))
    again = next(task for task in bench.claim(max_tasks=2) if task.id == first.id)
    bench.end(again, make.succeed())
    assert (bench.task(dependent).state, bench.task(dependent).pending) == (BLOCKED, 1)


def test_a_retry_in_the_group_of_the_failure_still_lets_the_failure_reach_dependents(
    bench: Bench,
) -> None:
    first = bench.running(make.spec(policy=ONCE))
    dependent = bench.one(make.spec(depends_on=(first.id,)))
    bench.group(make.report(first.id, first.lease_token, make.fail()), make.retry(first.id))
    assert bench.task(first.id).state == READY
    assert bench.task(dependent).state == CANCELLED


def test_a_dependent_of_a_revived_task_waits_for_its_new_life(bench: Bench) -> None:
    first = bench.running(make.spec(policy=ONCE))
    failed = make.report(first.id, first.lease_token, make.fail())
    made = make.submit(make.spec(depends_on=(first.id,)))
    *_, submitted = bench.group(failed, make.retry(first.id), made)
    dependent = submitted[0].task_id
    assert bench.task(dependent).state == BLOCKED
    (again,) = bench.claim()
    bench.end(again, make.succeed())
    assert bench.task(dependent).state == READY


def test_a_cancel_reaches_children_submitted_in_its_own_group(bench: Bench) -> None:
    parent = bench.running()
    submitted, _ = bench.group(make.submit(make.spec(parent_id=parent.id)), make.cancel(parent.id))
    assert bench.task(submitted[0].task_id).state == CANCELLED


def test_an_item_may_depend_on_a_sibling_that_existed(bench: Bench) -> None:
    pair = (make.spec(key="k"), make.spec(depends_on=(-1,)))
    first, _ = bench.submit(*pair)
    again, dependent = bench.submit(*pair)
    assert again == first
    assert bench.task(dependent).state == BLOCKED


def test_a_report_and_the_claim_of_what_it_unblocks_share_a_group(bench: Bench) -> None:
    first = bench.running()
    dependent = bench.one(make.spec(depends_on=(first.id,)))
    claim = make.claim()
    bench.group(make.report(first.id, first.lease_token, make.succeed()), claims=[claim])
    assert [task.id for task in claim.taken] == [dependent]
    assert bench.task(first.id).state == SUCCEEDED


def test_a_failing_command_fails_alone(bench: Bench) -> None:
    broken = make.spec()._replace(policy="not JSON")
    good, bad, late = make.submit(), make.submit(broken), make.submit()
    claim = make.claim(max_tasks=3)
    replies = bench.driver.run([good, bad, late], make.waiting([claim]), bench.now).replies
    assert isinstance(replies[1], ValueError)
    ids = {replies[0][0].task_id, replies[2][0].task_id}
    assert {task.id for task in claim.taken} == ids == set(bench.driver.tasks)


def test_a_failure_cancels_dependents_to_any_depth_in_its_own_group(bench: Bench) -> None:
    first = bench.running(make.spec(policy=ONCE))
    second = bench.one(make.spec(depends_on=(first.id,)))
    third = bench.one(make.spec(depends_on=(second,)))
    last = bench.one(make.spec(policy=ALL_ENDED, depends_on=(third,)))
    assert bench.end(first, make.fail()).state == FAILED
    states = [bench.task(task_id).state for task_id in (second, third, last)]
    assert states == [CANCELLED, CANCELLED, READY]


def test_a_queue_with_many_names_is_counted_a_few_times_a_group(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Names are the producers' choice: counting the queue for each made one claim of 4,000 names take 5 s.
    bench.submit(*(make.spec(name=f"name-{number}") for number in range(50)))
    counted = []
    count = World.ready_count

    def counting(world: World, key: tuple[str, str]) -> dict[str, int]:
        counted.append(key)
        return count(world, key)

    monkeypatch.setattr(World, "ready_count", counting)
    assert len(bench.claim(max_tasks=60)) == 50
    assert len(counted) <= 4
