"""What an operator's command changed, in the words of the audit log; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.differences import MOST_WORDS, namespace_change, task_change
from quarterdeck_server.engine.flow.holds import AGENT, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.flow.limits import CANCEL_OLDEST, Concurrency, QueueLimits, Rate
from quarterdeck_server.engine.namespaces import NO_SETTINGS, QuarantineRules, Retention

from . import make
from .bench import Bench
from .make import NOW, SECOND

WHO = c.Audit("ann", "Act")


def changes(bench: Bench) -> list[str]:
    """What the entries say, oldest first."""
    return [entry.change for _, entry in sorted(bench.driver.audit.items())]


def limit(limits: QueueLimits, *parts: str) -> c.UpdateQueue:
    """A change of some limits by hand."""
    return c.UpdateQueue("default", "q", None, "", WHO, limits, None, parts or limits._fields)


def test_a_pause_and_its_end_are_told_apart(bench: Bench) -> None:
    for paused in (True, True, False):
        bench.do(c.UpdateQueue("default", "q", paused, "note", audit=WHO))
    assert changes(bench) == ["paused", "", "resumed"]


def test_limits_are_told_from_what_to_what(bench: Bench) -> None:
    bench.do(limit(QueueLimits(Concurrency(10), rate=Rate(100, SECOND, 100), ageing=60 * SECOND)))
    bench.do(limit(QueueLimits(Concurrency(4, CANCEL_OLDEST)), "concurrency", "rate"))
    bench.do(limit(QueueLimits(weights=(("acme", 3), ("low", 2))), "weights"))
    bench.do(limit(QueueLimits(weights=(("acme", 5),)), "weights"))
    assert changes(bench) == [
        "concurrency any → 10, rate any → 100 units in 1 s, ageing never → 1 min",
        "concurrency 10 → 4 (cancel the oldest), rate 100 units in 1 s → any",
        "weight of acme 1 → 3, weight of low 1 → 2",
        "weight of acme 3 → 5, weight of low 2 → 1",
    ]


def test_what_was_refused_changed_nothing(bench: Bench) -> None:
    bench.do(limit(QueueLimits(Concurrency(10)))._replace(etag="another"))
    bench.do(c.Cancel("default", [bench.one()], "because", "ann", audit=WHO))
    assert changes(bench) == ["", ""]


def test_settings_of_a_namespace_are_told_from_what_to_what(bench: Bench) -> None:
    after = NO_SETTINGS._replace(
        retention=Retention(failed=30 * 86_400 * SECOND), quarantine=QuarantineRules(agent=5)
    )
    assert namespace_change(NO_SETTINGS, after) == (
        "failed kept as the server's → 30 d, agent held never → after 5 failures"
    )
    command = c.UpdateNamespace("default", Retention(failed=0), audit=WHO)
    bench.do(command)
    bench.do(command)
    assert changes(bench) == ["failed kept as the server's → not at all", ""]


def test_it_is_said_which_kind_of_thing_was_held_and_released(bench: Bench) -> None:
    def hold(subject: str, kind: int = TASK_NAME, *, drops: bool = False) -> c.PutHold:
        return c.PutHold("default", kind, subject, "ann", "because", drops, WHO)

    for command in (hold("x"), hold("x"), hold("x", drops=True), hold("x", AGENT)):
        bench.do(command)
    bench.do(c.ReleaseHold("default", TASK_NAME, "x", WHO))
    bench.do(c.ReleaseHold("default", TASK_NAME, "x", WHO))
    assert changes(bench) == [
        "task name held",
        "",
        "task name held, drops what arrives: no → yes",
        "agent held",
        "task name released",
        "",
    ]


def test_a_quarantine_says_what_it_is_of_and_that_somebody_took_it_over(bench: Bench) -> None:
    bench.do(c.UpdateNamespace("default", quarantine=QuarantineRules(task_name=1)))
    bench.end(bench.running(), make.fail())
    bench.do(c.PutHold("default", TASK_NAME, "work", "ann", "because", audit=WHO))
    assert changes(bench) == ["task name held", "task name held by hand"]


def test_a_freeze_says_all_by_its_name(bench: Bench) -> None:
    bench.do(c.PutHold("default", NAMESPACE, "", "ann", "because", audit=WHO))
    bench.do(c.ReleaseHold("default", NAMESPACE, "", WHO))
    assert changes(bench) == ["", ""]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (c.TaskChange(priority=9, queue="fast"), "priority 9, queue fast"),
        (c.TaskChange(delay=90 * SECOND), "starts in 1 min 30 s"),
        (c.TaskChange(run_at=NOW - SECOND), "starts at once"),
        (c.TaskChange(labels=(("a", "1"), ("b", ""))), "label a=1, no label b"),
    ],
)
def test_it_is_said_what_tasks_become(change: c.TaskChange, said: str) -> None:
    assert task_change(change, NOW) == said


def test_the_pages_of_an_update_say_once_what_it_changed(bench: Bench) -> None:
    tasks = [bench.one(), bench.one()]
    entry_id = bench.do(c.BeginAct("default", WHO._replace(matched=2, filter="id:*")))
    page = WHO._replace(matched=2, entry_id=entry_id)
    for task_id in tasks:
        bench.do(c.UpdateTasks("default", [task_id], c.TaskChange(priority=8), audit=page))
    assert changes(bench) == ["priority 8"]


def test_a_change_of_very_many_words_is_cut() -> None:
    labels = tuple((f"label-{number}", "x" * 63) for number in range(64))
    said = task_change(c.TaskChange(labels=labels), NOW)
    assert len(said) == MOST_WORDS
    assert said.endswith("…")
