"""Attempts under way over a real channel: what they save, pauses, and heartbeats that come too late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.v1 import agent_pb2, fleet_service_pb2, task_pb2

from .api import Api, Error, new_request_id, payload, refused, spec
from .api import agents_pb as pb
from .api import tasks_pb as tasks
from .conftest import Server
from .test_api_agents import beat, cancel, heartbeat

RUNNING = task_pb2.TASK_STATE_RUNNING


async def pause(api: Api, *task_ids: str, **fields: Any) -> list[Any]:
    """Ask for pauses; the results."""
    request = tasks.PauseTasksRequest(task_ids=task_ids, reason="look", actor="ops", **fields)
    return list((await api.tasks.PauseTasks(request)).results)


async def resume(api: Api, *task_ids: str, **fields: Any) -> list[Any]:
    """End pauses; the results."""
    request = tasks.ResumeTasksRequest(task_ids=task_ids, actor="ops", **fields)
    return list((await api.tasks.ResumeTasks(request)).results)


def told(response: Any) -> list[Any]:
    """The directives of a heartbeat's answer."""
    return [directive.directive for directive in response.directives]


async def running(api: Api, **fields: Any) -> Any:
    """A claimed task."""
    await api.submit(spec(**fields))
    return await api.claim_one()


async def test_pause_and_resume_that_are_repeated_get_their_first_answers(api: Api) -> None:
    task = await running(api)
    for call in (pause, resume):
        request_id = new_request_id()
        for _ in range(2):
            (result,) = await call(api, task.task_id, request_id=request_id)
            assert (result.state, result.HasField("error")) == (RUNNING, False)
    (result,) = await resume(api, task.task_id)
    assert Error(result.error).reason == "WRONG_STATE"


async def test_what_a_heartbeat_saved_is_given_to_the_next_attempt(api: Api) -> None:
    task = await running(api)
    assert not task.HasField("details")
    saved = payload(b"[1, 2]", "application/x-state")
    assert not told(await heartbeat(api, beat(task, details=saved)))
    await api.report(task, released={})
    again = await api.claim_one(request_id=(request_id := new_request_id()))
    assert (again.attempt, again.details) == (2, saved)
    assert (await api.get(task.task_id)).details == saved, "operators see it, too"
    assert (await api.claim_one(request_id=request_id)).details == saved, "a repeated claim too"


async def test_details_over_the_limit_are_refused_and_keep_what_was_there(
    make_server: Callable[..., Server],
) -> None:
    server = await make_server(max_payload_bytes=1024).start()
    try:
        api = server.api
        task = await running(api)
        await heartbeat(api, beat(task, details=payload(b"small")))
        response = await heartbeat(api, beat(task, details=payload(b"x" * 1025)), wait=9)
        (directive,) = response.directives
        assert (directive.directive, directive.attempt) == (pb.DIRECTIVE_CONTINUE, 1)
        error = Error(directive.details_error)
        assert error.reason == "PAYLOAD_TOO_LARGE"
        assert error.metadata == {"field": "details.data", "size": "1025", "limit": "1024"}
        await api.report(task, released={})
        assert (await api.claim_one()).details.data == b"small"
    finally:
        await server.stop()


async def test_details_survive_a_restart_once_the_heartbeat_is_answered(
    make_server: Callable[..., Server],
) -> None:
    server = await make_server().start()
    try:
        task = await running(server.api)
        await heartbeat(server.api, beat(task, details=payload(b"state")))
    finally:
        await server.stop()
    server = await make_server().start()
    try:
        await server.api.report(task, released={})
        assert (await server.api.claim_one()).details.data == b"state"
    finally:
        await server.stop()


async def test_what_an_ended_lease_saves_is_not_kept(api: Api) -> None:
    task = await running(api)
    await api.report(task, failed={"failure": {"type": "E"}, "retry_delay": {}})
    await heartbeat(api, beat(task, details=payload(b"stale")))
    assert not (await api.claim_one()).HasField("details")


