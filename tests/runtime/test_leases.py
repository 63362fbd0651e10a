"""Leases live by the monotonic clock alone, and never die of the server's own absence."""

from __future__ import annotations

import asyncio

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine import pause_transitions, transitions
from quarterdeck_server.engine.changes import TASK, UPDATED, Change
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.submit import create
from quarterdeck_server.engine.world import World
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.leases import LeaseTable

from ..engine import make
from ..engine.make import NOW

TERM = 30.0


@pytest.fixture
def table(clock: ManualClock) -> LeaseTable:
    """An empty table with a term of 30 s."""
    return LeaseTable(clock, TERM)


def _running(token: int = 7, agent_id: str = "a1", task_id: int = 1) -> Task:
    world = World(NOW, 0, lambda: task_id, lambda: token)
    return transitions.claimed(create(world, "default", make.spec()), agent_id, token, NOW)


def _apply(table: LeaseTable, *tasks: Task) -> None:
    table.apply([Change(1, TASK, UPDATED, NOW, task) for task in tasks])


def _wait(clock: ManualClock, table: LeaseTable, seconds: float) -> list[tuple[int, int]]:
    """Let time pass while the table is looked at often, as a server that is well does."""
    found: list[tuple[int, int]] = []
    steps = round(seconds * 2)
    for _ in range(steps):
        clock.advance(seconds / steps)
        found = table.overdue()
    return found


def test_a_lease_that_nobody_renews_ends_after_its_term(
    clock: ManualClock, table: LeaseTable
) -> None:
    _apply(table, _running())
    assert _wait(clock, table, TERM - 0.5) == []
    assert _wait(clock, table, 0.5) == [(1, 7)]


def test_a_renewed_lease_lasts_a_whole_term_from_then(
    clock: ManualClock, table: LeaseTable
) -> None:
    _apply(table, _running())
    for _ in range(5):
        assert _wait(clock, table, TERM - 1) == []
        assert table.renew(1, 7) is not None
    assert _wait(clock, table, TERM) == [(1, 7)]


def test_only_the_token_renews(clock: ManualClock, table: LeaseTable) -> None:
    _apply(table, _running())
    assert table.renew(1, 8) is None and table.renew(2, 7) is None
    assert _wait(clock, table, TERM) == [(1, 7)]


@pytest.mark.parametrize("jump", [-86_400.0, -3600.0, 3600.0, 86_400.0])
def test_a_jump_of_the_wall_clock_ends_no_lease_and_keeps_none_alive(
    clock: ManualClock, table: LeaseTable, jump: float
) -> None:
    _apply(table, _running())
    clock.jump(jump)
    assert table.overdue() == []
    assert _wait(clock, table, TERM - 0.5) == []
    assert _wait(clock, table, 0.5) == [(1, 7)]


@pytest.mark.parametrize("stall", [TERM * 0.6, TERM, TERM * 2, TERM * 100])
def test_a_stall_of_the_server_ends_no_lease(
    clock: ManualClock, table: LeaseTable, stall: float
) -> None:
    _apply(table, _running())
    _wait(clock, table, 10)
    clock.advance(stall)
    assert table.overdue() == []
    assert _wait(clock, table, TERM - 10.5) == []
    assert _wait(clock, table, 0.5) == [(1, 7)]


def test_a_lease_that_begins_after_a_stall_is_not_kept_by_those_that_outlast_it(
    clock: ManualClock, table: LeaseTable
) -> None:
    _apply(table, _running())
    clock.advance(TERM * 100)
    # Its heartbeat was read before the server looked at the time.
    assert table.renew(1, 7) is not None
    assert table.overdue() == []
    _apply(table, _running(token=8, task_id=2))
    assert _wait(clock, table, TERM - 0.5) == []
    assert _wait(clock, table, 0.5) == [(2, 8)]


def test_every_lease_ends_at_its_own_time(clock: ManualClock, table: LeaseTable) -> None:
    _apply(table, _running())
    _wait(clock, table, 10)
    _apply(table, _running(token=8, task_id=2))
    assert _wait(clock, table, TERM - 10) == [(1, 7)]
    table.apply([Change(2, TASK, UPDATED, NOW, _running()._replace(state=6))])
    assert _wait(clock, table, 9.5) == []
    assert _wait(clock, table, 0.5) == [(2, 8)]


def test_a_restart_gives_every_lease_a_whole_term(clock: ManualClock, table: LeaseTable) -> None:
    table.start([_running(), _running(token=8, task_id=2)])
    assert _wait(clock, table, TERM - 0.5) == []
    assert _wait(clock, table, 0.5) == [(1, 7), (2, 8)]


