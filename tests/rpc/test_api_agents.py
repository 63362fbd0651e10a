"""AgentService over a real channel."""

from __future__ import annotations

import asyncio
from typing import Any

from quarterdeck.v1 import fleet_service_pb2, task_pb2

from .api import Api, Error, agent, new_request_id, payload, refused, spec
from .api import agents_pb as pb
from .api import tasks_pb as tasks
from .conftest import Server


def beat(task: Any, **fields: Any) -> Any:
    """Proof of life for one task."""
    return pb.LeaseBeat(task_id=task.task_id, lease_token=task.lease_token, **fields)


async def heartbeat(api: Api, *beats: Any, wait: int = 0, **fields: Any) -> Any:
    """A heartbeat of agent-1."""
    return await api.agents.Heartbeat(
        pb.HeartbeatRequest(agent=agent(), leases=beats, wait={"seconds": wait}, **fields)
    )


async def cancel(api: Api, task_id: str) -> None:
    """Request a cancel that must be accepted."""
    request = tasks.CancelTasksRequest(task_ids=[task_id], reason="stop", actor="ops")
    (result,) = (await api.tasks.CancelTasks(request)).results
    assert not result.HasField("error")


async def test_a_waiting_claim_answers_when_a_task_comes(api: Api) -> None:
    waiting = asyncio.create_task(api.claim_one(wait={"seconds": 20}))
    await api.settle()
    (task_id,) = await api.submit()
    assert (await waiting).task_id == task_id


async def test_a_claim_without_work_answers_before_the_deadline_of_its_client(api: Api) -> None:
    request = pb.ClaimRequest(agent=agent(), wait={"seconds": 30})
    response = await api.agents.Claim(request, timeout=1.2)
    assert not response.tasks
    assert response.lease_duration.seconds == 30


async def test_a_claim_takes_only_its_queues_and_names(api: Api) -> None:
    await api.submit(spec(queue="red"), spec(queue="blue"), spec(queue="blue", name="other"))
    response = await api.claim(queues=["blue"], names=["other"])
    assert [(task.queue, task.name) for task in response.tasks] == [("blue", "other")]


async def test_a_repeated_claim_returns_the_same_leases(api: Api) -> None:
    await api.submit(spec(), spec(), spec())
    request_id = new_request_id()
    first = await api.claim(request_id=request_id, max_tasks=2)
    again = await api.claim(request_id=request_id, max_tasks=2)
    assert [t.lease_token for t in again.tasks] == [t.lease_token for t in first.tasks]
    await api.report(first.tasks[0], succeeded={})
    rest = await api.claim(request_id=request_id, max_tasks=2)
    assert [t.task_id for t in rest.tasks] == [first.tasks[1].task_id]
    error = await refused(api.claim(request_id=request_id, max_tasks=1))
    assert (error.reason, error.metadata) == ("REQUEST_ID_REUSED", {"request_id": request_id})


async def test_a_claim_that_is_repeated_while_the_first_waits_takes_nothing_twice(api: Api) -> None:
    request: dict[str, Any] = {
        "request_id": new_request_id(),
        "max_tasks": 1,
        "wait": {"seconds": 20},
    }
    first = asyncio.create_task(api.claim(**request))
    await api.settle()
    second = asyncio.create_task(api.claim(**request))
    await api.settle()
    await api.submit(spec(), spec())
    (one,), (other,) = (await first).tasks, (await second).tasks
    assert one.lease_token == other.lease_token


async def test_a_cancelled_claim_leaves_its_task_to_others(api: Api) -> None:
    waiting = api.agents.Claim(pb.ClaimRequest(agent=agent("gone"), wait={"seconds": 20}))
    await api.settle()
    waiting.cancel()
    (task_id,) = await api.submit()
    assert (await api.claim_one("agent-2", wait={"seconds": 10})).task_id == task_id


async def test_a_claim_gives_back_what_its_answer_has_no_room_for(api: Api) -> None:
    large = payload(b"x" * 1_000_000)
    await api.submit(*(spec(input=large) for _ in range(5)))
    first = await api.claim(max_tasks=5)
    assert len(first.tasks) == 3
    second = await api.claim("agent-2", max_tasks=5)
    assert len(second.tasks) >= 1
    assert second.tasks[0].task_id not in {task.task_id for task in first.tasks}


