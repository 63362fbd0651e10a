"""The pretended server's calls about tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from tests.console.calls import Calls
from tests.console.speech import ENDED, abort, matches, status

from quarterdeck.v1 import task_pb2, task_service_pb2

_ORDERS: dict[str, Callable[[Any], tuple[Any, str]]] = {
    "create_time": lambda task: (task.create_time.ToMicroseconds(), task.id),
    "run_time": lambda task: (task.run_time.ToMicroseconds(), task.id),
    "end_time": lambda task: (task.end_time.ToMicroseconds(), task.id),
    "priority": lambda task: (task.priority, task.id),
    "name": lambda task: (task.name, task.id),
    "state": lambda task: (task.state, task.id),
}


class TaskCalls(Calls):
    """The RPCs of TaskService that the console calls."""

    async def ListTasks(self, request: Any, context: Any) -> Any:
        self._note("ListTasks", request)
        terms = await self._terms(request.filter, context)
        field, _, direction = (request.order_by or "create_time desc").partition(" ")
        key = _ORDERS[field]
        rows = [task for task in self._fleet.items["task"].values() if matches("task", task, terms)]
        rows.sort(key=key, reverse=direction == "desc")
        start = 0
        if request.page_token:
            after = self._fleet.items["task"][request.page_token]
            edge = key(after)
            passed = [key(task) <= edge for task in rows]
            if direction == "desc":
                passed = [key(task) >= edge for task in rows]
            start = sum(passed)
        size = request.page_size or 100
        page = rows[start : start + size]
        more = start + size < len(rows)
        return task_service_pb2.ListTasksResponse(
            tasks=page, next_page_token=page[-1].id if more else "",
            watch_token=f"r{self._fleet.revision}",
        )  # fmt: skip

    async def CountTasks(self, request: Any, context: Any) -> Any:
        self._note("CountTasks", request)
        terms = await self._terms(request.filter, context)
        tasks = self._fleet.items["task"].values()
        total = sum(matches("task", task, terms) for task in tasks) if terms else len(tasks)
        return task_service_pb2.CountTasksResponse(total=total)

    async def GetTask(self, request: Any, context: Any) -> Any:
        self._note("GetTask", request)
        fleet = self._fleet
        task = fleet.items["task"].get(request.task_id)
        if task is None:
            await abort(
                context,
                grpc.StatusCode.NOT_FOUND,
                "TASK_NOT_FOUND",
                "there is no such task",
                task_id=request.task_id,
            )
        answer = task_service_pb2.GetTaskResponse(task=task)
        answer.input.content_type = "application/json"
        answer.input.data = fleet.inputs.get(task.id, b'{"source": "arxiv", "page": 7}')
        if task.id in fleet.results:
            answer.result.data = fleet.results[task.id]
        answer.attempts.extend(fleet.attempts.get(task.id, ()))
        answer.MergeFrom(fleet.details.get(task.id, task_service_pb2.GetTaskResponse()))
        if not answer.attempts and task.attempt:
            attempt = answer.attempts.add(attempt=task.attempt, agent_id=task.agent_id)
            attempt.start_time.CopyFrom(task.start_time)
            if task.state in ENDED:
                attempt.end_time.CopyFrom(task.end_time)
                attempt.outcome = (
                    task_pb2.ATTEMPT_OUTCOME_SUCCEEDED
                    if task.state == task_pb2.TASK_STATE_SUCCEEDED
                    else task_pb2.ATTEMPT_OUTCOME_FAILED
                )
            if task.HasField("failure"):
                attempt.failure.CopyFrom(task.failure)
                attempt.failure.stack_trace = 'Traceback:\n  File "fetch.py", line 7\n' + (
                    task.failure.stack_trace
                )
        return answer

    async def ReadLogs(self, request: Any, context: Any) -> Any:
        self._note("ReadLogs", request)
        fleet = self._fleet
        while True:
            lines = fleet.logs.get(request.task_id, [])
            after = request.after_sequence
            found = lines[after:]
            task = fleet.items["task"].get(request.task_id)
            ended = task is not None and task.state in ENDED
            if found or ended or not request.wait.seconds:
                page = found[: request.page_size or 1_000]
                last = page[-1].sequence if page else max(after, 0)
                return task_service_pb2.ReadLogsResponse(
                    lines=page, next_sequence=last, end=ended and last == len(lines)
                )
            await fleet.log_wake.wait()

    async def Submit(self, request: Any, context: Any) -> Any:
        self._note("Submit", request)
        results = []
        for spec in request.tasks:
            key = self._fleet.task(spec.name, queue=spec.queue or "default")
            self._fleet.inputs[key] = spec.input.data
            results.append(task_service_pb2.SubmitResult(task_id=key))
        return task_service_pb2.SubmitResponse(results=results)

    async def CancelTasks(self, request: Any, context: Any) -> Any:
        self._note("CancelTasks", request)
        results = []
        for key in request.task_ids:
            task = self._fleet.items["task"].get(key)
            result = task_service_pb2.CancelResult()
            if task is None:
                result.error.CopyFrom(status(5, "TASK_NOT_FOUND", "there is no such task"))
            elif task.state in ENDED:
                result.error.CopyFrom(status(9, "WRONG_STATE", "the task has ended"))
            else:
                self._fleet.change_task(key, "CANCELLED")
            results.append(result)
        return task_service_pb2.CancelTasksResponse(results=results)

    async def RetryTasks(self, request: Any, context: Any) -> Any:
        self._note("RetryTasks", request)
        results = []
        for key in request.task_ids:
            result = task_service_pb2.RetryResult()
            if self._fleet.items["task"][key].state == task_pb2.TASK_STATE_FAILED:
                self._fleet.change_task(key, "READY")
            else:
                result.error.CopyFrom(status(9, "WRONG_STATE", "the task has not failed"))
            results.append(result)
        return task_service_pb2.RetryTasksResponse(results=results)
