"""Limits of queues, freezes and holds, settings of a namespace, and the audit log."""

from __future__ import annotations

import json

import grpc
import pytest

from quarterdeck.cli._exit import ExitCode
from quarterdeck.v1.audit_pb2 import AuditEntry
from quarterdeck.v1.fleet_service_pb2 import (
    FreezeRequest,
    FreezeResponse,
    GetNamespaceResponse,
    ListAuditEntriesRequest,
    ListAuditEntriesResponse,
    ListHoldsResponse,
    ListQueuesRequest,
    ListQueuesResponse,
    PutHoldRequest,
    PutHoldResponse,
    ReleaseHoldRequest,
    ReleaseHoldResponse,
    ThawResponse,
    UpdateNamespaceRequest,
    UpdateNamespaceResponse,
    UpdateQueueRequest,
    UpdateQueueResponse,
)
from quarterdeck.v1.hold_pb2 import Hold, HoldKind
from quarterdeck.v1.namespace_pb2 import Namespace
from quarterdeck.v1.queue_pb2 import ArrivalPolicy, OverflowPolicy, Queue, QueueLimits

from .conftest import Refusal, Run, ScriptedServer, status


@pytest.fixture
def queue(server: ScriptedServer) -> Queue:
    """The one queue of a server, which keeps the limits that it is given."""
    kept = Queue(name="deep")

    def update(request: UpdateQueueRequest) -> UpdateQueueResponse:
        if request.HasField("limits"):
            kept.limits.CopyFrom(request.limits)
        return UpdateQueueResponse(queue=kept)

    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=[kept]))
    server.on("FleetService/UpdateQueue", update)
    return kept


def test_every_limit_reaches_the_server(server: ScriptedServer, run: Run, queue: Queue) -> None:
    result = run(
        *("queue", "limits", "deep", "--concurrency", "50", "--per-key", "5:cancel-oldest"),
        *("--rate", "100/1m,burst=200", "--key-rate", "10/s", "--ageing", "5m"),
        *("--weight", "acme=3", "--reason", "why"),
    )
    assert result.exit_code == 0, result.output
    limits = queue.limits
    assert limits.concurrency.limit == 50
    assert limits.concurrency_per_key.overflow == OverflowPolicy.OVERFLOW_POLICY_CANCEL_OLDEST
    assert (limits.rate.units, limits.rate.period.seconds, limits.rate.burst) == (100, 60, 200)
    assert (limits.rate_per_key.units, limits.rate_per_key.period.seconds) == (10, 1)
    assert (limits.ageing.seconds, dict(limits.weights)) == (300, {"acme": 3})
    for shown in (
        "50; over it tasks wait",
        "5; over it the oldest task is cancelled",
        "100 in 1m, burst 200",
    ):
        assert shown in result.stdout
    (request,) = server.asked(UpdateQueueRequest)
    assert (request.reason, request.HasField("paused")) == ("why", False)


def test_a_limit_that_is_not_given_stays(run: Run, queue: Queue) -> None:
    run("queue", "limits", "deep", "--concurrency", "50", "--rate", "1/s", "--weight", "a=2")
    run("queue", "limits", "deep", "--concurrency", "0", "--weight", "a=0", "--weight", "b=4")
    assert not queue.limits.HasField("concurrency")
    assert queue.limits.rate.units == 1
    assert dict(queue.limits.weights) == {"b": 4}


def test_clear_removes_what_is_not_given(run: Run, queue: Queue) -> None:
    run("queue", "limits", "deep", "--concurrency", "50", "--rate", "1/s")
    run("queue", "limits", "deep", "--clear", "--per-key", "2")
    assert not queue.limits.HasField("rate")
    assert queue.limits.concurrency_per_key.limit == 2
    run("queue", "limits", "deep", "--clear")
    assert queue.limits == QueueLimits()


def test_limits_without_an_option_are_only_shown(
    server: ScriptedServer, run: Run, queue: Queue
) -> None:
    assert "deep" in run("queue", "limits", "deep").stdout
    assert run("queue", "limits", 'no" | name:"such').exit_code == ExitCode.NOT_FOUND
    assert server.asked(UpdateQueueRequest) == []
    assert server.asked(ListQueuesRequest)[1].filter == 'name:"no\\" | name:\\"such"'


@pytest.mark.parametrize(
    "arguments",
    [
        ["--concurrency", "many"],
        ["--concurrency", "5:explode"],
        ["--rate", "100"],
        ["--rate", "100/1m,burst=x"],
        ["--weight", "acme"],
    ],
)
def test_a_limit_that_cannot_be_is_a_usage_error(
    server: ScriptedServer, run: Run, arguments: list[str]
) -> None:
    assert run("queue", "limits", "deep", *arguments).exit_code == ExitCode.USAGE
    assert server.requests == []


def test_a_pause_may_drop_what_arrives(server: ScriptedServer, run: Run, queue: Queue) -> None:
    queue.paused = True
    result = run("queue", "pause", "deep", "--drop", "--actor", "ann")
    assert result.stdout == "deep paused, what arrives is dropped\n"
    (request,) = server.asked(UpdateQueueRequest)
    assert request.paused_arrivals == ArrivalPolicy.ARRIVAL_POLICY_DROP
    assert request.actor == "ann"