async def test_labels_count_for_what_an_answer_has_room_for(api: Api) -> None:
    labels = {f"{number:02}" + "é" * 100: "é" * 256 for number in range(64)}
    await api.submit(*(spec(labels=labels) for _ in range(100)))
    first = await api.claim(max_tasks=100)
    assert 10 < len(first.tasks) < 100
    second = await api.claim_one("agent-2")
    assert second.task_id not in {task.task_id for task in first.tasks}


async def test_a_heartbeat_renews_and_says_what_is_lost(api: Api) -> None:
    await api.submit(spec(), spec())
    mine, done = (await api.claim()).tasks
    await api.report(done, succeeded={})
    response = await heartbeat(api, beat(mine), beat(done), pb.LeaseBeat(task_id="?"))
    assert [(d.task_id, d.directive, d.attempt) for d in response.directives] == [
        (done.task_id, pb.DIRECTIVE_LOST, 1),
        ("?", pb.DIRECTIVE_LOST, 0),
    ]
    assert (response.lease_duration.seconds, response.interval.seconds) == (30, 10)


async def test_a_cancel_reaches_a_waiting_heartbeat_and_leaves_its_proof(api: Api) -> None:
    await api.submit(spec(timeouts={"cancel_grace": {"seconds": 9}}))
    task = await api.claim_one()
    waiting = asyncio.create_task(heartbeat(api, beat(task), wait=10))
    await api.settle()
    await cancel(api, task.task_id)
    (directive,) = (await waiting).directives
    assert (directive.task_id, directive.attempt) == (task.task_id, 1)
    assert (directive.directive, directive.reason) == (pb.DIRECTIVE_CANCEL, "stop")
    delivered = (await api.get(task.task_id)).task.cancellation
    assert delivered.HasField("deliver_time")
    grace = directive.cancel_deadline.ToMicroseconds() - delivered.deliver_time.ToMicroseconds()
    assert grace == 9_000_000
    told_again = (await heartbeat(api, beat(task))).directives
    assert [d.directive for d in told_again] == [pb.DIRECTIVE_CANCEL]
    assert not (await heartbeat(api, beat(task, cancel_acknowledged=True))).directives
    result = await api.report(task, cancelled={"message": "stopped"})
    assert result.state == task_pb2.TASK_STATE_CANCELLED
    proof = (await api.get(task.task_id)).task.cancellation
    assert proof.HasField("acknowledge_time")
    assert proof.HasField("stop_time")


async def test_a_cancel_of_a_lease_that_the_heartbeat_does_not_name_is_told_too(api: Api) -> None:
    await api.submit()
    waiting = asyncio.create_task(heartbeat(api, wait=10))
    task = await api.claim_one()
    await cancel(api, task.task_id)
    assert [d.task_id for d in (await waiting).directives] == [task.task_id]


async def test_progress_is_seen_and_hostile_numbers_are_not(api: Api) -> None:
    await api.submit()
    task = await api.claim_one()
    progress = {"message": "p" * 300 + "\0", "done": float("nan"), "total": float("inf")}
    await heartbeat(api, beat(task, progress=progress))
    found = None
    for _ in range(100):
        found = (await api.get(task.task_id)).task
        if found.HasField("progress"):
            break
        await api.tasks.WaitTask(
            tasks.WaitTaskRequest(task_id=task.task_id, wait={"nanos": 50_000_000})
        )
    assert found is not None
    assert (found.progress.message, found.progress.done, found.progress.total) == ("p" * 256, 0, 0)


async def test_a_report_tells_the_last_progress(api: Api) -> None:
    await api.submit()
    task = await api.claim_one()
    last = {"message": "at 12", "done": 12, "total": 12}
    await api.report(task, succeeded={}, progress=last)
    found = (await api.get(task.task_id)).task
    assert (found.progress.message, found.progress.done) == ("at 12", 12)


async def test_a_goodbye_makes_the_agent_gone(api: Api, server: Server) -> None:
    await api.submit()
    await api.claim_one()
    await heartbeat(api, goodbye=True)
    row = await server.core.store.get_agent("default", "agent-1")
    assert row is not None and row.state == 4


