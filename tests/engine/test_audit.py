"""What is entered in the audit log, and when; on dicts and on SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import AuditEntry
from quarterdeck_server.engine.namespaces import QuarantineRules
from quarterdeck_server.engine.states import AgentState, HoldKind

from . import make
from .bench import Bench
from .make import NOW, SECOND

WHO = c.Audit("ann", "Act", "because", "target")


def entries(bench: Bench) -> list[AuditEntry]:
    """The log, oldest first."""
    return [entry for _, entry in sorted(bench.driver.audit.items())]


def counts(bench: Bench) -> list[tuple[int, int]]:
    """How many each entry was about, and for how many it was done."""
    return [(entry.matched, entry.done) for entry in entries(bench)]


COMMANDS: dict[str, c.Command] = {
    "UpdateQueue": c.UpdateQueue("default", "q", True, "note", audit=WHO),
    "SetAgentState": c.SetAgentState("default", ["a1"], int(AgentState.DRAINING), audit=WHO),
    "PutSchedule": c.PutSchedule(make.interval("other"), audit=WHO),
    "PauseSchedule": c.PauseSchedule("default", "tick", True, audit=WHO),
    "TriggerSchedule": c.TriggerSchedule("default", "tick", audit=WHO),
    "DeleteSchedule": c.DeleteSchedule("default", "tick", audit=WHO),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_what_is_done_by_hand_is_entered(bench: Bench, command: c.Command) -> None:
    bench.group(c.PutAgents([make.agent()]), c.PutSchedule(make.interval()))
    bench.do(command)
    (entry,) = entries(bench)
    assert entry._replace(change="") == AuditEntry(
        "default", entry.id, NOW, "ann", "Act", "because", "target", "", 1, 1
    )


def test_what_is_not_done_by_hand_is_not_entered(bench: Bench) -> None:
    bench.group(c.PutAgents([make.agent()]), c.PutSchedule(make.interval()))
    bench.do(c.SetAgentState("default", ["a1"], int(AgentState.GONE)))
    bench.do(make.cancel(bench.one()))
    assert entries(bench) == []


@pytest.mark.parametrize(
    "command",
    [
        c.PauseSchedule("default", "none", True, audit=WHO),
        c.TriggerSchedule("default", "none", audit=WHO),
        c.DeleteSchedule("default", "none", audit=WHO),
        c.SetAgentState("default", ["none"], 2, audit=WHO),
    ],
)
def test_what_was_refused_is_entered_as_not_done(bench: Bench, command: c.Command) -> None:
    bench.do(command)
    assert counts(bench) == [(1, 0)]


HOLD = c.PutHold("default", int(HoldKind.TASK_NAME), "mail", "ann", "because", audit=WHO)
REPEATED: dict[str, c.Command] = {
    "UpdateQueue": COMMANDS["UpdateQueue"],
    "SetAgentState": COMMANDS["SetAgentState"],
    "PauseSchedule": COMMANDS["PauseSchedule"],
    "Freeze": HOLD._replace(kind=int(HoldKind.NAMESPACE), subject=""),
    "PutHold": HOLD,
    "UpdateNamespace": c.UpdateNamespace("default", quarantine=QuarantineRules(3), audit=WHO),
}


@pytest.mark.parametrize("command", REPEATED.values(), ids=REPEATED.keys())
def test_what_was_so_already_is_entered_as_not_done(bench: Bench, command: c.Command) -> None:
    bench.group(c.PutAgents([make.agent()]), c.PutSchedule(make.interval()))
    bench.do(command)
    bench.group(command, COMMANDS["TriggerSchedule"])
    assert counts(bench) == [(1, 1), (1, 0), (1, 1)]


def test_a_hold_for_another_reason_is_done(bench: Bench) -> None:
    bench.do(HOLD)
    bench.do(HOLD._replace(reason="another"))
    assert counts(bench) == [(1, 1), (1, 1)]


ON_TASKS: dict[str, c.Command] = {
    "PauseTasks": c.PauseTasks("default", (), "ann", "because"),
    "CancelTasks": c.Cancel("default", (), "because", "ann"),
    "UpdateTasks": c.UpdateTasks("default", (), c.TaskChange(labels=(("a", "b"),))),
}


@pytest.mark.parametrize("command", ON_TASKS.values(), ids=ON_TASKS.keys())
def test_tasks_that_were_so_already_are_not_counted(bench: Bench, command: Any) -> None:
    first, second = bench.running(), bench.running()
    bench.do(command._replace(task_ids=(first.id,)))
    both = WHO._replace(matched=2)
    bench.do(command._replace(task_ids=(first.id, second.id), audit=both))
    bench.do(command._replace(task_ids=(first.id, second.id), audit=both))
    assert counts(bench) == [(2, 1), (2, 0)]


def test_a_task_that_is_named_twice_is_counted_once(bench: Bench) -> None:
    task = bench.one()
    bench.do(cancel(task, task))
    bench.do(cancel(task, task))
    assert counts(bench) == [(2, 1), (2, 0)]


def test_a_cancelled_parent_is_counted_while_it_has_children_to_cancel(bench: Bench) -> None:
    parent = bench.running()
    bench.one(make.spec(parent_id=parent.id))
    bench.do(cancel(parent.id, keep_children=True))
    bench.do(cancel(parent.id))
    bench.do(cancel(parent.id))
    assert counts(bench) == [(1, 1), (1, 1), (1, 0)]


def cancel(*task_ids: int, **fields: Any) -> c.Cancel:
    """A cancel that is entered."""
    who = WHO._replace(matched=len(task_ids), entry_id=fields.pop("entry_id", None))
    return c.Cancel("default", task_ids, "because", "ann", audit=who, **fields)


def test_the_entry_counts_what_was_not_refused(bench: Bench) -> None:
    done = bench.running()
    bench.end(done, make.succeed())
    bench.do(cancel(bench.one(), done.id, 777, bench.one()))
    assert counts(bench) == [(4, 2)]


def test_a_repeated_request_is_entered_once(bench: Bench) -> None:
    task = bench.one()
    once = cancel(task, request=make.request("r", method="CancelTasks"))
    bench.group(once, once)
    bench.do(once)
    bench.do(cancel(task, request=make.request("r", b"other", method="CancelTasks")))
    assert counts(bench) == [(1, 1)]


def test_the_pages_of_an_act_make_one_entry(bench: Bench) -> None:
    tasks = [bench.one() for _ in range(4)]
    entry_id = bench.do(c.BeginAct("default", WHO._replace(matched=5, filter="id:*")))
    bench.pass_time(1)
    # In a group, and in one of their own.
    bench.group(cancel(tasks[0], entry_id=entry_id), cancel(tasks[1], 777, entry_id=entry_id))
    bench.do(cancel(*tasks[2:], entry_id=entry_id))
    (entry,) = entries(bench)
    assert entry == AuditEntry(
        "default", entry_id, NOW, "ann", "Act", "because", "target", "id:*", 5, 4
    )


def test_an_act_without_a_page_is_entered(bench: Bench) -> None:
    bench.do(c.BeginAct("default", WHO._replace(matched=0)))
    assert counts(bench) == [(0, 0)]


def test_nobody_is_entered_as_unknown(bench: Bench) -> None:
    bench.do(c.UpdateQueue("default", "q", True, "", audit=WHO._replace(actor="")))
    assert [entry.actor for entry in entries(bench)] == ["unknown"]


def test_a_command_that_fails_is_not_entered(bench: Bench) -> None:
    replies = bench.driver.run(
        [
            c.UpdateQueue("default", "q", True, "", audit=WHO),
            make.submit(make.spec()._replace(policy="broken")),
        ],
        make.waiting([]),
        bench.now,
    ).replies
    assert isinstance(replies[1], ValueError)
    assert counts(bench) == [(1, 1)], "its neighbour is, once"


def test_what_is_older_than_its_age_is_removed(bench: Bench) -> None:
    for _ in range(3):
        bench.do(c.UpdateQueue("default", "q", True, "", audit=WHO))
        bench.pass_time(1)
    bench.do(c.Prune(0, 0, 0, 1_000_000, audit_before=NOW + 2 * SECOND))
    assert [entry.time for entry in entries(bench)] == [NOW + 2 * SECOND]
