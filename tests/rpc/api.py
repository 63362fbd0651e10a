"""Stubs of every service, and what tests do with them again and again."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest

from quarterdeck.v1 import (
    agent_pb2,
    agent_service_pb2,
    agent_service_pb2_grpc,
    error_reason_pb2,
    fleet_service_pb2,
    fleet_service_pb2_grpc,
    payload_pb2,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
    status_pb2,
    system_service_pb2,
    system_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
    watch_service_pb2,
    watch_service_pb2_grpc,
)

# Parts of messages are given as dicts in tests, which protobuf takes and its types do not tell.
agents_pb: Any = agent_service_pb2
fleet_pb: Any = fleet_service_pb2
schedules_pb: Any = schedule_service_pb2
tasks_pb: Any = task_service_pb2
watch_pb: Any = watch_service_pb2


class Api:
    """Every stub on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.agents: Any = agent_service_pb2_grpc.AgentServiceStub(channel)
        self.fleet: Any = fleet_service_pb2_grpc.FleetServiceStub(channel)
        self.schedules: Any = schedule_service_pb2_grpc.ScheduleServiceStub(channel)
        self.system: Any = system_service_pb2_grpc.SystemServiceStub(channel)
        self.tasks: Any = task_service_pb2_grpc.TaskServiceStub(channel)
        self.watches: Any = watch_service_pb2_grpc.WatchServiceStub(channel)

    async def settle(self) -> None:
        """Let calls that were begun reach the server: one connection keeps their order."""
        for _ in range(3):
            await self.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())

    async def submit(self, *specs: task_pb2.TaskSpec, **request: Any) -> list[str]:
        """Submit tasks that must be accepted; return their ids."""
        response = await self.tasks.Submit(
            task_service_pb2.SubmitRequest(tasks=specs or [spec()], **request)
        )
        assert not any(result.HasField("error") for result in response.results), response
        return [result.task_id for result in response.results]

    async def claim(self, agent_id: str = "agent-1", **request: Any) -> Any:
        """Claim as an agent, waiting for a moment unless told otherwise."""
        request = {"agent": agent(agent_id), "max_tasks": 10, "wait": {"seconds": 5}, **request}
        return await self.agents.Claim(agent_service_pb2.ClaimRequest(**request))

    async def claim_one(self, agent_id: str = "agent-1", **request: Any) -> Any:
        """Claim exactly one task."""
        response = await self.claim(agent_id, max_tasks=1, **request)
        (task,) = response.tasks
        return task

    async def report(self, task: Any, agent_id: str = "agent-1", **outcome: Any) -> Any:
        """Report one attempt; return the result."""
        report = agent_service_pb2.AttemptReport(
            task_id=task.task_id, lease_token=task.lease_token, **outcome
        )
        response = await self.agents.Report(
            agent_service_pb2.ReportRequest(agent_id=agent_id, reports=[report])
        )
        (result,) = response.results
        return result

    async def get(self, task_id: str, **request: Any) -> Any:
        """One task with all that belongs to it."""
        return await self.tasks.GetTask(task_service_pb2.GetTaskRequest(task_id=task_id, **request))


def agent(agent_id: str = "agent-1", **info: Any) -> agent_pb2.AgentInfo:
    """An agent as it describes itself."""
    return agent_pb2.AgentInfo(**{"agent_id": agent_id, "name": "tester", "slots": 10, **info})


def spec(name: str = "work", **fields: Any) -> task_pb2.TaskSpec:
    """A task to submit."""
    return task_pb2.TaskSpec(name=name, **fields)


def payload(data: bytes = b"{}", content_type: str = "") -> payload_pb2.Payload:
    """A payload."""
    return payload_pb2.Payload(content_type=content_type, data=data)


def new_request_id() -> str:
    """A request id that nobody used."""
    return uuid.uuid4().hex


class Error:
    """An error as a client reads it, with Google's type URLs."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.code = status.code
        self.message = status.message
        self.details = {detail.type_url: detail.value for detail in status.details}
        self.info = status_pb2.ErrorInfo.FromString(
            self.details["type.googleapis.com/google.rpc.ErrorInfo"]
        )

    @property
    def reason(self) -> str:
        """The reason, which must be one of ErrorReason."""
        assert error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{self.info.reason}") > 0
        assert self.info.domain == "quarterdeck"
        return self.info.reason

    @property
    def metadata(self) -> dict[str, str]:
        """The facts of the error."""
        return dict(self.info.metadata)

    @property
    def fields(self) -> dict[str, str]:
        """The wrong fields with what is wrong."""
        data = self.details["type.googleapis.com/google.rpc.BadRequest"]
        violations = status_pb2.BadRequest.FromString(data).field_violations
        return {violation.field: violation.description for violation in violations}

    @property
    def retry_seconds(self) -> float:
        """After how long to try again."""
        data = self.details["type.googleapis.com/google.rpc.RetryInfo"]
        delay = status_pb2.RetryInfo.FromString(data).retry_delay
        return delay.seconds + delay.nanos / 1e9


def error_of(caught: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> Error:
    """The error of a call that was refused; the code and the details must agree."""
    details = dict(list(caught.value.trailing_metadata() or ()))["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = status_pb2.Status.FromString(details)
    assert status.code == caught.value.code().value[0]
    assert status.message == caught.value.details()
    return Error(status)


async def refused(call: Any) -> Error:
    """Await a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_of(caught)
