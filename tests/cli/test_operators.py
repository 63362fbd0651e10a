"""Schedules, agents, queues, pools, watches and the server itself, as an operator calls them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.cli._exit import ExitCode
from quarterdeck.v1.agent_pb2 import Agent, AgentInfo, AgentState
from quarterdeck.v1.fleet_service_pb2 import (
    DrainAgentRequest,
    DrainAgentResponse,
    ListAgentsResponse,
    ListPoolsResponse,
    ListQueuesResponse,
    UpdateQueueRequest,
    UpdateQueueResponse,
)
from quarterdeck.v1.pool_pb2 import Instance, InstanceState, Pool
from quarterdeck.v1.queue_pb2 import Queue, StateCount
from quarterdeck.v1.schedule_pb2 import Schedule
from quarterdeck.v1.schedule_service_pb2 import (
    DeleteScheduleRequest,
    DeleteScheduleResponse,
    GetScheduleResponse,
    ListSchedulesResponse,
    PauseScheduleRequest,
    PauseScheduleResponse,
    PreviewScheduleRequest,
    PreviewScheduleResponse,
    ResumeScheduleResponse,
    ScheduleRequest,
    ScheduleResponse,
    TriggerScheduleResponse,
)
from quarterdeck.v1.system_service_pb2 import GetServerInfoResponse, Limits
from quarterdeck.v1.task_pb2 import Task, TaskState
from quarterdeck.v1.watch_service_pb2 import (
    Change,
    ChangeType,
    ResourceKind,
    WatchMode,
    WatchRequest,
    WatchResponse,
)

from .conftest import Refusal, Run, ScriptedServer, status

CREATED = ChangeType.CHANGE_TYPE_CREATED


def scheduled(request: ScheduleRequest) -> ScheduleResponse:
    schedule = Schedule(id=request.schedule_id, spec=request.spec)
    return ScheduleResponse(schedule=schedule, created=True)


def test_a_cron_schedule_is_set_with_its_task(server: ScriptedServer, run: Run) -> None:
    server.on("ScheduleService/Schedule", scheduled)
    result = run(
        *["schedule", "set", "nightly", "clean", "--queue", "night", "--zone", "Europe/Berlin"],
        *("--cron", "30 2 * * *", "--input", "[1]"),
    )
    assert result.stdout == "nightly created\n", result.output
    (request,) = server.asked(ScheduleRequest)
    assert request.spec.cron.expression == "30 2 * * *"
    assert request.spec.cron.time_zone == "Europe/Berlin"
    assert (request.spec.task.name, request.spec.task.queue) == ("clean", "night")
    assert request.spec.task.input.data == b"[1]"
    assert request.request_id


def test_a_schedules_tasks_have_a_place_and_no_unique_key(server: ScriptedServer, run: Run) -> None:
    server.on("ScheduleService/Schedule", scheduled)
    run("schedule", "set", "a", "t", "--every", "1s", "--group-key", "acme", "--require", "gpu=x")
    (request,) = server.asked(ScheduleRequest)
    assert request.spec.task.group_key == "acme"
    assert dict(request.spec.task.affinity.required) == {"gpu": "x"}
    refused = run("schedule", "set", "a", "t", "--every", "1s", "--unique", "k")
    assert refused.exit_code == ExitCode.USAGE


def test_interval_and_once_schedules_are_set(server: ScriptedServer, run: Run) -> None:
    server.on("ScheduleService/Schedule", scheduled)
    run(*["schedule", "set", "a", "t", "--every", "15s", "--start", "2026-01-01T00:00:00Z"])
    run(*["schedule", "set", "b", "t", "--once", "2026-05-01T08:00:00+02:00"])
    every, once = (request.spec for request in server.asked(ScheduleRequest))
    assert every.interval.seconds == 15
    assert every.start_time.ToDatetime(dt.UTC) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert once.once.ToDatetime(dt.UTC) == dt.datetime(2026, 5, 1, 6, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "a", "t"],
        ["set", "a", "t", "--every", "1s", "--cron", "* * * * *"],
        ["set", "a", "t", "--every", "1s", "--zone", "UTC"],
        ["preview"],
        ["preview", "a", "--every", "1s"],
    ],
)
def test_a_schedule_without_exactly_one_rule_is_a_usage_error(
    server: ScriptedServer, run: Run, arguments: list[str]
) -> None:
    assert run("schedule", *arguments).exit_code == ExitCode.USAGE
    assert server.requests == []


def test_a_preview_prints_the_instants(server: ScriptedServer, run: Run) -> None:
    times = [Timestamp(seconds=86_400 * n) for n in (1, 2)]
    server.on("ScheduleService/PreviewSchedule", lambda _: PreviewScheduleResponse(times=times))
    result = run("schedule", "preview", "--cron", "@daily", "--count", "2", "-o", "json")
    assert json.loads(result.stdout) == {"times": ["1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z"]}
    assert len(run("schedule", "preview", "nightly").stdout.splitlines()) == 2
    by_rule, by_id = server.asked(PreviewScheduleRequest)
    assert (by_rule.spec.cron.expression, by_rule.count) == ("@daily", 2)
    assert by_id.schedule_id == "nightly"
    assert not by_id.HasField("spec")


def test_schedules_are_listed_shown_paused_resumed_triggered_and_deleted(
    server: ScriptedServer, run: Run
) -> None:
    schedule = Schedule(id="nightly", paused=True, pause_note="holiday")
    schedule.spec.interval.seconds = 15
    schedule.spec.task.name = "clean"
    on = server.on
    on("ScheduleService/ListSchedules", lambda _: ListSchedulesResponse(schedules=[schedule]))
    on("ScheduleService/GetSchedule", lambda _: GetScheduleResponse(schedule=schedule))
    on("ScheduleService/PauseSchedule", lambda _: PauseScheduleResponse(schedule=schedule))
    on("ScheduleService/ResumeSchedule", lambda _: ResumeScheduleResponse(schedule=schedule))
    on("ScheduleService/TriggerSchedule", lambda _: TriggerScheduleResponse(task_id="task_1"))
    on("ScheduleService/DeleteSchedule", lambda _: DeleteScheduleResponse())
    assert "every 15s  paused: holiday" in run("schedule", "list").stdout
    assert "every 15s" in run("schedule", "get", "nightly").stdout
    assert run("schedule", "pause", "nightly", "--note", "n").stdout == "nightly paused\n"
    assert server.asked(PauseScheduleRequest)[0].reason == "n"
    assert "nightly resumed" in run("schedule", "resume", "nightly").stdout
    assert run("schedule", "trigger", "nightly").stdout == "task_1\n"
    assert run("schedule", "delete", "nightly", "--actor", "ann").stdout == "nightly deleted\n"
    assert server.asked(DeleteScheduleRequest)[0].actor == "ann"


def test_agents_are_listed(server: ScriptedServer, run: Run) -> None:
    about = AgentInfo(agent_id="agent-1", name="researcher", slots=8, pid=7, hostname="host")
    agent = Agent(info=about, state=AgentState.AGENT_STATE_ACTIVE, running=3, queues=["a", "b"])
    server.on("FleetService/ListAgents", lambda _: ListAgentsResponse(agents=[agent]))
    row = run("agent", "list").stdout.splitlines()[1]
    assert row.split()[:6] == ["agent-1", "researcher", "active", "3", "8", "a"]


def test_draining_many_agents_goes_on_after_a_refusal(server: ScriptedServer, run: Run) -> None:
    def drain(request: DrainAgentRequest) -> DrainAgentResponse:
        if request.agent_id == "gone":
            raise Refusal(status(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", "no such agent"))
        info = AgentInfo(agent_id=request.agent_id)
        return DrainAgentResponse(agent=Agent(info=info, state=AgentState.AGENT_STATE_DRAINING))

    server.on("FleetService/DrainAgent", drain)
    result = run("agent", "drain", "gone", "here")
    assert result.stdout == "here draining, 0 running\n"
    assert result.exit_code == ExitCode.NOT_FOUND


def test_queues_are_listed_with_counts(server: ScriptedServer, run: Run) -> None:
    counts = [StateCount(state=TaskState.TASK_STATE_READY, count=12_345)]
    queues = [Queue(name="deep", counts=counts)]
    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=queues))
    header, row = run("queue", "list").stdout.splitlines()
    assert header.split() == ["QUEUE", "STATE", "READY", "RUNNING", "FAILED"]
    assert row.split() == ["deep", "active", "12,345", "0", "0"]


def test_a_queue_is_paused_and_resumed(server: ScriptedServer, run: Run) -> None:
    def update(request: UpdateQueueRequest) -> UpdateQueueResponse:
        return UpdateQueueResponse(queue=Queue(name=request.queue, paused=request.paused))

    server.on("FleetService/UpdateQueue", update)
    there = ListQueuesResponse(queues=[Queue(name="deep")])
    server.on("FleetService/ListQueues", lambda _: there)
    assert run("queue", "pause", "deep", "--note", "why").stdout == "deep paused\n"
    assert run("queue", "resume", "deep").stdout == "deep resumed\n"
    pause, resume = server.asked(UpdateQueueRequest)
    assert (pause.paused, pause.reason) == (True, "why")
    assert resume.HasField("paused")
    assert not resume.paused


def test_pools_are_listed_with_their_instances(server: ScriptedServer, run: Run) -> None:
    state = InstanceState.INSTANCE_STATE_RUNNING
    response = ListPoolsResponse(
        pools=[Pool(name="demo", queue="demo", launcher="process", max=4)],
        instances=[Instance(id="i-1", pool="demo", state=state, pid=99)],
    )
    server.on("FleetService/ListPools", lambda _: response)
    output = run("pool", "list").stdout
    assert "demo  demo   process" in output
    assert "i-1       demo  running   99" in output


def test_info_shows_version_and_limits(server: ScriptedServer, run: Run) -> None:
    response = GetServerInfoResponse(version="1.2.3", limits=Limits(max_payload_bytes=1 << 20))
    server.on("SystemService/GetServerInfo", lambda _: response)
    output = run("info").stdout
    assert "1.2.3" in output
    assert "1,048,576 bytes" in output


def changes(*numbers: int) -> WatchResponse:
    return WatchResponse(
        changes=[Change(type=CREATED, task=Task(id=f"task_{n}"), revision=n) for n in numbers],
        resume_token=f"token-{numbers[-1]}",
    )


def test_a_watch_prints_one_json_object_a_line(server: ScriptedServer, run: Run) -> None:
    server.on("WatchService/Watch", lambda _: iter([changes(1, 2), changes(3, 4)]))
    result = run("watch", "task", "--filter", "name:a", "--count", "3", "-o", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["task"]["id"] for line in lines] == ["task_1", "task_2", "task_3"]
    (request,) = server.asked(WatchRequest)
    assert list(request.kinds) == [ResourceKind.RESOURCE_KIND_TASK]
    assert request.filter == "name:a"
    assert request.mode == WatchMode.WATCH_MODE_EVERY_CHANGE


def test_a_watch_continues_at_its_token_when_the_server_went_away(
    server: ScriptedServer, run: Run
) -> None:
    def watch(request: WatchRequest) -> Iterator[WatchResponse]:
        if request.resume_token:
            yield changes(3)
        else:
            yield changes(1, 2)
            raise Refusal(status(grpc.StatusCode.UNAVAILABLE, "DRAINING", "stopping"))

    server.on("WatchService/Watch", watch)
    result = run("watch", "--count", "3", "-o", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["revision"] for line in lines] == ["1", "2", "3"]
    assert [r.resume_token for r in server.asked(WatchRequest)] == ["", "token-2"]
    assert "stopping" in result.stderr


def test_a_watch_table_shows_every_kind_on_one_safe_line(server: ScriptedServer, run: Run) -> None:
    everything = [
        Change(type=CREATED, task=Task(id="task_1", name="a\x1b[2Jb\nc")),
        Change(type=CREATED, agent=Agent(info=AgentInfo(agent_id="agent-1"))),
        Change(type=CREATED, queue=Queue(name="deep")),
        Change(type=CREATED, schedule=Schedule(id="nightly")),
        Change(type=CREATED, instance=Instance(id="i-1")),
        Change(type=CREATED, pool=Pool(name="demo")),
    ]
    server.on("WatchService/Watch", lambda _: iter([WatchResponse(changes=everything)]))
    result = run("watch", "--count", "6", COLUMNS="60")
    lines = result.stdout.splitlines()
    words = ["task_1", "agent-1", "deep", "nightly", "i-1", "demo"]
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 6
    assert "\x1b" not in result.stdout
    assert max(map(len, lines)) <= 60


def test_a_filter_over_many_kinds_is_a_usage_error(server: ScriptedServer, run: Run) -> None:
    assert run("watch", "task", "agent", "--filter", "x").exit_code == ExitCode.USAGE
    assert server.requests == []


def test_a_watch_token_that_expired_is_refused(server: ScriptedServer, run: Run) -> None:
    expired = status(grpc.StatusCode.OUT_OF_RANGE, "WATCH_TOKEN_EXPIRED", "too old")

    def watch(request: WatchRequest) -> Iterator[WatchResponse]:
        raise Refusal(expired)
        yield

    server.on("WatchService/Watch", watch)
    assert run("watch", "--resume-token", "x").exit_code == ExitCode.REFUSED