async def test_the_same_report_twice_is_answered_ok_and_another_is_late(api: Api) -> None:
    (task_id,) = await api.submit()
    task = await api.claim_one()
    for _ in range(2):
        result = await api.report(task, succeeded={})
        assert (result.state, result.HasField("error")) == (task_pb2.TASK_STATE_SUCCEEDED, False)
    late = Error((await api.report(task, failed={})).error)
    assert (late.reason, late.metadata) == ("LEASE_LOST", {"task_id": task_id, "attempt": "1"})
    assert (await api.get(task_id)).task.late_reports == 1


async def test_a_released_task_goes_to_another_and_loses_no_attempt(api: Api) -> None:
    await api.submit(spec(retry={"max_attempts": 1}))
    task = await api.claim_one()
    await api.report(task, released={"message": "shutting down"})
    again = await api.claim_one("agent-2")
    assert (again.attempt, again.max_attempts) == (2, 2)


async def test_a_failed_attempt_waits_as_long_as_its_agent_says(api: Api) -> None:
    (task_id,) = await api.submit()
    failure = {"type": "Busy", "message": "m" * 5000, "stack_trace": "s" * 70_000}
    task = await api.claim_one()
    result = await api.report(task, failed={"failure": failure, "retry_delay": {"seconds": 3600}})
    assert result.state == task_pb2.TASK_STATE_SCHEDULED
    found = await api.get(task_id)
    wait = found.task.run_time.ToMicroseconds() - found.attempts[0].end_time.ToMicroseconds()
    assert wait == 3_600_000_000
    kept = found.attempts[0].failure
    assert (len(kept.message), len(kept.stack_trace)) == (4096, 65_536)


async def test_a_bad_report_leaves_its_neighbours_alone(api: Api) -> None:
    await api.submit()
    task = await api.claim_one()
    good = {"task_id": task.task_id, "lease_token": task.lease_token}
    request = pb.ReportRequest(
        agent_id="agent-1",
        reports=[
            pb.AttemptReport(task_id="?", lease_token=b"short", succeeded={}),
            pb.AttemptReport(**good),
            pb.AttemptReport(**good, succeeded={"result": payload(b"x" * (2**20 + 1))}),
            pb.AttemptReport(**good, succeeded={}),
        ],
    )
    damaged, empty, large, fine = (await api.agents.Report(request)).results
    assert set(Error(damaged.error).fields) == {"reports[0].lease_token", "reports[0].task_id"}
    assert list(Error(empty.error).fields) == ["reports[1].outcome"]
    error = Error(large.error)
    assert error.reason == "PAYLOAD_TOO_LARGE"
    assert error.metadata["field"] == "reports[2].succeeded.result.data"
    assert fine.state == task_pb2.TASK_STATE_SUCCEEDED


async def append(api: Api, task: Any, offset: int, *texts: str) -> Any:
    """Append lines to a task's log."""
    chunk = pb.LogChunk(
        task_id=task.task_id,
        lease_token=task.lease_token,
        offset=offset,
        lines=[task_pb2.LogLine(text=text) for text in texts],
    )
    request = pb.AppendLogsRequest(agent_id="agent-1", chunks=[chunk])
    (result,) = (await api.agents.AppendLogs(request)).results
    return result


async def read_logs(api: Api, task_id: str, **request: Any) -> Any:
    """Read a task's log."""
    return await api.tasks.ReadLogs(tasks.ReadLogsRequest(task_id=task_id, **request))


async def test_logs_are_read_while_the_task_runs_and_a_repeated_chunk_is_stored_once(
    api: Api,
) -> None:
    (task_id,) = await api.submit()
    task = await api.claim_one()
    await append(api, task, 0, "one", "two")
    await append(api, task, 0, "one", "two")
    await append(api, task, 1, "two", "three\0" + "x" * 9000)
    page = await read_logs(api, task_id)
    assert [line.text[:6] for line in page.lines] == [
        "one",
        "two",
        "three\N{REPLACEMENT CHARACTER}",
    ]
    assert len(page.lines[2].text) == 8192
    assert ([line.sequence for line in page.lines], page.end) == ([1, 2, 3], False)
    assert (page.lines[0].level, page.lines[0].stream) == ("info", "log")
    tail = await read_logs(api, task_id, after_sequence=-1)
    assert [line.sequence for line in tail.lines] == [3]
    waiting = asyncio.create_task(
        read_logs(api, task_id, after_sequence=page.next_sequence, wait={"seconds": 20})
    )
    await api.settle()
    await append(api, task, 3, "four")
    assert [line.text for line in (await waiting).lines] == ["four"]
    await api.report(task, succeeded={})
    last = await read_logs(api, task_id, after_sequence=4)
    assert (list(last.lines), last.end, last.next_sequence) == ([], True, 4)
    assert Error((await append(api, task, 4, "late")).error).reason == "LEASE_LOST"


