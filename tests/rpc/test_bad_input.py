"""Bad input over a real channel: each kind gets a precise error with its reason, and nothing is lost."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck_server.engine.commands import Command
from quarterdeck_server.rpc.tokens import watch_token
from quarterdeck_server.store.base import StoreUnavailable

from .api import (
    Api,
    Error,
    agent,
    agents_pb,
    fleet_pb,
    new_request_id,
    payload,
    refused,
    schedules_pb,
    spec,
    tasks_pb,
    watch_pb,
)
from .conftest import Server


async def list_tasks(api: Api, **request: Any) -> Any:
    """A page of tasks_pb."""
    return await api.tasks.ListTasks(tasks_pb.ListTasksRequest(**request))


async def test_a_filter_with_an_unknown_queue_names_it_and_a_likely_one(api: Api) -> None:
    await api.submit(spec(queue="emails"))
    error = await refused(list_tasks(api, filter="queue:email state:ready"))
    assert (error.code, error.reason) == (5, "QUEUE_NOT_FOUND")
    assert error.metadata == {"queue": "email"}
    assert "did you mean 'emails'" in error.message
    count = api.tasks.CountTasks(tasks_pb.CountTasksRequest(filter="!queue:nothing"))
    assert (await refused(count)).reason == "QUEUE_NOT_FOUND"
    # Parts of names are searches and no claim that there is such a queue.
    assert not (await list_tasks(api, filter="queue:nothing*")).tasks


@pytest.mark.parametrize(
    ("text", "position"),
    [("state:redy", "6"), ("colour:red", "0"), ("state:ready ) x", "12"), ("age>soon", "4")],
)
async def test_a_filter_that_cannot_be_understood_is_refused_with_its_place(
    api: Api, text: str, position: str
) -> None:
    for call in (
        list_tasks(api, filter=text),
        api.tasks.CountTasks(tasks_pb.CountTasksRequest(filter=text)),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (3, "INVALID_FILTER")
        assert error.metadata == {"field": "filter", "position": position}
        assert list(error.fields) == ["filter"]


async def test_every_list_and_the_watch_refuse_a_bad_filter(api: Api) -> None:
    kind = watch_pb.RESOURCE_KIND_QUEUE
    bad = {"filter": "nonsense:1"}
    watch = api.watches.Watch(watch_pb.WatchRequest(kinds=[kind], **bad))
    for call in (
        api.fleet.ListAgents(fleet_pb.ListAgentsRequest(**bad)),
        api.fleet.ListQueues(fleet_pb.ListQueuesRequest(**bad)),
        api.schedules.ListSchedules(schedules_pb.ListSchedulesRequest(**bad)),
        watch.read(),
    ):
        assert (await refused(call)).reason == "INVALID_FILTER"


@pytest.mark.parametrize(
    ("when", "field"),
    [
        ({"cron": {"expression": "61 * * * *"}}, "spec.cron.expression"),
        ({"cron": {"expression": ""}}, "spec.cron.expression"),
        ({"cron": {"expression": "0 0 30 2 *"}}, "spec.cron.expression"),
        ({"cron": {"expression": "@daily", "time_zone": "Mars/Base"}}, "spec.cron.time_zone"),
        ({"interval": {"nanos": 5}}, "spec.interval"),
        ({"cron": {"expression": "@daily"}, "end_time": Timestamp(seconds=9)}, "spec.end_time"),
    ],
)
async def test_a_malformed_rule_is_refused_with_its_field(
    api: Api, when: dict[str, Any], field: str
) -> None:
    rule = {"task": spec(), **when}
    request = schedules_pb.ScheduleRequest(schedule_id="bad", spec=rule)
    error = await refused(api.schedules.Schedule(request))
    assert (error.code, error.reason) == (3, "INVALID_SCHEDULE")
    assert list(error.fields) == [field]
    assert error.metadata == {"field": field}


async def test_a_schedule_without_a_rule_or_with_a_task_of_its_own_is_refused(api: Api) -> None:
    request = schedules_pb.ScheduleRequest(
        schedule_id="bad id",
        spec={"task": spec(name="", delay={"seconds": 1}, depends_on=["#0"], parent_id="x")},
    )
    error = await refused(api.schedules.Schedule(request))
    assert error.reason == "INVALID_FIELD"
    assert set(error.fields) >= {
        "schedule_id",
        "spec.when",
        "spec.task.name",
        "spec.task.delay",
        "spec.task.depends_on",
        "spec.task.parent_id",
    }


async def test_a_schedule_that_is_over_cannot_be_resumed(api: Api, server: Server) -> None:
    now = server.core.clock.now() // 1_000_000
    rule = {"task": spec(), "interval": {"seconds": 1}, "end_time": Timestamp(seconds=now + 2)}
    request = schedules_pb.ScheduleRequest(schedule_id="short", spec=rule)
    await api.schedules.Schedule(request)
    await api.claim_one(wait={"seconds": 10})
    resume = schedules_pb.ResumeScheduleRequest(schedule_id="short")
    error = await refused(api.schedules.ResumeSchedule(resume))
    assert (error.code, error.reason) == (9, "SCHEDULE_ENDED")
    assert error.metadata == {"schedule_id": "short"}


async def test_a_payload_over_the_limit_is_refused_alone(api: Api) -> None:
    limit = 1024 * 1024
    request = tasks_pb.SubmitRequest(
        tasks=[spec(input=payload(b"x" * (limit + 1))), spec(input=payload(b"x" * limit))]
    )
    large, fine = (await api.tasks.Submit(request)).results
    error = Error(large.error)
    assert (error.code, error.reason) == (3, "PAYLOAD_TOO_LARGE")
    assert error.metadata == {
        "field": "tasks[0].input.data",
        "size": str(limit + 1),
        "limit": str(limit),
    }
    assert len((await api.get(fine.task_id)).input.data) == limit


async def test_a_stale_and_a_foreign_lease_token_are_refused(api: Api) -> None:
    (task_id,) = await api.submit(spec(retry={"max_attempts": 5}))
    stale = await api.claim_one()
    await api.report(stale, released={})
    current = await api.claim_one("agent-2")
    error = Error((await api.report(stale, succeeded={})).error)
    assert (error.code, error.reason) == (9, "LEASE_LOST")
    assert error.metadata == {"task_id": task_id, "attempt": "1"}
    forged = agents_pb.ClaimedTask(task_id=task_id, lease_token=bytes(12))
    assert Error((await api.report(forged, succeeded={})).error).reason == "LEASE_LOST"
    assert not (await api.report(current, "agent-2", succeeded={})).HasField("error")


async def test_a_report_for_an_unknown_task_is_refused(api: Api) -> None:
    forged = agents_pb.ClaimedTask(task_id="task_0000000000001", lease_token=bytes(12))
    assert Error((await api.report(forged, succeeded={})).error).reason == "TASK_NOT_FOUND"


async def test_a_request_id_with_another_body_is_refused_and_does_nothing(api: Api) -> None:
    request_id = new_request_id()
    (task_id,) = await api.submit(request_id=request_id)
    for call in (
        api.submit(spec(name="other"), request_id=request_id),
        api.submit(spec(), spec(), request_id=request_id),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (3, "REQUEST_ID_REUSED")
        assert error.metadata == {"request_id": request_id}
    cancel = tasks_pb.CancelTasksRequest(task_ids=[task_id], request_id=request_id)
    await api.tasks.CancelTasks(cancel)
    assert (await api.tasks.CountTasks(tasks_pb.CountTasksRequest())).total == 1


async def test_a_page_token_serves_only_the_list_that_gave_it(api: Api) -> None:
    await api.submit(*(spec() for _ in range(3)))
    token = (await list_tasks(api, page_size=1)).next_page_token
    damaged = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    queues = fleet_pb.ListQueuesRequest(page_token=token)
    for call in (
        list_tasks(api, page_token=token, filter="state:ready"),
        list_tasks(api, page_token=token, order_by="name"),
        list_tasks(api, page_token=token, namespace="tenant"),
        list_tasks(api, page_token=damaged),
        list_tasks(api, page_token="nonsense"),
        list_tasks(api, page_token="ünï"),
        api.fleet.ListQueues(queues),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (3, "INVALID_PAGE_TOKEN")
    assert len((await list_tasks(api, page_token=token)).tasks) == 2


async def test_a_watch_token_of_another_database_a_damaged_and_a_future_one_have_expired(
    api: Api, server: Server
) -> None:
    await api.submit()
    own = server.core.store.store_id
    for token in (
        watch_token("another", 1),
        watch_token(own, 10**9),
        watch_token(own, 1)[:-1],
        "nonsense",
    ):
        call = api.watches.Watch(watch_pb.WatchRequest(resume_token=token))
        error = await refused(call.read())
        assert (error.code, error.reason) == (11, "WATCH_TOKEN_EXPIRED")


async def test_a_watch_with_impossible_wishes_is_refused_with_the_fields(api: Api) -> None:
    request = watch_pb.WatchRequest(kinds=[99], mode=99, filter="x")
    error = await refused(api.watches.Watch(request).read())
    assert {"kinds", "mode"} <= set(error.fields)
    request = watch_pb.WatchRequest(filter="state:ready")
    assert list((await refused(api.watches.Watch(request).read())).fields) == ["filter"]
    pools = [watch_pb.RESOURCE_KIND_POOL]
    request = watch_pb.WatchRequest(filter="name:x", kinds=pools)
    assert list((await refused(api.watches.Watch(request).read())).fields) == ["filter"]


async def test_invalid_utf8_is_refused_with_the_field(api: Api) -> None:
    good = tasks_pb.SubmitRequest(tasks=[spec(), spec(name="caf__", labels={"k": "v"})])
    raw = good.SerializeToString().replace(b"caf__", b"caf\xff\xfe")
    submit = api.channel.unary_unary(
        "/quarterdeck.v1.TaskService/Submit",
        request_serializer=lambda data: data,
        response_deserializer=tasks_pb.SubmitResponse.FromString,
    )
    error = await refused(submit(raw))
    assert (error.code, error.reason) == (3, "INVALID_FIELD")
    assert error.fields == {"tasks[1].name": "the text is not valid UTF-8"}
    error = await refused(submit(b"\xff\xff\xff"))
    assert (error.code, error.reason) == (3, "INVALID_FIELD")
    assert "SubmitRequest" in error.message
    watch: Any = api.channel.unary_stream(
        "/quarterdeck.v1.WatchService/Watch", request_serializer=lambda data: data
    )
    assert list((await refused(watch(b"\x0a\x01\xff").read())).fields) == ["namespace"]
    assert (await api.tasks.CountTasks(tasks_pb.CountTasksRequest())).total == 0


async def test_too_many_items_are_refused_with_the_limit(api: Api) -> None:
    info = agent()
    leases = [agents_pb.LeaseBeat()] * 10_001
    reports = [agents_pb.AttemptReport()] * 5001
    chunks = [agents_pb.LogChunk()] * 1001
    calls = {
        5000: [
            api.tasks.Submit(tasks_pb.SubmitRequest(tasks=[spec()] * 5001)),
            api.tasks.CancelTasks(tasks_pb.CancelTasksRequest(task_ids=["x"] * 5001)),
            api.tasks.RetryTasks(tasks_pb.RetryTasksRequest(task_ids=["x"] * 5001)),
            api.agents.Report(agents_pb.ReportRequest(agent_id="a", reports=reports)),
        ],
        1000: [api.agents.AppendLogs(agents_pb.AppendLogsRequest(agent_id="a", chunks=chunks))],
        10_000: [api.agents.Heartbeat(agents_pb.HeartbeatRequest(agent=info, leases=leases))],
    }
    for limit, refusals in calls.items():
        for call in refusals:
            error = await refused(call)
            assert (error.code, error.reason) == (8, "LIMIT_EXCEEDED")
            assert error.metadata == {"limit": str(limit)}


@pytest.mark.parametrize(
    ("request_fields", "fields"),
    [
        ({"agent": agent("")}, ["agent.agent_id"]),
        ({"agent": agent("no spaces")}, ["agent.agent_id"]),
        ({"agent": agent(name="n" * 257, slots=-1)}, ["agent.name", "agent.slots"]),
        ({"queues": ["q", ""]}, ["queues[1]"]),
        ({"names": ["fine", "no\nname"]}, ["names[1]"]),
        ({"max_tasks": 1001}, ["max_tasks"]),
        ({"max_tasks": -1}, ["max_tasks"]),
        ({"wait": {"seconds": -1}}, ["wait"]),
        ({"request_id": "r" * 65}, ["request_id"]),
    ],
)
async def test_a_bad_claim_names_every_wrong_field(
    api: Api, request_fields: dict[str, Any], fields: list[str]
) -> None:
    error = await refused(api.claim(**request_fields))
    assert (error.code, error.reason) == (3, "INVALID_FIELD")
    assert sorted(error.fields) == sorted(fields)
    assert error.metadata["field"] in fields


async def test_other_wrong_fields_are_named(api: Api) -> None:
    update = fleet_pb.UpdateQueueRequest(queue="no queue", reason="n" * 1025)
    preview = schedules_pb.PreviewScheduleRequest(count=101)
    cancel = tasks_pb.CancelTasksRequest(reason="r" * 1025, actor="\0")
    logs = tasks_pb.ReadLogsRequest(task_id="task_0000000000001", page_size=-1)
    for call, fields in (
        (list_tasks(api, order_by="colour"), {"order_by"}),
        (list_tasks(api, page_size=-1), {"page_size"}),
        (list_tasks(api, namespace="no tenant"), {"namespace"}),
        (api.get("nonsense"), {"task_id"}),
        (api.fleet.UpdateQueue(update), {"queue", "reason"}),
        (api.schedules.PreviewSchedule(preview), {"count", "spec"}),
        (api.tasks.CancelTasks(cancel), {"reason", "actor"}),
        (api.tasks.ReadLogs(logs), {"page_size"}),
    ):
        error = await refused(call)
        assert (error.code, error.reason, set(error.fields)) == (3, "INVALID_FIELD", fields)


async def test_a_store_that_fails_is_told_with_a_wait_and_nothing_is_applied(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(command: Command) -> Any:
        raise StoreUnavailable("disk I/O error at /secret/path")

    with monkeypatch.context() as broken:
        broken.setattr(server.core, "execute", fails)
        error = await refused(api.submit())
    assert (error.code, error.reason) == (14, "STORE_UNAVAILABLE")
    assert error.retry_seconds > 0
    assert "secret" not in error.message
    assert (await api.tasks.CountTasks(tasks_pb.CountTasksRequest())).total == 0


async def test_a_defect_shows_an_incident_and_nothing_else(
    api: Api,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(command: Command) -> Any:
        raise KeyError("secret")

    monkeypatch.setattr(server.core, "execute", fails)
    error = await refused(api.submit())
    assert (error.code, error.reason) == (13, "INTERNAL")
    assert "secret" not in error.message
    (record,) = [r for r in caplog.records if r.name.startswith("quarterdeck_server.rpc")]
    assert record.__dict__["fields"]["incident"] == error.metadata["incident"]
    assert record.exc_info is not None and "secret" in str(record.exc_info[1])


async def test_a_draining_server_tells_agents_to_call_again(server: Server) -> None:
    api = server.api
    await api.settle()
    server.core.drain()
    error = await refused(api.claim())
    assert (error.code, error.reason) == (14, "DRAINING")
    assert error.retry_seconds > 0


async def test_an_unknown_method_is_unimplemented(api: Api) -> None:
    call: Any = api.channel.unary_unary("/quarterdeck.v1.TaskService/Nonsense")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_more_dependencies_than_a_group_should_hold_are_refused_as_a_whole(api: Api) -> None:
    chain = [f"#{place}" for place in range(700)]
    specs = [spec(depends_on=chain[:place]) for place in range(700)]
    error = await refused(api.tasks.Submit(tasks_pb.SubmitRequest(tasks=specs)))
    assert (error.reason, error.metadata) == ("LIMIT_EXCEEDED", {"limit": "200000"})
    assert "tasks.depends_on" in error.message
    assert not (await list_tasks(api)).tasks