async def test_a_pause_reaches_a_waiting_heartbeat_and_leaves_its_proof(api: Api) -> None:
    task = await running(api)
    waiting = asyncio.create_task(heartbeat(api, beat(task), wait=10))
    await api.settle()
    (result,) = await pause(api, task.task_id)
    assert (result.state, result.HasField("error")) == (RUNNING, False)
    (directive,) = (await waiting).directives
    assert (directive.directive, directive.reason) == (pb.DIRECTIVE_PAUSE, "look")
    assert (directive.task_id, directive.attempt) == (task.task_id, 1)
    delivered = (await api.get(task.task_id)).task.pause
    assert (delivered.actor, delivered.reason) == ("ops", "look")
    assert delivered.HasField("deliver_time") and not delivered.HasField("acknowledge_time")
    assert told(await heartbeat(api, beat(task))) == [pb.DIRECTIVE_PAUSE], "until acknowledged"
    assert not told(await heartbeat(api, beat(task, pause_acknowledged=True)))
    assert (await api.get(task.task_id)).task.pause.HasField("acknowledge_time")
    assert not told(await heartbeat(api, beat(task, pause_acknowledged=True)))


async def test_a_resume_reaches_a_waiting_heartbeat_and_is_repeated(api: Api) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    await heartbeat(api, beat(task, pause_acknowledged=True))
    waiting = asyncio.create_task(heartbeat(api, beat(task, pause_acknowledged=True), wait=10))
    await api.settle()
    (result,) = await resume(api, task.task_id)
    assert (result.state, result.HasField("error")) == (RUNNING, False)
    assert told(await waiting) == [pb.DIRECTIVE_RESUME]
    again = await heartbeat(api, beat(task, pause_acknowledged=True), wait=10)
    assert told(again) == [pb.DIRECTIVE_RESUME], "until the agent says that it goes on"
    assert not told(await heartbeat(api, beat(task)))
    assert not (await api.get(task.task_id)).task.HasField("pause")


async def test_a_pause_that_ends_before_it_is_acknowledged_is_taken_back(api: Api) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    assert told(await heartbeat(api, beat(task))) == [pb.DIRECTIVE_PAUSE]
    await resume(api, task.task_id)
    assert told(await heartbeat(api, beat(task), wait=10)) == [pb.DIRECTIVE_RESUME]
    assert not told(await heartbeat(api, beat(task)))


async def test_a_pause_that_nobody_heard_of_ends_in_silence(api: Api) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    await resume(api, task.task_id)
    assert not told(await heartbeat(api, beat(task)))


async def test_a_second_pause_is_told_to_an_agent_that_knows_only_the_first(api: Api) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    await heartbeat(api, beat(task, pause_acknowledged=True))
    await resume(api, task.task_id)
    await pause(api, task.task_id)
    await heartbeat(api, beat(task, pause_acknowledged=True))
    assert told(await heartbeat(api, beat(task))) == [pb.DIRECTIVE_PAUSE]


async def test_a_cancel_takes_the_place_of_a_pause(api: Api) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    await heartbeat(api, beat(task, pause_acknowledged=True))
    await cancel(api, task.task_id)
    response = await heartbeat(api, beat(task, pause_acknowledged=True))
    assert told(response) == [pb.DIRECTIVE_CANCEL]
    assert (await api.report(task, cancelled={})).state == task_pb2.TASK_STATE_CANCELLED


async def test_pauses_are_answered_each(api: Api) -> None:
    task = await running(api)
    (waiting,) = await api.submit()
    good, bad, none = await pause(api, task.task_id, waiting, "task_nonsense")
    assert not good.HasField("error")
    assert (Error(bad.error).reason, bad.state) == ("WRONG_STATE", task_pb2.TASK_STATE_READY)
    assert Error(none.error).reason == "TASK_NOT_FOUND"
    bad, none = await resume(api, waiting, "task_nonsense")
    assert Error(bad.error).reason == "WRONG_STATE"
    assert Error(none.error).reason == "TASK_NOT_FOUND"


