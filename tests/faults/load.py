"""Clients that go on whatever happens to the server, and remember what it promised."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import grpc

from quarterdeck.v1 import agent_service_pb2, task_pb2

from ..rpc.api import Api, agent, agents_pb, new_request_id, spec, tasks_pb
from .process import ServerProcess

RETRY = task_pb2.RetryPolicy(max_attempts=1000, max_crashes=1000)


class Load:
    """Submitters and agents."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.acknowledged: dict[str, list[str]] = {}
        """Task ids by request, of submits that were answered OK."""
        self.requested: set[str] = set()
        self.reported: set[tuple[str, int]] = set()
        """(task, attempt) of successes that were answered OK."""
        self._acts = 0
        self._moved = asyncio.Condition()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._submitters: list[asyncio.Task[None]] = []

    def start(self, submitters: int = 4, agents: int = 4) -> None:
        """Begin."""
        for _ in range(submitters):
            self._submitters.append(asyncio.create_task(self._submit(self._server.api())))
        for number in range(agents):
            self._tasks.append(asyncio.create_task(self._work(self._server.api(), f"a{number}")))

    async def stop_submitting(self) -> None:
        """Let the last submits end."""
        self._stopping = True
        await asyncio.gather(*self._submitters)

    async def stop(self) -> None:
        """End the agents."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)

    async def answered(self, more: int) -> None:
        """Wait until so many more calls were answered."""
        until = self._acts + more
        async with self._moved:
            await self._moved.wait_for(lambda: self._acts >= until)

    async def _note(self) -> None:
        async with self._moved:
            self._acts += 1
            self._moved.notify_all()

    async def _submit(self, api: Api) -> None:
        for size in count(1):
            if self._stopping:
                break
            request_id = new_request_id()
            self.requested.add(request_id)
            items = [spec(retry=RETRY) for _ in range(1 + size % 3)]
            request = tasks_pb.SubmitRequest(tasks=items, request_id=request_id)
            answer = await _until_answered(lambda: api.tasks.Submit(request, timeout=5))  # noqa: B023  (awaited in its round)
            assert not any(x.HasField("error") for x in answer.results), answer
            self.acknowledged[request_id] = [x.task_id for x in answer.results]
            await self._note()
        await api.channel.close()

    async def _work(self, api: Api, name: str) -> None:
        claim = agents_pb.ClaimRequest(agent=agent(name), max_tasks=5, wait={"seconds": 1})
        try:
            while True:
                given = await _until_answered(lambda: api.agents.Claim(claim, timeout=5))
                if given.tasks:
                    await self._report(api, name, list(given.tasks))
                await self._note()
        finally:
            await api.channel.close()

    async def _report(self, api: Api, name: str, tasks: list[Any]) -> None:
        reports = [
            agent_service_pb2.AttemptReport(
                task_id=task.task_id,
                lease_token=task.lease_token,
                succeeded=agent_service_pb2.Succeeded(),
            )
            for task in tasks
        ]
        request = agents_pb.ReportRequest(agent_id=name, reports=reports)
        answer = await _until_answered(lambda: api.agents.Report(request, timeout=5))
        for task, result in zip(tasks, answer.results, strict=True):
            if not result.HasField("error"):
                self.reported.add((task.task_id, task.attempt))


UNKNOWN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


async def _until_answered(call: Callable[[], Awaitable[Any]]) -> Any:
    """Call again, with the same request, until the outcome is known."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            assert error.code() in UNKNOWN, error
            # The channel itself waits before it connects again.
            await asyncio.sleep(0.02)


async def wait_succeeded(api: Api, task_id: str) -> None:
    """Wait for a task's success."""
    answer: Any = None
    while answer is None or not answer.ended:
        request = tasks_pb.WaitTaskRequest(task_id=task_id, wait={"seconds": 5})
        answer = await api.tasks.WaitTask(request, timeout=10)
    assert answer.task.state == task_pb2.TASK_STATE_SUCCEEDED, answer


async def wait_there(api: Api, task_id: str) -> None:
    """Read a task, as soon as the server is back."""
    answer = await _until_answered(lambda: api.get(task_id))
    assert answer.task.id == task_id
