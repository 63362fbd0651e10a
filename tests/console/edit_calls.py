"""The pretended server's calls that change tasks, one by one and all that match."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from tests.console.calls import Calls
from tests.console.speech import ENDED, abort, matches, status

from quarterdeck.v1 import task_pb2, task_service_pb2

RUNNING = task_pb2.TASK_STATE_RUNNING


class EditCalls(Calls):
    """Pauses, updates, reruns, explanations and acts by filter."""

    async def ExplainTask(self, request: Any, context: Any) -> Any:
        self._note("ExplainTask", request)
        answer = self._fleet.explanations.get(request.task_id)
        if answer is None:
            answer = task_service_pb2.ExplainTaskResponse(summary="Nothing keeps it.")
        answer.task.CopyFrom(self._fleet.items["task"][request.task_id])
        return answer

    def _pause(self, key: str, paused: bool, request: Any) -> Any:
        task = task_pb2.Task()
        task.CopyFrom(self._fleet.items["task"][key])
        if task.state != RUNNING or task.HasField("pause") == paused:
            return status(9, "WRONG_STATE", "the task does not run")
        task.ClearField("pause")
        if paused:
            task.pause.actor, task.pause.reason = request.actor, request.reason
            task.pause.request_time.GetCurrentTime()
            task.pause.deliver_time.GetCurrentTime()
            task.pause.acknowledge_time.GetCurrentTime()
        self._fleet.put("task", key, task)
        return None

    async def PauseTasks(self, request: Any, context: Any) -> Any:
        self._note("PauseTasks", request)
        errors = [self._pause(key, True, request) for key in request.task_ids]
        results = [task_service_pb2.PauseResult(error=error) for error in errors]
        return task_service_pb2.PauseTasksResponse(results=results)

    async def ResumeTasks(self, request: Any, context: Any) -> Any:
        self._note("ResumeTasks", request)
        errors = [self._pause(key, False, request) for key in request.task_ids]
        results = [task_service_pb2.ResumeResult(error=error) for error in errors]
        return task_service_pb2.ResumeTasksResponse(results=results)

    async def UpdateTasks(self, request: Any, context: Any) -> Any:
        self._note("UpdateTasks", request)
        for key in request.task_ids:
            self._update(key, request.update)
        results = [task_service_pb2.UpdateResult() for _ in request.task_ids]
        return task_service_pb2.UpdateTasksResponse(results=results)

    def _update(self, key: str, update: Any) -> None:
        fields = {}
        for field in ("priority", "queue"):
            if update.HasField(field):
                fields[field] = getattr(update, field)
        self._fleet.change_task(key, **fields)

    async def RerunTasks(self, request: Any, context: Any) -> Any:
        self._note("RerunTasks", request)
        results = []
        for key in request.task_ids:
            old = self._fleet.items["task"][key]
            new = self._fleet.task(old.name, queue=old.queue, rerun_of=key)
            results.append(task_service_pb2.RerunResult(task_id=new))
        return task_service_pb2.RerunTasksResponse(results=results)

    async def ActOnTasks(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note("ActOnTasks", request)
        fleet = self._fleet
        if fleet.lists_too_old:
            fleet.lists_too_old -= 1
            await abort(context, grpc.StatusCode.OUT_OF_RANGE, "LIST_TOO_OLD", "too much changed")
        text = "" if request.filter == "id:*" else request.filter
        terms = await self._terms(text, context)
        keys = [key for key, task in fleet.items["task"].items() if matches("task", task, terms)]
        if len(keys) > request.max_count:
            await abort(
                context, grpc.StatusCode.FAILED_PRECONDITION, "LIMIT_EXCEEDED", "more tasks match"
            )
        answer = task_service_pb2.ActOnTasksResponse(matched=len(keys))
        yield answer
        if not request.dry_run:
            for key in keys:
                await fleet.act_gate.wait()
                error = self._act(request, key)
                answer.done += error is None
                answer.refused += error is not None
                del answer.errors[:]
                answer.errors.extend([] if error is None else [error])
                yield answer
        answer.complete = True
        yield answer

    def _act(self, request: Any, key: str) -> Any:
        acts: dict[str, Callable[[], Any]] = {
            "cancel": lambda: self._end(key),
            "retry": lambda: self._fleet.change_task(key, "READY"),
            "pause": lambda: self._pause(key, True, request),
            "resume": lambda: self._pause(key, False, request),
            "update": lambda: self._update(key, request.update),
        }
        return acts[request.WhichOneof("act")]()

    def _end(self, key: str) -> Any:
        if self._fleet.items["task"][key].state in ENDED:
            return status(9, "WRONG_STATE", "the task has ended")
        return self._fleet.change_task(key, "CANCELLED")
