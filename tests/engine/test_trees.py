"""Cancels of trees: at once where they are small, step by step where they are not; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import cancellation_of
from quarterdeck_server.engine.states import CANCELLED, READY, RUNNING, SUCCEEDED
from quarterdeck_server.store.sqlite.queries import load_queries

from . import make
from .bench import Bench
from .sqlite import Sqlite


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck_server.store.sqlite.load.AT_ONCE", 5)


def children(bench: Bench, parent: int, count: int) -> list[int]:
    """Submit tasks below another."""
    return bench.submit(*(make.spec(parent_id=parent) for _ in range(count)))


def walk(bench: Bench, limit: int = 3) -> int:
    """Go on until nothing is left; return how many steps it took."""
    steps = 1
    while bench.do(c.Walk(limit)):
        steps += 1
        assert steps < 1000
    return steps


def states(bench: Bench, ids: list[int]) -> set[int]:
    """The states of tasks."""
    return {bench.task(task_id).state for task_id in ids}


def nothing_is_left(bench: Bench) -> bool:
    """No tree is kept that was walked."""
    driver = bench.driver
    return not isinstance(driver, Sqlite) or not driver.rows("SELECT * FROM cancel_trees")


def test_a_small_tree_is_cancelled_at_once(bench: Bench) -> None:
    root = bench.one()
    below = children(bench, root, 4)
    below += children(bench, below[0], 1)
    bench.do(make.cancel(root))
    assert states(bench, [root, *below]) == {CANCELLED}
    assert nothing_is_left(bench)


def test_many_roots_with_parents_of_their_own_are_no_large_tree(bench: Bench) -> None:
    root = bench.one()
    below = children(bench, root, 9)
    bench.do(make.cancel(*below))
    assert states(bench, below) == {CANCELLED} and bench.task(root).state == READY
    assert nothing_is_left(bench)


def test_a_large_tree_is_cancelled_step_by_step(bench: Bench) -> None:
    root = bench.one()
    first = children(bench, root, 7)
    second = children(bench, first[3], 8)
    chain = [second[-1]]
    for _ in range(9):
        chain += children(bench, chain[-1], 1)
    (result,) = bench.do(make.cancel(root))
    assert result == c.ItemResult(CANCELLED) and bench.task(root).state == CANCELLED
    steps = walk(bench)
    assert states(bench, [root, *first, *second, *chain]) == {CANCELLED}
    if isinstance(bench.driver, Sqlite):
        assert steps >= 8, "a step is bounded"
    assert nothing_is_left(bench)
    last = cancellation_of(bench.task(chain[-1]))
    assert last is not None and (last.actor, last.reason) == ("tester", "not needed")


def test_a_walk_goes_on_after_a_restart(bench: Bench) -> None:
    root = bench.one()
    below = children(bench, root, 20)
    bench.do(make.cancel(root))
    bench.do(c.Walk(3))
    if isinstance(bench.driver, Sqlite):
        assert states(bench, below) == {CANCELLED, READY}
        bench.driver.restart()
    walk(bench)
    assert states(bench, below) == {CANCELLED}


def test_what_was_put_back_stays_in_line(bench: Bench) -> None:
    root = bench.one()
    below = children(bench, root, 12)
    bench.do(make.cancel(root))
    bench.do(c.Walk(3))
    bench.do(make.retry(below[0]))
    walk(bench)
    assert bench.task(below[0]).state == READY
    assert states(bench, below[1:]) == {CANCELLED}


def test_parents_in_a_circle_are_walked_once(bench: Bench) -> None:
    first = bench.one()
    (second,) = children(bench, first, 1)
    below = children(bench, first, 9)
    if isinstance(bench.driver, Sqlite):
        # Such rows are of a time when any parent could be named.
        sql = "UPDATE tasks SET parent_id = ? WHERE id = ?"
        bench.driver.connection.execute(sql, (second, first))
    bench.do(make.cancel(first))
    walk(bench)
    assert states(bench, [first, second, *below]) == {CANCELLED}
    assert nothing_is_left(bench)


def test_a_chain_that_is_named_whole_is_walked_once(bench: Bench) -> None:
    chain = [bench.one()]
    for _ in range(8):
        chain += children(bench, chain[-1], 1)
    children(bench, chain[-1], 9)
    bench.do(make.cancel(*chain))
    if isinstance(bench.driver, Sqlite):
        assert bench.driver.rows("SELECT root_id FROM cancel_trees") == [(chain[0],)]
    walk(bench)
    assert states(bench, list(bench.driver.tasks)) == {CANCELLED}


def test_ended_children_are_left_alone_and_running_ones_are_told(bench: Bench) -> None:
    root = bench.running()
    below = children(bench, root.id, 8)
    done, busy = bench.claim(max_tasks=2)
    bench.end(done, make.succeed())
    bench.do(make.cancel(root.id))
    walk(bench)
    assert bench.task(done.id).state == SUCCEEDED
    assert bench.task(busy.id).state == RUNNING and bench.task(busy.id).cancel is not None
    assert states(bench, [i for i in below if i not in (done.id, busy.id)]) == {CANCELLED}


def test_the_children_of_an_ended_root_are_cancelled_too(bench: Bench) -> None:
    root = bench.running()
    below = children(bench, root.id, 8)
    bench.end(root, make.succeed())
    (result,) = bench.do(make.cancel(root.id))
    assert result == c.ItemResult(SUCCEEDED)
    walk(bench)
    assert states(bench, below) == {CANCELLED}


def test_what_is_asked_for_again_is_walked_again(bench: Bench) -> None:
    root = bench.one()
    below = children(bench, root, 12)
    bench.do(make.cancel(root))
    bench.do(c.Walk(9))
    bench.do(make.retry(*below[:4]))
    bench.do(make.cancel(root))
    walk(bench)
    assert states(bench, below) == {CANCELLED}


def test_children_are_found_by_their_index(bench: Bench) -> None:
    if not isinstance(bench.driver, Sqlite):
        return
    query = load_queries()["children_after"]
    plan = bench.driver.rows(f"EXPLAIN QUERY PLAN {query}", 1, "default", 0, 1000)
    text = " ".join(row[3] for row in plan)
    assert "tasks_parent" in text and "TEMP B-TREE" not in text


class TestParents:
    """Who names a parent is its child."""

    def test_an_unknown_parent_is_refused(self, bench: Bench) -> None:
        root = bench.one()
        (item,) = bench.do(make.submit(make.spec(parent_id=root + 7)))
        assert item.refusal.reason == "TASK_NOT_FOUND"
        (item,) = bench.do(c.Submit("other", [make.spec(parent_id=root)]))
        assert item.refusal.reason == "TASK_NOT_FOUND"

    @pytest.mark.parametrize("running", [True, False])
    def test_a_child_that_comes_after_the_cancel_is_cancelled_too(
        self, bench: Bench, running: bool
    ) -> None:
        parent = bench.running().id if running else bench.one()
        bench.do(c.Cancel("default", [parent], "too much", "ann"))
        child = bench.task(bench.one(make.spec(parent_id=parent)))
        assert child.state == CANCELLED and child.cancel is not None and "too much" in child.cancel

    def test_a_cancel_of_the_parent_alone_leaves_its_children(self, bench: Bench) -> None:
        parent = bench.running()
        bench.do(c.Cancel("default", [parent.id], "", "", keep_children=True))
        assert bench.task(bench.one(make.spec(parent_id=parent.id))).state == READY

    def test_a_cancel_that_lost_cancels_no_children(self, bench: Bench) -> None:
        parent = bench.running()
        bench.do(make.cancel(parent.id))
        assert bench.end(parent, make.succeed()).state == SUCCEEDED
        assert bench.task(bench.one(make.spec(parent_id=parent.id))).state == READY