@pytest.mark.parametrize("call", ["Pause", "Resume"])
async def test_bad_pauses_are_refused_as_a_whole(api: Api, call: str) -> None:
    method = getattr(api.tasks, f"{call}Tasks")
    make = getattr(tasks, f"{call}TasksRequest")
    assert set((await refused(method(make(reason="x" * 1025)))).fields) == {"reason"}
    assert set((await refused(method(make(actor="x" * 257)))).fields) == {"actor"}
    assert (await refused(method(make(task_ids=["?"] * 5001)))).reason == "LIMIT_EXCEEDED"


async def test_pauses_and_resumes_are_in_the_audit_log(api: Api, server: Server) -> None:
    task = await running(api)
    await pause(api, task.task_id)
    await resume(api, task.task_id)
    page = await server.core.store.list_audit("default", 10, None)
    assert {(row.action, row.actor, row.target, row.done) for row in page.rows} == {
        ("PauseTasks", "ops", task.task_id, 1),
        ("ResumeTasks", "ops", task.task_id, 1),
    }


async def late_heartbeats(api: Api, task_id: str, wanted: int) -> None:
    """Wait until so many are counted at the first attempt."""
    async with asyncio.timeout(5):
        while True:
            (first, *_) = (await api.get(task_id)).attempts
            if first.late_heartbeats == wanted:
                return
            assert first.late_heartbeats < wanted
            await asyncio.sleep(0.02)


async def test_late_heartbeats_and_reports_are_refused_counted_and_visible(api: Api) -> None:
    task = await running(api, timeouts={"attempt": {"nanos": 1_000_000}})
    second = await api.claim_one("agent-2")
    assert (second.task_id, second.attempt) == (task.task_id, 2)
    for _ in range(3):
        response = await heartbeat(api, beat(task))
        assert [(d.directive, d.attempt) for d in response.directives] == [(pb.DIRECTIVE_LOST, 1)]
    await late_heartbeats(api, task.task_id, 1)
    result = await api.report(task, succeeded={})
    assert Error(result.error).reason == "LEASE_LOST"
    details = await api.get(task.task_id)
    assert details.task.late_reports == 1
    assert (details.attempts[0].late_reports, details.attempts[0].late_heartbeats) == (1, 1)


async def test_a_token_that_was_never_made_counts_nothing(api: Api) -> None:
    task = await running(api)
    forged = pb.LeaseBeat(task_id=task.task_id, lease_token=b"\0" * 12)
    response = await heartbeat(api, forged, pb.LeaseBeat(task_id=task.task_id, lease_token=b"?"))
    assert [(d.directive, d.attempt) for d in response.directives] == [(pb.DIRECTIVE_LOST, 0)] * 2
    await heartbeat(api, beat(task, progress={"message": "on"}))
    async with asyncio.timeout(5):
        while not (await api.get(task.task_id)).task.HasField("progress"):
            await asyncio.sleep(0.02)
    (only,) = (await api.get(task.task_id)).attempts
    assert (only.attempt, only.late_heartbeats) == (1, 0)


async def test_labels_of_an_agent_reach_its_operators(api: Api) -> None:
    info = agent_pb2.AgentInfo(agent_id="agent-1", labels={"gpu": "a100", "zone": "eu"})
    await api.agents.Heartbeat(pb.HeartbeatRequest(agent=info))
    async with asyncio.timeout(5):
        while not (
            found := (await api.fleet.ListAgents(fleet_service_pb2.ListAgentsRequest())).agents
        ):
            await asyncio.sleep(0.02)
    assert dict(found[0].info.labels) == {"gpu": "a100", "zone": "eu"}
