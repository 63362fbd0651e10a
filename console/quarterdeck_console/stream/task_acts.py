"""What the operator does to tasks that are named by their ids."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import grpc
from google.protobuf import json_format

from quarterdeck.v1 import task_service_pb2 as task_pb
from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck_console.model.text import MAX_TEXT, sanitize
from quarterdeck_console.stream.channel import CALL_TIMEOUT, Link
from quarterdeck_console.stream.errors import Refusal, refusal
from quarterdeck_console.stream.outcome import Outcome, Result, actor, batched

_UNDER_WAY = "blocked,scheduled,ready,running,waiting"

RERUN_BATCH = 1_000
"""Tasks in one rerun; the server's limit."""


class TaskCalls:
    """Acts on tasks through one link."""

    _link: Link

    async def cancel(self, task_ids: Sequence[str], reason: str) -> Outcome:
        """Requests that tasks be cancelled."""

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.CancelTasksRequest(
                namespace=self._link.namespace,
                task_ids=ids,
                reason=reason,
                actor=actor(),
                request_id=uuid.uuid4().hex,
            )
            return (await self._link.tasks.CancelTasks(request, timeout=CALL_TIMEOUT)).results

        return await batched("cancelled", task_ids, call)

    async def retry(self, task_ids: Sequence[str], reason: str = "") -> Outcome:
        """Puts ended tasks back in their queue."""

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.RetryTasksRequest(
                namespace=self._link.namespace,
                task_ids=ids,
                request_id=uuid.uuid4().hex,
                reason=reason,
                actor=actor(),
            )
            return (await self._link.tasks.RetryTasks(request, timeout=CALL_TIMEOUT)).results

        return await batched("retried", task_ids, call)

    async def pause(self, task_ids: Sequence[str], reason: str = "") -> Outcome:
        """Asks the agents of running tasks to let them stand still."""

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.PauseTasksRequest(
                namespace=self._link.namespace, task_ids=ids, reason=reason, actor=actor()
            )
            return (await self._link.tasks.PauseTasks(request, timeout=CALL_TIMEOUT)).results

        return await batched("asked to pause", task_ids, call)

    async def resume(self, task_ids: Sequence[str], reason: str = "") -> Outcome:
        """Lets paused tasks go on."""

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.ResumeTasksRequest(
                namespace=self._link.namespace, task_ids=ids, reason=reason, actor=actor()
            )
            return (await self._link.tasks.ResumeTasks(request, timeout=CALL_TIMEOUT)).results

        return await batched("resumed", task_ids, call)

    async def update(
        self, task_ids: Sequence[str], update: task_pb.TaskUpdate, reason: str
    ) -> Outcome:
        """Changes tasks that have not ended."""

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.UpdateTasksRequest(
                namespace=self._link.namespace,
                task_ids=ids,
                update=update,
                reason=reason,
                actor=actor(),
                request_id=uuid.uuid4().hex,
            )
            return (await self._link.tasks.UpdateTasks(request, timeout=CALL_TIMEOUT)).results

        return await batched("changed", task_ids, call)

    async def rerun(
        self,
        task_ids: Sequence[str],
        reason: str,
        *,
        input: Payload | None = None,
        with_dependents: bool = False,
    ) -> Outcome:
        """Runs ended tasks again as new ones; the new ids are what it made."""
        made: list[str] = []

        async def call(ids: Sequence[str]) -> Iterable[Result]:
            request = task_pb.RerunTasksRequest(
                namespace=self._link.namespace,
                task_ids=ids,
                input=input,
                with_dependents=with_dependents,
                reason=reason,
                actor=actor(),
                request_id=uuid.uuid4().hex,
            )
            answer = await self._link.tasks.RerunTasks(request, timeout=CALL_TIMEOUT)
            made.extend(sanitize(result.task_id) for result in answer.results if result.task_id)
            return answer.results

        outcome = await batched("run again", task_ids, call, RERUN_BATCH)
        outcome.made = made
        return outcome

    async def input_of(self, task_id: str) -> Payload | Refusal:
        """A task's input as it is, not made safe to show; or why it cannot be had."""
        answer = await self._get(task_id)
        return answer if isinstance(answer, Refusal) else answer.input

    async def as_json(self, task_id: str) -> str | Refusal:
        """A task as the server tells it, as JSON that is safe to show; or why it cannot be had."""
        answer = await self._get(task_id)
        if isinstance(answer, Refusal):
            return answer
        told = json_format.MessageToJson(answer, preserving_proto_field_name=True)
        return sanitize(told, MAX_TEXT, lines=True)

    async def children_under_way(self, task_ids: Sequence[str]) -> int | Refusal:
        """How many tasks that these submitted have not ended; or why that cannot be said."""
        request = task_pb.CountTasksRequest(
            namespace=self._link.namespace, filter=f"parent:{','.join(task_ids)} state:{_UNDER_WAY}"
        )
        try:
            return (await self._link.tasks.CountTasks(request, timeout=CALL_TIMEOUT)).total
        except grpc.aio.AioRpcError as error:
            return refusal(error)

    async def _get(self, task_id: str) -> task_pb.GetTaskResponse | Refusal:
        request = task_pb.GetTaskRequest(namespace=self._link.namespace, task_id=task_id)
        try:
            return await self._link.tasks.GetTask(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return refusal(error)

    async def submit(self, spec: TaskSpec) -> Outcome:
        """Submits one task."""
        outcome = Outcome("submitted", "task")
        request = task_pb.SubmitRequest(
            namespace=self._link.namespace, tasks=[spec], request_id=uuid.uuid4().hex
        )
        try:
            answer = await self._link.tasks.Submit(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error))
            return outcome
        for result in answer.results:
            outcome.count(result)
            outcome.made.append(sanitize(result.task_id))
        return outcome