def test_the_next_attempt_has_a_lease_of_its_own(clock: ManualClock, table: LeaseTable) -> None:
    first = _running()
    _apply(table, first)
    _wait(clock, table, 20)
    _apply(table, transitions.released(first, NOW).task, _running(token=8, agent_id="a2"))
    assert table.renew(1, 7) is None
    assert table.held("default", "a1") == []
    assert [lease.token for lease in table.held("default", "a2")] == [8]
    assert _wait(clock, table, TERM - 0.5) == []


def test_an_ended_attempt_has_no_lease(clock: ManualClock, table: LeaseTable) -> None:
    task = _running()
    _apply(table, task)
    _apply(table, transitions.succeeded(task, NOW).task)
    assert len(table) == 0 and table.renew(1, 7) is None
    assert _wait(clock, table, TERM * 2) == []


async def test_a_cancel_wakes_the_waiting_heartbeat_of_its_agent_alone(table: LeaseTable) -> None:
    task = _running()
    _apply(table, task, _running(token=8, agent_id="a2", task_id=2))
    mine = asyncio.create_task(table.wait_directive("default", "a1", 60))
    other = asyncio.create_task(table.wait_directive("default", "a2", 60))
    await asyncio.sleep(0)
    asked = transitions.cancel_requested(task, "tester", "not needed", NOW)
    _apply(table, asked)
    async with asyncio.timeout(5):
        await mine
    (lease,) = table.undelivered("default", "a1")
    assert lease.cancel is not None and lease.cancel.reason == "not needed"
    assert lease.cancel_deadline is None and not other.done()
    _apply(table, transitions.cancel_step(asked, NOW, delivered=True, acknowledged=False))
    assert table.undelivered("default", "a1") == []
    assert lease.cancel_deadline == NOW + 30_000_000
    table.wake_all()
    await other


async def test_a_heartbeat_with_something_to_say_does_not_wait(table: LeaseTable) -> None:
    _apply(table, transitions.cancel_requested(_running(), "tester", "", NOW))
    async with asyncio.timeout(5):
        await table.wait_directive("default", "a1", 60)
        await table.wait_directive("default", "a2", 0)


async def test_a_heartbeat_that_is_cut_leaves_nothing_behind(table: LeaseTable) -> None:
    waiting = asyncio.create_task(table.wait_directive("default", "a1", 60))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert table._waiting == {}


def test_other_changes_are_of_no_matter(table: LeaseTable) -> None:
    table.apply([Change(1, 3, UPDATED, NOW, c.Expire([]))])
    assert len(table) == 0


async def test_a_pause_and_its_end_wake_the_agent_once_each(
    clock: ManualClock, table: LeaseTable
) -> None:
    task = _running()
    _apply(table, task)
    waiting = asyncio.create_task(table.wait_directive("default", "a1", 30))
    await asyncio.sleep(0)
    asked = pause_transitions.pause_requested(task, "ops", "look", NOW)
    _apply(table, asked)
    assert await waiting == []
    (lease,) = table.undelivered("default", "a1")
    assert lease.pause is not None and not lease.resumed
    told = pause_transitions.pause_step(asked, NOW, delivered=True, acknowledged=False)
    _apply(table, told)
    assert table.undelivered("default", "a1") == []
    _apply(table, pause_transitions.resumed(told, NOW))
    (lease,) = table.undelivered("default", "a1")
    assert lease.pause is None and lease.resumed


async def test_the_end_of_a_pause_that_nobody_heard_of_wakes_nobody(
    clock: ManualClock, table: LeaseTable
) -> None:
    task = _running()
    asked = pause_transitions.pause_requested(task, "ops", "look", NOW)
    table.start([asked])
    assert [lease.task_id for lease in table.undelivered("default", "a1")] == [1]
    _apply(table, pause_transitions.resumed(asked, NOW))
    assert table.undelivered("default", "a1") == []


async def test_a_cancel_takes_the_place_of_the_pause_that_it_ends(
    clock: ManualClock, table: LeaseTable
) -> None:
    task = pause_transitions.pause_requested(_running(), "ops", "look", NOW)
    told = pause_transitions.pause_step(task, NOW, delivered=True, acknowledged=True)
    _apply(table, _running(), told)
    cancelled = transitions.cancel_requested(told, "ops", "enough", NOW)
    _apply(table, cancelled)
    assert [lease.cancel is not None for lease in table.undelivered("default", "a1")] == [True]
    _apply(table, transitions.cancel_step(cancelled, NOW, delivered=True, acknowledged=False))
    assert table.undelivered("default", "a1") == []
