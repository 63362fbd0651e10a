"""What is held, by hand and by rule; on dicts and on SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.flow import holds as h
from quarterdeck_server.engine.flow import quarantine
from quarterdeck_server.engine.flow.quarantine import Streaks
from quarterdeck_server.engine.model import Hold, Task
from quarterdeck_server.engine.namespaces import QuarantineRules
from quarterdeck_server.engine.states import READY, RUNNING

from . import make
from .bench import Bench
from .make import NOW
from .sqlite import Sqlite

NAMESPACE, NAME, AGENT, VERSION = h.NAMESPACE, h.TASK_NAME, h.AGENT, h.AGENT_VERSION


def put(kind: int, subject: str = "", **more: Any) -> c.PutHold:
    """A hold by hand in the default namespace."""
    return c.PutHold("default", kind, subject, "ann", "because", **more)


def release(kind: int, subject: str = "") -> c.ReleaseHold:
    """Its release."""
    return c.ReleaseHold("default", kind, subject)


def rules(**limits: int) -> c.UpdateNamespace:
    """Rules of quarantine for the default namespace."""
    return c.UpdateNamespace("default", quarantine=QuarantineRules(**limits))


def attempt(bench: Bench, outcome: Any, agent_id: str = "a1", name: str = "work") -> Task:
    """One attempt of a new task, with its end."""
    bench.one(make.spec(name=name))
    (task,) = bench.claim(agent_id)
    return bench.end(task, outcome)


def held(bench: Bench) -> list[tuple[int, str]]:
    """What is held."""
    return [key[1:] for key in bench.driver.holds]


class TestAsking:
    """Pure questions."""

    def test_what_is_held_is_found_by_what_is_asked(self) -> None:
        rows = [
            Hold("ns", kind, subject, 0, "ann", "", 0, NOW, 1)
            for kind, subject in ((NAME, "mail"), (AGENT, "a1"), (VERSION, "worker@2"))
        ]
        holds = {row[:3]: row for row in rows}
        mail, one, version = rows
        assert h.frozen(holds, "ns") is None
        assert h.name_held(holds, "ns", "mail") is mail
        assert h.name_held(holds, "other", "mail") is None
        assert h.agent_held(holds, "ns", "a1", "worker", "1") is one
        assert h.agent_held(holds, "ns", "a2", "worker", "2") is version
        assert h.agent_held(holds, "ns", "a2", "worker", "1") is None

    def test_a_frozen_namespace_hands_out_no_name(self) -> None:
        mail = Hold("ns", NAME, "mail", 0, "ann", "", 0, NOW, 1)
        freeze = Hold("ns", NAMESPACE, "", 0, "ann", "", 0, NOW, 2)
        counts = {"mail": 2, "work": 3}
        assert h.handed_out({mail[:3]: mail}, "ns", counts) == {"work": 3}
        assert h.handed_out({freeze[:3]: freeze}, "ns", counts) == {}
        assert h.handed_out({freeze[:3]: freeze}, "other", counts) == counts


class TestByHand:
    """Commands."""

    def test_a_freeze_is_in_force_in_its_own_group(self, bench: Bench) -> None:
        bench.one()
        claim = make.claim()
        bench.group(put(NAMESPACE), claims=[claim])
        assert claim.taken == []
        bench.group(release(NAMESPACE), claims=[claim])
        assert len(claim.taken) == 1

    def test_a_release_looks_at_claims_of_queues_that_nothing_else_touched(
        self, bench: Bench
    ) -> None:
        bench.one(make.spec(name="mail"))
        bench.do(put(NAME, "mail"))
        if isinstance(bench.driver, Sqlite):
            bench.driver.restart()
        claim = make.claim()
        line = make.waiting([claim])
        unlooked = type(line)(line.profiles, line.of_queue, ())
        bench.driver.run([release(NAME, "mail")], unlooked, bench.now)
        assert [task.name for task in claim.taken] == ["mail"]

    def test_a_held_agent_leaves_the_work_to_the_next(self, bench: Bench) -> None:
        bench.group(put(AGENT, "a1"), put(VERSION, "w@2"))
        bench.one()
        first, second, third = (make.claim(f"a{n}", place=n) for n in (1, 2, 3))
        second.agent_version = "w@2"
        bench.group(claims=[first, second, third])
        assert [len(claim.taken) for claim in (first, second, third)] == [0, 0, 1]

    def test_a_freeze_keeps_its_first_word(self, bench: Bench) -> None:
        first = bench.do(put(NAMESPACE))
        again = bench.do(c.PutHold("default", NAMESPACE, "", "bob", "me too"))
        assert again == first

    def test_a_hold_by_hand_takes_the_place_of_a_quarantine(self, bench: Bench) -> None:
        bench.do(rules(task_name=1))
        attempt(bench, make.fail())
        assert bench.driver.holds["default", NAME, "work"].quarantined
        row = bench.do(put(NAME, "work", drops=True))
        assert (row.quarantined, row.drops, row.actor) == (0, 1, "ann")
        assert bench.driver.holds["default", NAME, "work"] == row

    def test_what_is_not_held_cannot_be_released(self, bench: Bench) -> None:
        reply = bench.do(release(NAME, "mail"))
        assert isinstance(reply, c.Refusal) and reply.reason == "HOLD_NOT_FOUND"

    def test_a_namespace_has_a_limit_of_holds(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(h, "MAX_HOLDS", 2)
        bench.group(put(NAME, "a"), put(NAME, "b"))
        reply = bench.do(put(NAME, "c"))
        assert isinstance(reply, c.Refusal) and reply.reason == "LIMIT_EXCEEDED"
        assert isinstance(bench.do(put(NAME, "b")), Hold), "one that is there may be changed"
        other = c.PutHold("other", NAME, "c", "ann", "")
        assert isinstance(bench.do(other), Hold), "of another namespace"

    def test_the_hold_of_an_agent_goes_with_its_row(self, bench: Bench) -> None:
        bench.group(c.PutAgents([make.agent("a1", state=4)]), put(AGENT, "a1"), put(AGENT, "a2"))
        bench.pass_time(10)
        bench.do(c.Prune(bench.now, bench.now, 0, 10))
        assert held(bench) == [(AGENT, "a2")]

    def test_a_failed_group_holds_nothing(self, bench: Bench) -> None:
        wrong: Any = c.PutAgents([None])  # type: ignore[list-item]
        replies = bench.driver.run([wrong], make.waiting([make.claim()]), bench.now).replies
        assert isinstance(replies[0], Exception)
        bench.one()
        assert held(bench) == []
        assert bench.claim()


class TestByRule:
    """Quarantine."""

    def test_without_rules_nothing_is_held(self, bench: Bench) -> None:
        for _ in range(5):
            attempt(bench, make.fail(final=True))
        assert held(bench) == []

    def test_a_name_is_held_after_so_many_failures_in_a_row(self, bench: Bench) -> None:
        bench.do(rules(task_name=3))
        for _ in range(2):
            attempt(bench, make.fail(final=True))
        assert held(bench) == []
        attempt(bench, make.fail("KeyError", final=True))
        (row,) = bench.driver.holds.values()
        assert row[:5] == ("default", NAME, "work", 1, "server")
        assert "3 failed" in row.reason and "KeyError: it went wrong" in row.reason
        (entry,) = bench.driver.audit.values()
        assert (entry.actor, entry.action, entry.target) == ("server", "Quarantine", "work")
        waiting = bench.one()
        assert bench.claim() == [] and bench.task(waiting).state == READY
        attempt(bench, make.succeed(), name="other")

    def test_it_is_not_handed_out_in_the_very_group(self, bench: Bench) -> None:
        bench.do(rules(task_name=1))
        task = bench.running()
        claim = make.claim("a2")
        bench.one()
        bench.group(make.report(task.id, task.lease_token, make.fail()), claims=[claim])
        assert claim.taken == []

    def test_a_success_ends_the_row(self, bench: Bench) -> None:
        bench.do(rules(task_name=2))
        for outcome in (make.fail(), make.succeed(), make.fail()):
            attempt(bench, outcome)
            bench.pass_time(3600)
            for task in bench.claim(max_tasks=10):
                bench.end(task, make.succeed())
        assert held(bench) == []

    def test_cancelled_and_released_attempts_count_neither_way(self, bench: Bench) -> None:
        bench.do(rules(task_name=2))
        attempt(bench, make.fail(final=True))
        task = bench.running()
        bench.do(make.cancel(task.id))
        bench.end(task, make.fail())
        attempt(bench, c.StopCancelled("given up"))
        task = bench.running()
        bench.end(task, c.Release("not now"))
        bench.do(make.cancel(task.id))
        assert held(bench) == []
        attempt(bench, make.fail(final=True))
        assert held(bench) == [(NAME, "work")]

    def test_a_lost_attempt_counts(self, bench: Bench) -> None:
        bench.do(rules(agent=1))
        task = bench.running()
        bench.do(c.Expire([(task.id, task.lease_token or 0)]))
        (row,) = bench.driver.holds.values()
        assert row[1:3] == (AGENT, "a1") and "LEASE_LOST" in row.reason
        assert bench.claim("a1") == []
        assert len(bench.claim("a2")) == 1

    def test_a_version_is_held_for_all_its_agents(self, bench: Bench) -> None:
        agents = [make.agent(f"a{n}")._replace(name="w", version="7") for n in (1, 2)]
        bench.group(rules(agent_version=2), c.PutAgents(agents))
        for row in agents:
            attempt(bench, make.fail(final=True), agent_id=row.id, name=f"of-{row.id}")
        assert held(bench) == [(VERSION, "w@7")]

    def test_an_agent_without_a_row_has_no_version(self, bench: Bench) -> None:
        bench.do(rules(agent_version=1))
        attempt(bench, make.fail(final=True))
        assert held(bench) == []

    def test_a_late_report_is_no_failure_of_its_own(self, bench: Bench) -> None:
        bench.do(rules(task_name=2))
        task = bench.running()
        bench.do(c.Expire([(task.id, task.lease_token or 0)]))
        for _ in range(3):
            bench.do(make.report(task.id, task.lease_token, make.fail()))
        assert held(bench) == []

    def test_after_a_release_the_row_begins_anew(self, bench: Bench) -> None:
        bench.do(rules(task_name=2))
        first, second = bench.running(), bench.running()
        for _ in range(2):
            attempt(bench, make.fail(final=True))
        assert held(bench) == [(NAME, "work")]
        bench.end(first, make.fail(final=True))
        bench.do(release(NAME, "work"))
        bench.end(second, make.fail(final=True))
        assert held(bench) == []
        attempt(bench, make.fail(final=True))
        assert held(bench) == [(NAME, "work")]

    def test_other_rules_begin_anew(self, bench: Bench) -> None:
        bench.do(rules(task_name=2))
        attempt(bench, make.fail(final=True))
        bench.do(rules(task_name=3))
        for _ in range(2):
            attempt(bench, make.fail(final=True))
        assert held(bench) == []
        bench.do(rules())
        for _ in range(5):
            attempt(bench, make.fail(final=True))
        assert held(bench) == []

    def test_a_long_error_is_cut(self, bench: Bench) -> None:
        bench.do(rules(task_name=1))
        failure = make.fail().failure._replace(message="x" * 9000)
        attempt(bench, c.Fail(failure))
        (row,) = bench.driver.holds.values()
        assert "x" * 256 in row.reason and "x" * 257 not in row.reason

    def test_what_runs_when_its_name_is_held_goes_on(self, bench: Bench) -> None:
        bench.do(rules(task_name=1))
        running = bench.running()
        attempt(bench, make.fail())
        assert bench.task(running.id).state == RUNNING
        bench.end(running, make.succeed())

    def test_the_counted_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quarantine, "MAX_SUBJECTS", 2)
        streaks = Streaks()
        keys = [("default", NAME, name) for name in "abc"]
        streaks.update({keys[0]: 1, keys[1]: 1})
        streaks.update({keys[0]: 2})
        streaks.update({keys[2]: 1, ("default", AGENT, "a1"): 1})
        assert [streaks.get(key) for key in keys] == [2, 0, 1]
        assert len(streaks) == 3
        streaks.forget("default")
        assert len(streaks) == 0
