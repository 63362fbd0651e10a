"""The unary calls of a client: what is asked, and what the answer means.

Each function makes a `Call`, which is data; the blocking and the asynchronous client differ
only in how they wait for it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from quarterdeck._convert import enum_reader, from_message
from quarterdeck._errors import ApiError
from quarterdeck._models import AgentStatus, Queue, Schedule, ServerInfo, Task, TaskDetails
from quarterdeck._specs import When, schedule_spec
from quarterdeck._status import error_from_status
from quarterdeck._times import from_timestamp, to_duration, to_timestamp
from quarterdeck.v1 import (
    fleet_service_pb2,
    schedule_service_pb2,
    system_service_pb2,
    task_pb2,
    task_service_pb2,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_state = enum_reader(task_pb2.TaskState.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One call.

    Attributes:
        service: Name of the stub in a `Link`.
        method: Name of the RPC.
        request: What is sent; repeating it is harmless.
        read: Turns the answer into the result.
        wait: Seconds that the server may hold the answer back.
    """

    service: str
    method: str
    request: Message
    read: Callable[[Any], T_co]
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    items: list[T]
    next_token: str


def _new_id() -> str:
    return uuid.uuid4().hex


def get(namespace: str, task_id: str) -> Call[TaskDetails]:
    """One task in full."""
    request = task_service_pb2.GetTaskRequest(namespace=namespace, task_id=task_id)
    return Call("tasks", "GetTask", request, lambda r: from_message(TaskDetails, r))


def wait(namespace: str, task_id: str, seconds: float) -> Call[task_service_pb2.WaitTaskResponse]:
    """One long poll for the end of a task."""
    request = task_service_pb2.WaitTaskRequest(
        namespace=namespace, task_id=task_id, wait=to_duration(seconds)
    )
    return Call("task_polls", "WaitTask", request, lambda r: r, seconds)


def count(namespace: str, filter: str) -> Call[dict[str, int]]:
    """How many tasks match, by state."""
    request = task_service_pb2.CountTasksRequest(namespace=namespace, filter=filter)
    return Call(
        "tasks", "CountTasks", request, lambda r: {_state(c.state): c.count for c in r.counts}
    )


def cancel(
    namespace: str, task_ids: Sequence[str], reason: str, actor: str, keep_children: bool
) -> Call[list[str | ApiError]]:
    """Request cancels; a state or a refusal per task."""
    request = task_service_pb2.CancelTasksRequest(
        namespace=namespace,
        task_ids=task_ids,
        reason=reason,
        actor=actor,
        keep_children=keep_children,
        request_id=_new_id(),
    )
    return Call("tasks", "CancelTasks", request, _states)


def retry(
    namespace: str, task_ids: Sequence[str], reason: str, actor: str
) -> Call[list[str | ApiError]]:
    """Put ended tasks back; a state or a refusal per task."""
    request = task_service_pb2.RetryTasksRequest(
        namespace=namespace, task_ids=task_ids, reason=reason, actor=actor, request_id=_new_id()
    )
    return Call("tasks", "RetryTasks", request, _states)


def _states(response: Any) -> list[str | ApiError]:
    return [
        error_from_status(r.error) if r.HasField("error") else _state(r.state)
        for r in response.results
    ]


def tasks(namespace: str, filter: str, order_by: str, size: int, token: str) -> Call[Page[Task]]:
    """A page of tasks."""
    request = task_service_pb2.ListTasksRequest(
        namespace=namespace, filter=filter, order_by=order_by, page_size=size, page_token=token
    )
    return Call("tasks", "ListTasks", request, lambda r: _page(Task, r.tasks, r.next_page_token))


def queues(namespace: str, filter: str, size: int, token: str) -> Call[Page[Queue]]:
    """A page of queues."""
    request = fleet_service_pb2.ListQueuesRequest(
        namespace=namespace, filter=filter, page_size=size, page_token=token
    )
    return Call("fleet", "ListQueues", request, lambda r: _page(Queue, r.queues, r.next_page_token))


def agents(namespace: str, filter: str, size: int, token: str) -> Call[Page[AgentStatus]]:
    """A page of agents."""
    request = fleet_service_pb2.ListAgentsRequest(
        namespace=namespace, filter=filter, page_size=size, page_token=token
    )
    return Call(
        "fleet", "ListAgents", request, lambda r: _page(AgentStatus, r.agents, r.next_page_token)
    )


def schedules(namespace: str, filter: str, size: int, token: str) -> Call[Page[Schedule]]:
    """A page of schedules."""
    request = schedule_service_pb2.ListSchedulesRequest(
        namespace=namespace, filter=filter, page_size=size, page_token=token
    )
    return Call(
        "schedules",
        "ListSchedules",
        request,
        lambda r: _page(Schedule, r.schedules, r.next_page_token),
    )


