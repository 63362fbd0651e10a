"""Dependents of ended tasks: at once where they are few, in portions where they are not; on dicts and on SQLite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import AFTER_EXISTING, REPLACE_PENDING
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, FAILED, READY, SUCCEEDED

from . import make
from .bench import Bench
from .memory import Memory
from .sqlite import Sqlite

ENDED = Policy(all_ended=True)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck_server.store.sqlite.branches.SETTLED_AT_ONCE", 4)


def dependents(bench: Bench, on: int, number: int, policy: Policy | None = None) -> list[int]:
    """Submit tasks that wait for one."""
    return bench.submit(*(make.spec(depends_on=[on], policy=policy) for _ in range(number)))


def walk(bench: Bench, limit: int = 3) -> int:
    """Go on until nothing is left; return how many steps it took."""
    steps = 1
    while bench.do(c.Walk(limit)):
        steps += 1
        assert steps < 1000
    assert not isinstance(bench.driver, Sqlite) or not _left(bench)
    return steps


def _left(bench: Bench) -> list[tuple[int, ...]]:
    assert isinstance(bench.driver, Sqlite)
    return bench.driver.rows("SELECT task_id FROM cancel_trees")


def states(bench: Bench, ids: list[int]) -> Counter[int]:
    """How many of the tasks are in which state."""
    tasks = bench.driver.tasks
    return Counter(tasks[task_id].state for task_id in ids)


def test_few_dependents_are_settled_with_the_report(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 4)
    bench.end(task, make.succeed())
    assert states(bench, waiting) == {READY: 4}
    assert not bench.do(c.Walk())


def test_of_many_dependents_the_rest_starts_in_later_groups(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 20)
    assert bench.end(task, make.succeed()).state == SUCCEEDED
    if isinstance(bench.driver, Sqlite):
        assert states(bench, waiting) == {READY: 4, BLOCKED: 16}
        assert bench.do(c.Walk(3))
        assert states(bench, waiting) == {READY: 7, BLOCKED: 13}
        assert walk(bench) >= 5
    assert states(bench, waiting) == {READY: 20}
    assert {bench.task(i).pending for i in waiting} == {0}
    assert len(bench.claim(max_tasks=100)) == 20


def test_the_group_says_that_something_is_left(bench: Bench) -> None:
    if not isinstance(bench.driver, Sqlite):
        return
    few, many = bench.running(), bench.running()
    dependents(bench, few.id, 4)
    dependents(bench, many.id, 5)
    for task, walks in ((few, False), (many, True)):
        report = make.report(task.id, task.lease_token, make.succeed())
        assert bench.driver.run([report], make.waiting([]), bench.now).walk is walks


def test_what_waits_for_a_failure_is_cancelled_portion_by_portion_to_any_depth(
    bench: Bench,
) -> None:
    task = bench.running()
    first = dependents(bench, task.id, 11)
    second = dependents(bench, first[9], 9)
    chain = [second[-1]]
    for _ in range(9):
        chain += dependents(bench, chain[-1], 1)
    assert bench.end(task, make.fail(final=True)).state == FAILED
    walk(bench)
    everything = [*first, *second, *chain[1:]]
    assert states(bench, everything) == {CANCELLED: len(everything)}


def test_the_rest_goes_on_after_a_restart(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.succeed())
    bench.do(c.Walk(3))
    bench.driver.restart()
    walk(bench)
    assert states(bench, waiting) == {READY: 12}


def test_a_task_that_waits_for_two_of_them_starts_after_both(bench: Bench) -> None:
    first, second = bench.running(), bench.running()
    both = bench.submit(*(make.spec(depends_on=[first.id, second.id]) for _ in range(9)))
    bench.end(first, make.succeed())
    bench.do(c.Walk(2))
    bench.end(second, make.succeed())
    if isinstance(bench.driver, Sqlite):
        assert states(bench, both)[BLOCKED] > 0
    walk(bench, 2)
    assert states(bench, both) == {READY: 9}
    assert {bench.task(i).pending for i in both} == {0}


def test_an_end_and_a_step_in_one_group_count_a_dependency_once(bench: Bench) -> None:
    first, second = bench.running(), bench.running()
    both = bench.submit(*(make.spec(depends_on=[first.id, second.id]) for _ in range(9)))
    bench.end(first, make.succeed())
    bench.group(make.report(second.id, second.lease_token, make.succeed()), c.Walk(3), c.Walk(3))
    walk(bench)
    assert states(bench, both) == {READY: 9}
    assert {bench.task(i).pending for i in both} == {0}


def test_what_ended_meanwhile_stays_as_it_is(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.succeed())
    bench.do(make.cancel(*waiting[8:]))
    walk(bench)
    assert states(bench, waiting) == {READY: 8, CANCELLED: 4}


def test_what_is_submitted_meanwhile_does_not_wait(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.succeed())
    late = dependents(bench, task.id, 3)
    assert states(bench, late) == {READY: 3}
    walk(bench)
    assert states(bench, waiting + late) == {READY: 15}
    assert {bench.task(i).pending for i in late} == {0}


def test_what_still_waits_for_a_retried_task_waits_for_its_next_end(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.fail(final=True))
    bench.do(make.retry(task.id))
    walk(bench)
    left = 8 if isinstance(bench.driver, Sqlite) else 0
    assert states(bench, waiting)[BLOCKED] == left
    (again,) = bench.claim()
    bench.end(again, make.succeed())
    walk(bench)
    assert states(bench, waiting) == Counter({READY: left, CANCELLED: 12 - left})


def test_a_retry_and_a_step_in_one_group_leave_the_rest_waiting(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.fail(final=True))
    bench.group(make.retry(task.id), c.Walk(3))
    walk(bench)
    bench.do(make.cancel(task.id))
    walk(bench)
    assert states(bench, waiting) == {CANCELLED: 12}


def test_a_step_and_a_retry_in_one_group_cancel_no_more_than_the_step(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.fail(final=True))
    bench.group(c.Walk(3), make.retry(task.id))
    if isinstance(bench.driver, Sqlite):
        assert states(bench, waiting) == {CANCELLED: 7, BLOCKED: 5}
    assert bench.task(task.id).state == READY


def test_what_has_dependents_left_is_not_removed(bench: Bench) -> None:
    task = bench.running()
    waiting = dependents(bench, task.id, 12)
    bench.end(task, make.succeed())
    prune = c.Prune(bench.now + 1, bench.now + 1, 0, 1000)
    if isinstance(bench.driver, Sqlite):
        bench.do(prune)
        assert task.id in bench.driver.tasks
    walk(bench)
    bench.do(prune)
    assert task.id not in bench.driver.tasks
    assert states(bench, waiting) == {READY: 12}


def test_a_link_that_ends_in_a_chain_leaves_nobody_for_later(bench: Bench) -> None:
    first, second = bench.submit(
        *(make.spec(admission=c.Unique("k", 2, AFTER_EXISTING, 0)) for _ in range(2))
    )
    waiting = dependents(bench, second, 9, ENDED)
    (third,) = bench.submit(make.spec(admission=c.Unique("k", 2, REPLACE_PENDING, 0)))
    assert bench.task(second).state == CANCELLED and bench.task(third).state == BLOCKED
    assert states(bench, waiting) == {READY: 9}
    tasks = bench.claim(max_tasks=20)
    (running,) = (task for task in tasks if task.id == first)
    bench.end(running, make.succeed())
    assert bench.task(third).state == READY


def test_tasks_that_end_together_share_the_portion(bench: Bench) -> None:
    tasks = [bench.running() for _ in range(5)]
    waiting = [i for task in tasks for i in dependents(bench, task.id, 3)]
    bench.group(*(make.report(t.id, t.lease_token, make.succeed()) for t in tasks))
    if isinstance(bench.driver, Sqlite):
        assert states(bench, waiting) == {READY: 4, BLOCKED: 11}
    walk(bench)
    assert states(bench, waiting) == {READY: 15}


@pytest.mark.parametrize("seed", range(8))
def test_portions_come_to_what_would_have_been_settled_at_once(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    sqlite = Sqlite(tmp_path / "q.db")
    benches = [Bench(sqlite), Bench(Memory())]
    known: list[int] = []
    for _ in range(60):
        on = random.sample(known[-12:], min(len(known), random.choice((0, 1, 1, 2, 3))))
        policy = ENDED if random.random() < 0.4 else None
        spec = make.spec(depends_on=on, policy=policy)
        made = [bench.do(make.submit(spec))[0] for bench in benches]
        assert made[0].refusal == made[1].refusal
        if made[0].refusal is None:
            known.append(made[0].task_id)
    for _ in range(200):
        # Portions only delay what starts; so the same tasks are claimed once all is settled.
        walk(benches[0], random.choice((1, 3, 1000)))
        outcome = make.succeed() if random.random() < 0.6 else make.fail(final=True)
        claimed = [bench.claim(max_tasks=3) for bench in benches]
        assert [t.id for t in claimed[0]] == [t.id for t in claimed[1]]
        if not claimed[0]:
            break
        for bench, tasks in zip(benches, claimed, strict=True):
            bench.group(*(make.report(t.id, t.lease_token, outcome) for t in tasks))
    rows = [
        {i: (t.state, t.pending, t.reason) for i, t in bench.driver.tasks.items()}
        for bench in benches
    ]
    assert rows[0].keys() == rows[1].keys()
    for i, (state, pending, reason) in rows[0].items():
        other = rows[1][i]
        assert (state, reason) == (other[0], other[2])
        assert state == CANCELLED or pending == other[1] == 0
    sqlite.close()
