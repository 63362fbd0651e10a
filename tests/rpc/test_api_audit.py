"""The audit log over a real channel: what operators did, the newest first."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.v1 import hold_pb2

from .api import Api, agent, agents_pb, fleet_pb, new_request_id, refused, schedules_pb, tasks_pb
from .conftest import Server


async def entries(api: Api, **request: Any) -> list[Any]:
    """The first page of the log."""
    response = await api.fleet.ListAuditEntries(fleet_pb.ListAuditEntriesRequest(**request))
    return list(response.entries)


async def test_every_manual_act_is_in_the_log_with_actor_reason_and_count(api: Api) -> None:
    ids = await api.submit() + await api.submit()
    live = await api.submit()
    who = {"actor": "ann", "reason": "too slow"}
    await api.tasks.CancelTasks(tasks_pb.CancelTasksRequest(task_ids=ids, **who))
    await api.tasks.CancelTasks(
        tasks_pb.CancelTasksRequest(task_ids=[*ids[:1], *live, "task_x"], **who)
    )
    await api.tasks.RetryTasks(tasks_pb.RetryTasksRequest(task_ids=ids[:1], **who))
    await api.agents.Heartbeat(agents_pb.HeartbeatRequest(agent=agent("agent-9")))
    await api.claim("agent-9", queues=["none"], wait={})
    await api.fleet.DrainAgent(fleet_pb.DrainAgentRequest(agent_id="agent-9", **who))
    pause = fleet_pb.UpdateQueueRequest(queue="red", paused=True, reason="deploy", actor="bob")
    await api.fleet.UpdateQueue(pause)
    found = await entries(api)
    assert [
        (e.action, e.actor, e.reason, e.target, e.matched, e.done) for e in reversed(found)
    ] == [
        ("CancelTasks", "ann", "too slow", "", 2, 2),
        ("CancelTasks", "ann", "too slow", "", 3, 1),
        ("RetryTasks", "ann", "too slow", ids[0], 1, 1),
        ("DrainAgent", "ann", "too slow", "agent-9", 1, 1),
        ("UpdateQueue", "bob", "deploy", "red", 1, 1),
    ]
    assert [e.change for e in found] == ["paused", "", "", "", ""]
    assert [e.id for e in found] == sorted((e.id for e in found), reverse=True)
    assert {e.namespace for e in found} == {"default"}
    assert all(e.id.startswith("audit_") and e.time.seconds for e in found)
    assert await entries(api, namespace="other") == []


async def test_what_is_done_to_schedules_is_in_the_log_with_actor_and_reason(api: Api) -> None:
    rule = {"cron": {"expression": "0 0 * * *"}, "task": {"name": "nightly"}}
    calls = ("Schedule", "PauseSchedule", "ResumeSchedule", "TriggerSchedule", "DeleteSchedule")
    for call in calls:
        request = getattr(schedules_pb, f"{call}Request")(
            schedule_id="s", actor="ann", reason=f"to see {call}"
        )
        if call == "Schedule":
            request.spec.CopyFrom(schedules_pb.ScheduleRequest(spec=rule).spec)
        await getattr(api.schedules, call)(request)
    found = [(e.action, e.actor, e.target, e.reason) for e in reversed(await entries(api))]
    assert found == [(call, "ann", "s", f"to see {call}") for call in calls]


async def test_the_older_field_of_the_reason_is_read_where_there_is_no_reason(api: Api) -> None:
    await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="a", note="old"))
    await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="a", note="old", reason="new"))
    assert [(e.actor, e.reason) for e in await entries(api)] == [
        ("unknown", "new"),
        ("unknown", "old"),
    ]


async def test_blanks_are_neither_an_actor_nor_a_reason(api: Api) -> None:
    blank = {"actor": " \t", "reason": "  \n "}
    await api.fleet.UpdateQueue(
        fleet_pb.UpdateQueueRequest(queue="red", paused=True, note=" lunch ", **blank)
    )
    frozen = (await api.fleet.Freeze(fleet_pb.FreezeRequest(**blank))).hold
    assert (frozen.actor, frozen.reason) == ("unknown", "")
    assert [(e.actor, e.reason) for e in await entries(api)] == [
        ("unknown", ""),
        ("unknown", "lunch"),
    ]


async def test_a_repeated_request_is_in_the_log_once(api: Api) -> None:
    ids = await api.submit()
    request = tasks_pb.CancelTasksRequest(task_ids=ids, request_id=new_request_id())
    await api.tasks.CancelTasks(request)
    await api.tasks.CancelTasks(request)
    assert len(await entries(api)) == 1


async def test_the_log_is_read_page_by_page_and_outlives_the_server(
    server: Server, api: Api
) -> None:
    for number in range(5):
        await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue=f"q{number}"))
    seen: list[str] = []
    token = ""
    while True:
        page = await api.fleet.ListAuditEntries(
            fleet_pb.ListAuditEntriesRequest(page_size=2, page_token=token)
        )
        seen += [e.target for e in page.entries]
        token = page.next_page_token
        if not token:
            break
        # What comes meanwhile is newer than what is still to be read.
        await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="later"))
    assert seen == ["q4", "q3", "q2", "q1", "q0"]
    again = Server(server.settings)
    await server.stop()
    try:
        await again.start()
        assert len(await entries(again.api)) == 7
    finally:
        await again.stop()


@pytest.mark.parametrize("field", ["reason", "actor"])
async def test_a_text_that_is_too_long_is_refused(api: Api, field: str) -> None:
    long: dict[str, Any] = {field: "x" * 1025}
    calls = (
        api.tasks.CancelTasks(tasks_pb.CancelTasksRequest(**long)),
        api.tasks.RetryTasks(tasks_pb.RetryTasksRequest(**long)),
        api.fleet.DrainAgent(fleet_pb.DrainAgentRequest(agent_id="a", **long)),
    )
    for call in calls:
        error = await refused(call)
        assert (error.reason, list(error.fields)) == ("INVALID_FIELD", [field])


async def test_what_an_operator_can_do_is_in_the_log_by_its_name(api: Api) -> None:
    who = {"actor": "ann", "reason": "why"}
    (task_id,) = await api.submit()
    named = {"task_ids": [task_id], **who}
    hold = {"kind": hold_pb2.HOLD_KIND_TASK_NAME, "subject": "work", **who}
    retention = {"succeeded": {"seconds": 60}}
    await api.tasks.UpdateTasks(tasks_pb.UpdateTasksRequest(update={"priority": 7}, **named))
    await api.claim_one()
    await api.tasks.PauseTasks(tasks_pb.PauseTasksRequest(**named))
    await api.tasks.ResumeTasks(tasks_pb.ResumeTasksRequest(**named))
    await api.tasks.RerunTasks(tasks_pb.RerunTasksRequest(**named))
    await api.fleet.Freeze(fleet_pb.FreezeRequest(**who))
    await api.fleet.Thaw(fleet_pb.ThawRequest(**who))
    await api.fleet.Thaw(fleet_pb.ThawRequest(**who))
    await api.fleet.PutHold(fleet_pb.PutHoldRequest(**hold))
    await api.fleet.ReleaseHold(fleet_pb.ReleaseHoldRequest(**hold))
    settings = fleet_pb.UpdateNamespaceRequest(retention=retention, **who)
    await api.fleet.UpdateNamespace(settings)
    found = await entries(api)
    assert {(e.actor, e.reason) for e in found} == {("ann", "why")}
    assert [(e.action, e.target, e.done) for e in reversed(found)] == [
        ("UpdateTasks", task_id, 1),
        ("PauseTasks", task_id, 1),
        ("ResumeTasks", task_id, 1),
        ("RerunTasks", task_id, 0),
        ("Freeze", "default", 1),
        ("Thaw", "default", 1),
        ("Thaw", "default", 0),
        ("PutHold", "work", 1),
        ("ReleaseHold", "work", 1),
        ("UpdateNamespace", "default", 1),
    ]