def _page(model: type[T], messages: Iterable[Message], token: str) -> Page[T]:
    return Page([from_message(model, message) for message in messages], token)


def logs(
    namespace: str, task_id: str, after: int, attempt: int, seconds: float
) -> Call[task_service_pb2.ReadLogsResponse]:
    """A page of log lines; waits for one up to `seconds`."""
    request = task_service_pb2.ReadLogsRequest(
        namespace=namespace,
        task_id=task_id,
        after_sequence=after,
        attempt=attempt,
        wait=to_duration(seconds) if seconds else None,
    )
    return Call("task_polls" if seconds else "tasks", "ReadLogs", request, lambda r: r, seconds)


def drain_agent(namespace: str, agent_id: str, reason: str, actor: str) -> Call[AgentStatus]:
    """Tell an agent to drain."""
    request = fleet_service_pb2.DrainAgentRequest(
        namespace=namespace, agent_id=agent_id, reason=reason, actor=actor
    )
    return Call("fleet", "DrainAgent", request, lambda r: from_message(AgentStatus, r.agent))


def schedule(
    namespace: str,
    schedule_id: str,
    when: When,
    task: task_pb2.TaskSpec,
    start: dt.datetime | None,
    end: dt.datetime | None,
    reason: str,
    actor: str,
) -> Call[Schedule]:
    """Create or replace a schedule."""
    request = schedule_service_pb2.ScheduleRequest(
        namespace=namespace,
        schedule_id=schedule_id,
        spec=schedule_spec(when, task, start, end),
        request_id=_new_id(),
        reason=reason,
        actor=actor,
    )
    return Call("schedules", "Schedule", request, _schedule)


def get_schedule(namespace: str, schedule_id: str) -> Call[Schedule]:
    """One schedule."""
    request = schedule_service_pb2.GetScheduleRequest(namespace=namespace, schedule_id=schedule_id)
    return Call("schedules", "GetSchedule", request, _schedule)


def pause_schedule(namespace: str, schedule_id: str, reason: str, actor: str) -> Call[Schedule]:
    """Stop a schedule from creating tasks."""
    request = schedule_service_pb2.PauseScheduleRequest(
        namespace=namespace, schedule_id=schedule_id, reason=reason, actor=actor
    )
    return Call("schedules", "PauseSchedule", request, _schedule)


def resume_schedule(namespace: str, schedule_id: str, reason: str, actor: str) -> Call[Schedule]:
    """Let a schedule create tasks again."""
    request = schedule_service_pb2.ResumeScheduleRequest(
        namespace=namespace, schedule_id=schedule_id, reason=reason, actor=actor
    )
    return Call("schedules", "ResumeSchedule", request, _schedule)


def _schedule(response: Any) -> Schedule:
    return from_message(Schedule, response.schedule)


def trigger_schedule(namespace: str, schedule_id: str, reason: str, actor: str) -> Call[str]:
    """Create one task now."""
    request = schedule_service_pb2.TriggerScheduleRequest(
        namespace=namespace,
        schedule_id=schedule_id,
        request_id=_new_id(),
        reason=reason,
        actor=actor,
    )
    return Call("schedules", "TriggerSchedule", request, lambda r: str(r.task_id))


def preview_schedule(
    namespace: str,
    schedule_id: str,
    when: When | None,
    count: int,
    after: dt.datetime | None,
) -> Call[list[dt.datetime]]:
    """When a schedule, or a rule, would create tasks."""
    request = schedule_service_pb2.PreviewScheduleRequest(
        namespace=namespace,
        schedule_id=schedule_id,
        spec=None if when is None else schedule_spec(when, None),
        count=count,
        after_time=None if after is None else to_timestamp(after),
    )
    return Call(
        "schedules", "PreviewSchedule", request, lambda r: [from_timestamp(t) for t in r.times]
    )


def delete_schedule(namespace: str, schedule_id: str, reason: str, actor: str) -> Call[None]:
    """Remove a schedule."""
    request = schedule_service_pb2.DeleteScheduleRequest(
        namespace=namespace, schedule_id=schedule_id, reason=reason, actor=actor
    )
    return Call("schedules", "DeleteSchedule", request, lambda r: None)


def server_info() -> Call[ServerInfo]:
    """What the server is."""
    request = system_service_pb2.GetServerInfoRequest()
    return Call("system", "GetServerInfo", request, lambda r: from_message(ServerInfo, r))