def test_a_namespace_is_frozen_and_thawed(server: ScriptedServer, run: Run) -> None:
    hold = Hold(kind=HoldKind.HOLD_KIND_NAMESPACE, actor="ann\x1b[2J", reason="billed twice")
    hold.create_time.GetCurrentTime()
    server.on("FleetService/Freeze", lambda _: FreezeResponse(hold=hold))
    answers = [ThawResponse(thawed=True), ThawResponse()]
    server.on("FleetService/Thaw", lambda _: answers.pop(0))
    frozen = run("freeze", "--reason", "stop").stdout
    assert frozen.startswith("default frozen already by ann, ")
    assert frozen.endswith(" ago: billed twice\n")
    assert run("thaw").stdout == "default thawed\n"
    assert run("thaw").stdout == "default was not frozen\n"
    assert server.asked(FreezeRequest)[0].reason == "stop"


def test_things_are_held_listed_and_released(server: ScriptedServer, run: Run) -> None:
    hold = Hold(kind=HoldKind.HOLD_KIND_TASK_NAME, subject="research", actor="ann", reason="bad")
    rule = Hold(kind=HoldKind.HOLD_KIND_AGENT, subject="a-1", quarantined=True, actor="server")
    server.on("FleetService/PutHold", lambda _: PutHoldResponse(hold=hold))
    server.on("FleetService/ReleaseHold", lambda _: ReleaseHoldResponse(hold=hold))
    server.on("FleetService/ListHolds", lambda _: ListHoldsResponse(holds=[rule, hold]))
    put = run("hold", "put", "task-name", "research", "--drop", "--reason", "bad")
    assert put.stdout == "task-name research held by ann: bad\n"
    rows = [line.split() for line in run("hold", "list").stdout.splitlines()]
    assert rows[1:] == [
        ["agent", "a-1", "quarantined", "server"],
        ["task-name", "research", "held", "ann", "bad"],
    ]
    release = run("hold", "release", "agent-version", "r@1.2")
    assert release.stdout == "agent-version r@1.2 released\n"
    assert server.asked(PutHoldRequest)[0].arrivals == ArrivalPolicy.ARRIVAL_POLICY_DROP
    (request,) = server.asked(ReleaseHoldRequest)
    assert (request.kind, request.subject) == (HoldKind.HOLD_KIND_AGENT_VERSION, "r@1.2")


def test_what_is_not_held_cannot_be_released(server: ScriptedServer, run: Run) -> None:
    def release(request: ReleaseHoldRequest) -> ReleaseHoldResponse:
        raise Refusal(status(grpc.StatusCode.NOT_FOUND, "HOLD_NOT_FOUND", "nothing is held"))

    server.on("FleetService/ReleaseHold", release)
    assert run("hold", "release", "agent", "a").exit_code == ExitCode.NOT_FOUND


def test_settings_that_are_not_given_stay(server: ScriptedServer, run: Run) -> None:
    kept = Namespace(name="default")
    kept.retention.failed.seconds = kept.effective_retention.failed.seconds = 60
    kept.quarantine.agent = 5

    def update(request: UpdateNamespaceRequest) -> UpdateNamespaceResponse:
        return UpdateNamespaceResponse(namespace=kept)

    server.on("FleetService/GetNamespace", lambda _: GetNamespaceResponse(namespace=kept))
    server.on("FleetService/UpdateNamespace", update)
    shown = run("namespace", "get").stdout
    assert "failed kept         1m\n" in shown
    assert "agent held          after 5 failures in a row" in shown
    assert "task name held      never" in shown
    run("namespace", "set", "--keep-succeeded", "1d", "--reason", "disk")
    run("namespace", "set", "--quarantine-name", "20", "--quarantine-agent", "0")
    keep, rules = server.asked(UpdateNamespaceRequest)
    assert (keep.retention.succeeded.seconds, keep.reason) == (86_400, "disk")
    assert list(keep.update_mask.paths) == ["retention.succeeded"]
    assert (rules.quarantine.task_name, rules.quarantine.agent) == (20, 0)
    assert list(rules.update_mask.paths) == ["quarantine.task_name", "quarantine.agent"]
    assert run("namespace", "set").exit_code == ExitCode.USAGE


def test_the_audit_log_is_listed_over_pages(server: ScriptedServer, run: Run) -> None:
    def page(request: ListAuditEntriesRequest) -> ListAuditEntriesResponse:
        start = int(request.page_token or 0)
        entries = [
            AuditEntry(id=str(n), actor="a\x1b[2Jnn", action="Freeze", matched=2, done=1)
            for n in range(start, start + request.page_size)
        ]
        return ListAuditEntriesResponse(entries=entries, next_page_token=str(start + len(entries)))

    server.on("FleetService/ListAuditEntries", page)
    found = json.loads(run("audit", "list", "--limit", "1500", "-o", "json").stdout)
    assert [entry["id"] for entry in found["entries"]] == [str(n) for n in range(1500)]
    row = run("audit", "list", "--limit", "1").stdout.splitlines()[1]
    assert row.split() == ["ann", "Freeze", "1/2"]
