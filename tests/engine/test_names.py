"""A queue keeps tasks of so many names: each costs every claim a look."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.flow import names

from . import make
from .bench import Bench


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three names are the most."""
    monkeypatch.setattr(names, "MOST_NAMES", 3)


def reasons(replies: list[c.Submitted]) -> list[str]:
    """Why the items of a submit were refused."""
    return ["" if item.refusal is None else item.refusal.reason for item in replies]


def test_one_name_too_many_is_refused_and_leaves_its_neighbours_alone(bench: Bench) -> None:
    specs = [make.spec(name=name) for name in "abcda"]
    assert reasons(bench.do(make.submit(*specs))) == ["", "", "", "LIMIT_EXCEEDED", ""]
    again = bench.do(make.submit(make.spec(name="e"), make.spec(name="c")))
    assert reasons(again) == ["LIMIT_EXCEEDED", ""]
    assert again[0].refusal.metadata == (("limit", "3"), ("queue", "default"))


def test_other_queues_have_names_of_their_own(bench: Bench) -> None:
    bench.do(make.submit(*(make.spec(name=name) for name in "abc")))
    assert reasons(bench.do(make.submit(make.spec(name="d", queue="other")))) == [""]


def test_a_task_is_not_moved_to_a_queue_that_has_its_names(bench: Bench) -> None:
    bench.do(make.submit(*(make.spec(name=name) for name in "abc")))
    (known, new) = bench.do(
        make.submit(make.spec(name="a", queue="other"), make.spec(name="d", queue="other"))
    )
    change = c.TaskChange(queue="default")
    ids = [known.task_id, new.task_id]
    moved = bench.do(c.UpdateTasks("default", ids, change))
    assert [item.refusal and item.refusal.reason for item in moved] == [None, "LIMIT_EXCEEDED"]
    assert [bench.task(task_id).queue for task_id in ids] == ["default", "other"]
