"""What heartbeats leave behind: details for the next attempt, and a count of those that came too late."""

from __future__ import annotations

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import FAILED, READY
from quarterdeck_server.engine.timeunits import DAY

from . import make
from .bench import Bench
from .make import SECOND

LARGE = b"x" * 40_000


def saves(task: Task, data: bytes) -> c.RecordBeats:
    """A heartbeat with details."""
    return c.RecordBeats([c.Beat(task.id, task.lease_token or 0, details=Payload("t", data))])


def late(task: Task) -> c.RecordBeats:
    """A heartbeat under a lease that has ended."""
    return c.RecordBeats([c.Beat(task.id, task.lease_token or 0, late=True)])


def lose(task: Task) -> c.Expire:
    """Nobody renewed the lease."""
    return c.Expire([(task.id, task.lease_token or 0)])


def claim(bench: Bench) -> c.Claim:
    """Claim one task, with its details."""
    claim = make.claim()
    bench.group(claims=[claim])
    return claim


def test_the_next_attempt_is_given_what_was_saved_last(bench: Bench) -> None:
    task = bench.running()
    for data in (b"one", LARGE, b"two"):
        bench.do(saves(task, data))
    bench.do(lose(task))
    again = claim(bench)
    assert [t.attempt for t in again.taken] == [2]
    assert again.details == {task.id: Payload("t", b"two")}


def test_what_is_saved_and_claimed_in_one_group_is_given(bench: Bench) -> None:
    task = bench.running()
    bench.do(saves(task, b"before"))
    again = make.claim()
    bench.group(saves(task, LARGE), lose(task), claims=[again])
    assert again.details == {task.id: Payload("t", LARGE)}


def test_a_first_attempt_is_given_nothing(bench: Bench) -> None:
    bench.one()
    assert claim(bench).details == {}


def test_what_was_saved_outlives_attempts_that_save_nothing(bench: Bench) -> None:
    task = bench.running()
    bench.do(saves(task, b"state"))
    for _ in range(2):
        bench.do(lose(task))
        again = claim(bench)
        (task,) = again.taken
        assert again.details[task.id].data == b"state"


def test_a_stale_heartbeat_saves_nothing(bench: Bench) -> None:
    task = bench.running()
    bench.do(lose(task))
    bench.do(saves(task, b"stale"))
    assert not bench.driver.details


def test_a_retry_by_an_operator_starts_without_details(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(max_attempts=1)))
    bench.do(saves(task, LARGE))
    assert bench.end(task, make.fail()).state == FAILED
    bench.do(make.retry(task.id))
    again = claim(bench)
    assert (again.taken[0].attempt, again.details) == (2, {})
    assert not bench.driver.details


def test_details_are_removed_with_their_task(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(max_attempts=1)))
    bench.do(saves(task, LARGE))
    bench.end(task, make.fail())
    bench.now += DAY
    bench.do(c.Prune(bench.now, bench.now, 0, 1_000_000))
    assert task.id not in bench.driver.tasks
    assert not bench.driver.details


def test_a_late_heartbeat_is_counted_at_its_attempt(bench: Bench) -> None:
    task = bench.running()
    bench.do(lose(task))
    (second,) = bench.claim()
    bench.do(late(task))
    bench.group(late(task), late(task))
    first = bench.driver.attempts[task.id, 1]
    assert (first.late_heartbeats, first.late_reports) == (3, 0)
    assert bench.task(task.id) == second, "the task itself is not changed"


def test_late_heartbeats_and_reports_are_counted_beside_each_other(bench: Bench) -> None:
    task = bench.running()
    bench.group(lose(task), late(task))
    bench.do(make.report(task.id, task.lease_token, make.succeed()))
    bench.do(late(task))
    first = bench.driver.attempts[task.id, 1]
    assert (first.late_heartbeats, first.late_reports) == (2, 1)
    assert bench.task(task.id).state == READY


def test_a_heartbeat_that_crosses_its_own_report_is_not_late(bench: Bench) -> None:
    task = bench.running()
    bench.end(task, make.succeed())
    bench.do(late(task))
    assert bench.driver.attempts[task.id, 1].late_heartbeats == 0


def test_a_heartbeat_after_a_timeout_is_late(bench: Bench) -> None:
    task = bench.running(make.spec(policy=Policy(attempt_timeout=SECOND)))
    bench.pass_time(1)
    bench.do(late(task))
    assert bench.driver.attempts[task.id, 1].late_heartbeats == 1


def test_a_token_that_was_never_made_counts_nothing(bench: Bench) -> None:
    task = bench.running()
    bench.do(c.RecordBeats([c.Beat(task.id, 7, late=True), c.Beat(999, 7, late=True)]))
    assert bench.task(task.id) == task
    assert not bench.driver.attempts
