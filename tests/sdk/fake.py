"""A small server in memory: what the SDK needs to see, and a record of what it said.

It lives on the control thread, because grpc.aio wants one loop in a process. It is honest in
what the SDK relies on: long polls, leases by (task, attempt, token), offsets of logs, replies
in order. It has no store, no retries and no timers; tests that need those use the real server.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from grpc import aio

from quarterdeck._control import control
from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck.v1 import status_pb2, task_pb2, task_service_pb2
from quarterdeck.v1.agent_service_pb2_grpc import (
    AgentServiceServicer,
    add_AgentServiceServicer_to_server,
)
from quarterdeck.v1.payload_pb2 import Payload

Condition = Callable[[], Any]


def refusal(code: int, reason: str, message: str = "", **metadata: str) -> status_pb2.Status:
    """A status as the real server packs it."""
    info = status_pb2.ErrorInfo(reason=reason, domain="quarterdeck", metadata=metadata)
    detail = any_pb2.Any(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString()
    )
    return status_pb2.Status(code=code, message=message or reason, details=[detail])


class FakeServer(AgentServiceServicer):
    """Agents claim what `give` was given; what they say is kept."""

    def __init__(self, *, lease: float = 30.0, interval: float = 10.0) -> None:
        self.lease = lease
        self.interval = interval
        self.address = ""
        self.claims: list[pb.ClaimRequest] = []
        self.beats: list[pb.HeartbeatRequest] = []
        self.reports: dict[str, list[pb.AttemptReport]] = {}
        self.report_sizes: list[int] = []
        self.log_lines: dict[str, list[str]] = {}
        self.submits: list[task_service_pb2.SubmitRequest] = []
        self.acts: list[task_service_pb2.ActOnTasksRequest] = []
        self.act_pages: list[task_service_pb2.ActOnTasksResponse] = []
        self.refuse: dict[str, status_pb2.Status] = {}
        self.directives: list[pb.LeaseDirective] = []
        self.drain = False
        self.hold_first = False
        """Ready tasks go to repeated claims only, as if the answers to the first ones were lost."""
        self.failures: dict[str, list[Any]] = {}
        """How the next calls of a method fail, in their order, as code and message; None is answered."""
        self.abort_with: dict[str, list[status_pb2.Status]] = {}
        self._ready: list[pb.ClaimedTask] = []
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._server: aio.Server | None = None

    async def start(self, address: str = "127.0.0.1:0") -> None:
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        add_AgentServiceServicer_to_server(self, self._server)
        submit = grpc.unary_unary_rpc_method_handler(
            self.Submit,
            task_service_pb2.SubmitRequest.FromString,
            task_service_pb2.SubmitResponse.SerializeToString,
        )
        act = grpc.unary_stream_rpc_method_handler(
            self.ActOnTasks,
            task_service_pb2.ActOnTasksRequest.FromString,
            task_service_pb2.ActOnTasksResponse.SerializeToString,
        )
        tasks = grpc.method_handlers_generic_handler(
            "quarterdeck.v1.TaskService", {"Submit": submit, "ActOnTasks": act}
        )
        self._server.add_generic_rpc_handlers((tasks,))
        port = self._server.add_insecure_port(address)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(0)

    def give(self, name: str, data: bytes = b"", **fields: Any) -> str:
        """Queue one task; its id. For any thread."""
        number = next(self._numbers)
        task_id = fields.pop("task_id", f"task_{number:013d}")
        task = pb.ClaimedTask(
            task_id=task_id,
            name=name,
            queue="default",
            attempt=fields.pop("attempt", 1),
            lease_token=b"token-%d" % number,
            input=Payload(data=data),
            max_attempts=3,
            cancel_grace=fields.pop("cancel_grace", duration_pb2.Duration(seconds=30)),
            **fields,
        )
        control().soon(lambda: self._ready.append(task))
        self.touch()
        return str(task_id)

    def direct(self, task_id: str, directive: pb.Directive.ValueType, reason: str = "") -> None:
        """Send a directive with the next heartbeat's answer, at once."""
        order = pb.LeaseDirective(task_id=task_id, directive=directive, attempt=1, reason=reason)
        control().soon(lambda: self.directives.append(order))
        self.touch()

    def touch(self) -> None:
        """Have every waiter look again."""
        control().soon(self._touch)

    def _touch(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def report_of(self, task_id: str) -> pb.AttemptReport:
        """The first report of a task, once it has come."""
        await self.until(lambda: task_id in self.reports)
        return self.reports[task_id][0]

    async def until(self, condition: Condition, within: float = 10.0) -> Any:
        """Wait on the test's loop until `condition` holds; its value."""
        return await control().call(self._hold(condition, within))

    async def _hold(self, condition: Condition, within: float) -> Any:
        async with asyncio.timeout(within):
            while not (value := condition()):
                await self._changed.wait()
        return value

    async def _fail(self, method: str, context: Any) -> None:
        if self.failures.get(method):
            failure = self.failures[method].pop(0)
            self._touch()
            if failure is not None:
                await context.abort(*failure)
        if self.abort_with.get(method):
            status = self.abort_with[method].pop(0)
            [code] = [known for known in grpc.StatusCode if known.value[0] == status.code]
            details = ("grpc-status-details-bin", status.SerializeToString())
            await context.abort(code, status.message, (details,))

    async def Claim(self, request: pb.ClaimRequest, context: Any) -> pb.ClaimResponse:
        repeated = request.request_id in {claim.request_id for claim in self.claims}
        self.claims.append(request)
        self._touch()
        await self._fail("Claim", context)
        end = asyncio.get_running_loop().time() + request.wait.ToTimedelta().total_seconds()
        while not self.drain and not (self._ready and (repeated or not self.hold_first)):
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                break
        most = 0 if self.hold_first and not repeated else request.max_tasks
        tasks, self._ready = self._ready[:most], self._ready[most:]
        response = pb.ClaimResponse(tasks=tasks, drain=self.drain)
        response.lease_duration.FromMicroseconds(int(self.lease * 1e6))
        for task in response.tasks:
            task.lease_expire_time.FromMicroseconds(int(self.lease * 1e6))
        return response

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        self.beats.append(request)
        self._touch()
        await self._fail("Heartbeat", context)
        drain = self.drain
        end = asyncio.get_running_loop().time() + request.wait.ToTimedelta().total_seconds()
        while not self.directives and drain == self.drain:
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                break
        orders, self.directives = self.directives, []
        response = pb.HeartbeatResponse(directives=orders, drain=self.drain)
        response.lease_duration.FromMicroseconds(int(self.lease * 1e6))
        response.interval.FromMicroseconds(int(self.interval * 1e6))
        return response

    async def Report(self, request: pb.ReportRequest, context: Any) -> pb.ReportResponse:
        await self._fail("Report", context)
        self.report_sizes.append(len(request.reports))
        response = pb.ReportResponse()
        for report in request.reports:
            self.reports.setdefault(report.task_id, []).append(report)
            result = response.results.add(state=task_pb2.TASK_STATE_SUCCEEDED)
            if report.task_id in self.refuse:
                result.error.CopyFrom(self.refuse.pop(report.task_id))
        self._touch()
        return response

    async def AppendLogs(
        self, request: pb.AppendLogsRequest, context: Any
    ) -> pb.AppendLogsResponse:
        await self._fail("AppendLogs", context)
        response = pb.AppendLogsResponse()
        for chunk in request.chunks:
            kept = self.log_lines.setdefault(chunk.task_id, [])
            kept[chunk.offset :] = [line.text for line in chunk.lines]
            response.results.add()
        self._touch()
        return response

    async def ActOnTasks(
        self, request: task_service_pb2.ActOnTasksRequest, context: Any
    ) -> AsyncIterator[task_service_pb2.ActOnTasksResponse]:
        self.acts.append(request)
        for page in self.act_pages:
            yield page
        await self._fail("ActOnTasks", context)

    async def Submit(
        self, request: task_service_pb2.SubmitRequest, context: Any
    ) -> task_service_pb2.SubmitResponse:
        self.submits.append(request)
        self._touch()
        await self._fail("Submit", context)
        response = task_service_pb2.SubmitResponse()
        for spec in request.tasks:
            if spec.name in self.refuse:
                response.results.add(error=self.refuse[spec.name])
            else:
                response.results.add(task_id=f"task_{next(self._numbers):013d}")
        return response
