"""Changing tasks that wait or run, and running ended ones again."""

from __future__ import annotations

from typing import Final

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.commands import Rerun, Rerunning, TaskChange, UpdateTasks
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.policy import DEFAULT_POLICY
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import Violation, refusal_status
from quarterdeck_server.rpc.items import item_results, merged, read_named
from quarterdeck_server.rpc.requests import execute
from quarterdeck_server.rpc.specs import read_retry, read_timeouts
from quarterdeck_server.rpc.validate import Violations

MAX_RERUNS: Final = 1000


async def update_tasks(core: Core, request: pb.UpdateTasksRequest) -> pb.UpdateTasksResponse:
    """Change tasks that have not ended."""
    out: Violations = []
    if request.HasField("update"):
        change = read_change(request.update, out)
    else:
        change = TaskChange()
        out.append(Violation("update", "required: say what to change"))
    named = read_named(request, "UpdateTasks", out)
    command = UpdateTasks(named.namespace, named.ids, change, named.key, named.audit)
    return pb.UpdateTasksResponse(results=await item_results(core, command, named, pb.UpdateResult))


def read_change(update: pb.TaskUpdate, out: Violations, field: str = "update") -> TaskChange:
    """Check and convert what to change of tasks; `field` is its place in the request."""
    found: Violations = []
    timed = update.HasField("run_time")
    delayed = update.HasField("delay")
    if timed and delayed:
        found.append(Violation("delay", "expected not together with run_time"))
    retry, timeouts = update.retry, update.timeouts
    validate.labels(update.labels, "labels", found)
    change = TaskChange(
        priority=validate.number(update.priority, "priority", 0, 9, found)
        if update.HasField("priority")
        else None,
        run_at=validate.instant(update.run_time, "run_time", found) if timed else None,
        delay=validate.span(update.delay, "delay", found) if delayed else None,
        queue=validate.name(update.queue, "queue", found, "default")
        if update.HasField("queue")
        else None,
        retry=read_retry(retry, found) if update.HasField("retry") else None,
        timeouts=read_timeouts(timeouts, DEFAULT_POLICY, found)
        if update.HasField("timeouts")
        else None,
        labels=tuple(sorted(update.labels.items())),
    )
    if change == TaskChange():
        found.append(Violation("", "required: say what to change"))
    out += [v._replace(field=f"{field}.{v.field}".rstrip(".")) for v in found]
    return change


async def rerun_tasks(core: Core, request: pb.RerunTasksRequest) -> pb.RerunTasksResponse:
    """Run ended tasks again as new ones."""
    out: Violations = []
    edited = None
    if request.HasField("input"):
        limit = core.settings.max_payload_bytes
        edited = validate.payload(request.input, "input", limit, out)
        if len(request.task_ids) != 1:
            out.append(Violation("input", "expected only together with exactly one task"))
    named = read_named(request, "RerunTasks", out, MAX_RERUNS)
    command = Rerun(
        named.namespace, named.ids, edited, request.with_dependents, named.key, named.audit
    )
    replies: list[Rerunning] = await execute(core, command) if named.ids else []
    results = merged(
        replies, named.missing, _rerun_result, lambda error: pb.RerunResult(error=error)
    )
    return pb.RerunTasksResponse(results=results)


def _rerun_result(reply: Rerunning) -> pb.RerunResult:
    if reply.refusal is not None:
        return pb.RerunResult(error=refusal_status(reply.refusal))
    copies = map(encode_task_id, reply.dependents)
    return pb.RerunResult(task_id=encode_task_id(reply.task_id), dependent_ids=copies)