async def test_a_reader_of_one_attempt_is_not_woken_by_another(api: Api) -> None:
    (task_id,) = await api.submit()
    task = await api.claim_one()
    await append(api, task, 0, "mine")
    response = await read_logs(
        api, task_id, after_sequence=0, attempt=2, wait={"nanos": 200_000_000}
    )
    assert not response.lines


async def test_a_bad_log_chunk_leaves_its_neighbours_alone(api: Api) -> None:
    (task_id,) = await api.submit()
    task = await api.claim_one()
    good = {"task_id": task_id, "lease_token": task.lease_token}
    request = pb.AppendLogsRequest(
        agent_id="agent-1",
        chunks=[
            pb.LogChunk(**good, offset=-1),
            pb.LogChunk(**good, lines=[task_pb2.LogLine(level="loud", stream="ether")]),
            pb.LogChunk(**good, lines=[task_pb2.LogLine()] * 1001),
            pb.LogChunk(**good, lines=[task_pb2.LogLine(text="kept")]),
        ],
    )
    results = (await api.agents.AppendLogs(request)).results
    wrong = [list(Error(result.error).fields) for result in results[:3]]
    assert wrong == [
        ["chunks[0].offset"],
        ["chunks[1].lines[0].level", "chunks[1].lines[0].stream"],
        ["chunks[2].lines"],
    ]
    assert not results[3].HasField("error")


async def test_an_agent_that_drains_is_given_nothing(api: Api) -> None:
    await api.claim("agent-1", wait={})
    await api.submit()
    waiting = asyncio.create_task(heartbeat(api, wait=10))
    await api.settle()
    await api.fleet.DrainAgent(fleet_service_pb2.DrainAgentRequest(agent_id="agent-1"))
    assert (await waiting).drain
    response = await api.claim("agent-1", wait={"seconds": 10})
    assert (response.drain, list(response.tasks)) == (True, [])
    assert (await api.claim_one("agent-2")).attempt == 1


async def test_a_lease_that_the_server_ends_is_told_at_once(api: Api) -> None:
    holding = asyncio.create_task(heartbeat(api, wait=13))
    await api.settle()
    await api.submit(spec(timeouts={"attempt": {"nanos": 50_000_000}}, retry={"max_attempts": 1}))
    task = await api.claim_one()
    async with asyncio.timeout(8):
        (directive,) = (await holding).directives
    assert directive.directive == pb.DIRECTIVE_LOST
    assert (directive.task_id, directive.attempt) == (task.task_id, 1)


async def test_what_an_agent_reports_answers_no_heartbeat(api: Api, server: Server) -> None:
    await api.submit(spec())
    task = await api.claim_one()
    holding = asyncio.create_task(heartbeat(api, beat(task), wait=13))
    await api.settle()
    await api.report(task, failed={"failure": {"type": "LEASE_LOST"}})
    await api.settle()
    assert not holding.done()
    server.core.leases.wake("default", "agent-1")
    assert not (await holding).directives


async def test_a_goodbye_outlasts_a_heartbeat_that_is_held(api: Api, server: Server) -> None:
    holding = asyncio.create_task(heartbeat(api, wait=13))
    await api.settle()
    await heartbeat(api, goodbye=True)
    server.core.leases.wake("default", "agent-1")
    await holding
    assert server.core.agents.get("default", "agent-1") is None


async def test_every_queue_and_name_of_a_claim_is_checked_or_refused(api: Api) -> None:
    error = await refused(api.claim(queues=["a"] * 64 + ["\x1b"], wait={}))
    assert set(error.fields) == {"queues"}
    error = await refused(api.claim(names=["a"] * 1000 + ["\x1b"], wait={}))
    assert set(error.fields) == {"names"}
