"""Submitting, reporting, replaying requests, schedules and hand-off, by example; on dicts and on SQLite."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.pools import PoolStatus
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, FAILED, READY, SCHEDULED, SUCCEEDED

from . import make
from .bench import Bench
from .make import NOW, SECOND

ONCE = Policy(max_attempts=1)


class TestSubmit:
    """New tasks."""

    def test_one_refused_item_leaves_its_neighbours_alone(self, bench: Bench) -> None:
        items = bench.do(
            make.submit(
                make.spec(), make.spec(depends_on=(777,)), make.spec(depends_on=(-2,)), make.spec()
            )
        )
        reasons = [item.refusal and item.refusal.reason for item in items]
        assert reasons == [None, "TASK_NOT_FOUND", "INVALID_FIELD", None]
        assert len(bench.driver.tasks) == 2

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    def test_a_dependency_that_ended_badly_is_refused(self, bench: Bench, state: str) -> None:
        task = bench.running(make.spec(policy=ONCE))
        bench.end(task, make.fail() if state == "failed" else c.StopCancelled(""))
        (item,) = bench.do(make.submit(make.spec(depends_on=(task.id,))))
        assert item.refusal.reason == "WRONG_STATE"
        assert dict(item.refusal.metadata)["state"] == state.upper()
        either = make.spec(policy=Policy(all_ended=True), depends_on=(task.id,))
        assert bench.task(bench.one(either)).state == READY

    def test_a_dependency_named_twice_counts_once(self, bench: Bench) -> None:
        first = bench.running()
        dependent = bench.one(make.spec(depends_on=(first.id, first.id)))
        bench.end(first, make.succeed())
        assert bench.task(dependent).state == READY

    def test_a_dependent_with_a_delay_waits_for_both(self, bench: Bench) -> None:
        first = bench.running()
        dependent = bench.one(make.spec(depends_on=(first.id,), delay=60 * SECOND))
        bench.end(first, make.succeed())
        assert bench.task(dependent).state == SCHEDULED
        bench.pass_time(60)
        assert bench.task(dependent).state == READY

    def test_a_dependency_of_another_namespace_is_not_there(self, bench: Bench) -> None:
        task_id = bench.one()
        (item,) = bench.do(c.Submit("other", [make.spec(depends_on=(task_id,))]))
        assert item.refusal.reason == "TASK_NOT_FOUND"

    def test_the_same_key_is_the_same_task(self, bench: Bench) -> None:
        one, two = bench.do(make.submit(make.spec(key="k"), make.spec(key="k")))
        (three,) = bench.do(make.submit(make.spec(key="k")))
        assert (one.existed, two.existed, three.existed) == (False, True, True)
        assert one.task_id == two.task_id == three.task_id
        (other,) = bench.do(c.Submit("other", [make.spec(key="k")]))
        assert other.task_id != one.task_id

    def test_the_same_key_with_other_content_is_refused(self, bench: Bench) -> None:
        task_id = bench.one(make.spec(key="k"))
        (item,) = bench.do(make.submit(make.spec(key="k", content=b"other")))
        assert (item.task_id, item.refusal.reason) == (task_id, "IDEMPOTENCY_KEY_REUSED")


class TestRequests:
    """A request id makes a call repeatable."""

    def test_a_repeated_request_gets_the_first_answer(self, bench: Bench) -> None:
        specs = (make.spec(), make.spec(depends_on=(99,)))
        once = make.submit(*specs, request=make.request("r"))
        first, second = bench.group(once, once)
        assert first == second == bench.do(once)
        assert len(bench.driver.tasks) == 1

    def test_the_same_id_with_another_body_is_refused(self, bench: Bench) -> None:
        bench.do(make.submit(request=make.request("r")))
        refusal = bench.do(make.submit(request=make.request("r", b"other")))
        assert refusal.reason == "REQUEST_ID_REUSED"
        assert len(bench.driver.tasks) == 1

    def test_every_repeatable_command_replays_its_answer(self, bench: Bench) -> None:
        task_id = bench.one()
        commands: list[c.Command] = [
            c.Cancel("default", [task_id, 99], "", "t", request=make.request("r", method="Cancel")),
            c.Retry("default", [task_id, 99], make.request("r", method="Retry")),
            c.PutSchedule(make.interval(), make.request("r", method="Schedule")),
            c.TriggerSchedule("default", "tick", make.request("r", method="Trigger")),
            c.TriggerSchedule("default", "none", make.request("r2", method="Trigger")),
        ]
        first = [bench.do(command) for command in commands]
        changes = len(bench.driver.changes)
        assert [bench.do(command) for command in commands] == first
        assert len(bench.driver.changes) == changes


class TestReport:
    """The lease decides."""

    def test_the_same_report_twice_is_answered_ok(self, bench: Bench) -> None:
        task = bench.running()
        done = make.report(task.id, task.lease_token, make.succeed())
        assert bench.group(done, done) == [[c.ItemResult(SUCCEEDED)]] * 2
        before = bench.task(task.id)
        assert bench.do(done) == [c.ItemResult(SUCCEEDED)]
        assert bench.task(task.id) == before

    def test_a_late_report_is_refused_and_shown(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(c.Expire([(task.id, task.lease_token or 0)]))
        (owner,) = bench.claim("a2")
        for times in (1, 2):
            (late,) = bench.do(make.report(task.id, task.lease_token, make.succeed(b"late")))
            assert late.refusal.reason == "LEASE_LOST"
            assert ("attempt", "1") in late.refusal.metadata
            assert bench.task(task.id).late_reports == times
            assert bench.driver.attempts[task.id, 1].late_reports == times
        assert bench.task(task.id).lease_token == owner.lease_token
        assert task.id not in bench.driver.results

    def test_a_report_of_another_namespace_finds_nothing(self, bench: Bench) -> None:
        task = bench.running()
        item = c.ReportItem(task.id, task.lease_token or 0, make.succeed())
        (result,) = bench.do(c.Report("other", "a1", [item]))
        assert result.refusal.reason == "TASK_NOT_FOUND"
        assert bench.task(task.id) == task

    def test_one_report_may_end_many_attempts(self, bench: Bench) -> None:
        bench.submit(*(make.spec(policy=ONCE) for _ in range(3)))
        tasks = bench.claim(max_tasks=3)
        outcomes: list[c.Succeed | c.Fail | c.StopCancelled] = [
            make.succeed(),
            make.fail(),
            c.StopCancelled(""),
        ]
        items = [
            c.ReportItem(task.id, task.lease_token or 0, outcome)
            for task, outcome in zip(tasks, outcomes, strict=True)
        ]
        results = bench.do(c.Report("default", "a1", [*items, c.ReportItem(99, 1, make.succeed())]))
        assert [result.state for result in results] == [SUCCEEDED, FAILED, CANCELLED, 0]

    def test_a_log_needs_the_lease(self, bench: Bench) -> None:
        task = bench.running()
        chunk = [c.Line(None, "info", "log", "hello")]
        item = c.LogItem(task.id, task.lease_token or 0, 0, chunk)
        assert bench.do(c.AppendLogs("default", [item])) == [None]
        bench.end(task, make.succeed())
        (late,) = bench.do(c.AppendLogs("default", [item._replace(offset=1)]))
        assert late.reason == "LEASE_LOST"
        assert [row.text for row in bench.driver.logs] == ["hello"]

    def test_a_beat_without_the_lease_is_ignored(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(c.RecordBeats([c.Beat(task.id, 999, acknowledged=True), c.Beat(99, 1)]))
        assert bench.task(task.id) == task


class TestSchedules:
    """One task for one instant."""

    def test_a_due_schedule_makes_one_task(self, bench: Bench) -> None:
        bench.do(c.PutSchedule(make.interval(seconds=10)))
        bench.now += 10 * SECOND
        bench.group(c.Sweep(), c.Sweep())
        bench.do(c.Sweep())
        (task,) = bench.driver.tasks.values()
        assert (task.schedule_id, task.schedule_time, task.state) == ("tick", bench.now, READY)
        assert bench.driver.schedules["default", "tick"].last_task_id == task.id

    def test_after_downtime_the_latest_missed_instant_fires_once(self, bench: Bench) -> None:
        bench.do(c.PutSchedule(make.interval(seconds=10)))
        bench.pass_time(1000)
        assert [task.schedule_time for task in bench.driver.tasks.values()] == [NOW + 1000 * SECOND]

    def test_a_clock_that_goes_back_repeats_no_instant(self, bench: Bench) -> None:
        bench.do(c.PutSchedule(make.interval(seconds=10)))
        bench.pass_time(30)
        bench.now -= 20 * SECOND
        bench.do(c.DeleteSchedule("default", "tick"))
        bench.do(c.PutSchedule(make.interval(seconds=10)))
        for _ in range(4):
            bench.pass_time(10)
        instants = [task.schedule_time for task in bench.driver.tasks.values()]
        assert len(instants) == len(set(instants)) > 1

    def test_triggers_in_one_group_make_a_task_each(self, bench: Bench) -> None:
        bench.do(c.PutSchedule(make.interval()))
        now = c.TriggerSchedule("default", "tick")
        one, two = bench.group(now, now)
        assert one.task_id and two.task_id and one.task_id != two.task_id

    def test_a_trigger_is_never_answered_without_its_task(self, bench: Bench) -> None:
        trigger = c.TriggerSchedule("default", "tick")
        put, delete = c.PutSchedule(make.interval()), c.DeleteSchedule("default", "tick")
        replies = bench.group(put, trigger, delete, put, trigger)
        replies += bench.group(delete, put, trigger)
        ids = [reply.task_id for reply in replies if isinstance(reply, c.Submitted)]
        assert len(set(ids)) == 3 and set(ids) == set(bench.driver.tasks)

    def test_a_schedule_that_is_not_there_is_refused(self, bench: Bench) -> None:
        missing: list[c.Command] = [
            c.PauseSchedule("default", "x", True),
            c.DeleteSchedule("default", "x"),
        ]
        assert {bench.do(command).reason for command in missing} == {"SCHEDULE_NOT_FOUND"}
        assert bench.do(c.TriggerSchedule("default", "x")).refusal.reason == "SCHEDULE_NOT_FOUND"

    def test_a_paused_schedule_creates_nothing(self, bench: Bench) -> None:
        bench.do(c.PutSchedule(make.interval(seconds=10)))
        bench.do(c.PauseSchedule("default", "tick", True, "holiday"))
        bench.pass_time(100)
        assert not bench.driver.tasks
        bench.do(c.PauseSchedule("default", "tick", False))
        bench.pass_time(10)
        assert len(bench.driver.tasks) == 1


class TestHandOff:
    """Ready tasks go to the claims that wait."""

    def test_order_is_priority_then_time_then_id(self, bench: Bench) -> None:
        a, b = bench.submit(make.spec(priority=5), make.spec(priority=9, delay=SECOND))
        bench.pass_time(1)
        rest = bench.submit(make.spec(priority=9), make.spec(priority=5), make.spec(priority=0))
        expected = [b, rest[0], a, rest[1], rest[2]]
        assert [task.id for task in bench.claim(max_tasks=9)] == expected

    def test_the_longest_waiting_is_served_first(self, bench: Bench) -> None:
        bench.submit(make.spec(), make.spec(), make.spec())
        claims = [make.claim("a1", 2, place=1), make.claim("a2", 2, place=2)]
        bench.group(claims=claims)
        assert [len(claim.taken) for claim in claims] == [2, 1]

    def test_a_claim_takes_only_its_queues_and_names(self, bench: Bench) -> None:
        specs = [make.spec(queue=q, name=n) for q in ("default", "q2", "q3") for n in "ab"]
        bench.submit(*specs)
        claim = make.claim(max_tasks=9, profile=c.Profile("default", ("q2", "q3"), frozenset("b")))
        bench.group(claims=[claim])
        assert [(task.queue, task.name) for task in claim.taken] == [("q2", "b"), ("q3", "b")]

    def test_a_paused_queue_gives_nothing_until_it_is_resumed(self, bench: Bench) -> None:
        bench.one()
        claim = make.claim()
        bench.group(c.UpdateQueue("default", "default", True, "stop"), claims=[claim])
        assert claim.taken == []
        bench.group(c.UpdateQueue("default", "default", False, ""), claims=[claim])
        assert len(claim.taken) == 1

    def test_a_pause_does_not_stop_what_runs(self, bench: Bench) -> None:
        task = bench.running()
        bench.do(c.UpdateQueue("default", "default", True, ""))
        assert bench.end(task, make.succeed()).state == SUCCEEDED

    def test_a_blocked_task_is_not_handed_out(self, bench: Bench) -> None:
        first, second = bench.submit(make.spec(), make.spec(depends_on=(-1,)))
        assert [task.id for task in bench.claim(max_tasks=9)] == [first]
        assert bench.task(second).state == BLOCKED

    def test_an_agent_counts_what_it_runs(self, bench: Bench) -> None:
        bench.do(c.PutAgents([make.agent()]))
        bench.submit(make.spec(), make.spec())
        first, _ = bench.claim(max_tasks=2)
        assert bench.driver.agents["default", "a1"].running == 2
        bench.end(first, make.succeed())
        bench.do(c.PutAgents([make.agent(slots=4)]))
        agent = bench.driver.agents["default", "a1"]
        assert (agent.running, agent.slots) == (1, 4)

    def test_an_agent_counts_what_it_was_given_before_it_was_recorded(self, bench: Bench) -> None:
        first, second = bench.running(), bench.running()
        agent_id = first.agent_id or ""
        bench.do(c.PutAgents([make.agent(agent_id)]))
        assert bench.driver.agents["default", agent_id].running == 2
        bench.end(first, make.succeed())
        bench.end(second, make.succeed())
        assert bench.driver.agents["default", agent_id].running == 0


def test_a_pool_that_goes_and_comes_in_one_group_is_there(bench: Bench) -> None:
    pool = PoolStatus("default", "p", "default", 0, 2, 1, SECOND, "process", 0, None, 0)
    bench.group(c.PutPools([pool]), c.PutPools([], replace=True))
    assert not bench.driver.pools
    bench.group(c.PutPools([pool]), c.PutPools([], replace=True), c.PutPools([pool]))
    assert [row.name for row in bench.driver.pools.values()] == ["p"]
