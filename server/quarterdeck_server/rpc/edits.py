"""Changing tasks that wait or run, and running ended ones again."""

from __future__ import annotations

from typing import Final

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.commands import Rerun, Rerunning, TaskChange, UpdateTasks
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.policy import DEFAULT_POLICY
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.audit import read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import Violation, refusal_status
from quarterdeck_server.rpc.items import item_results, merged, split_ids
from quarterdeck_server.rpc.requests import execute, request_key
from quarterdeck_server.rpc.specs import read_retry, read_timeouts
from quarterdeck_server.rpc.validate import Violations

MAX_RERUNS: Final = 1000


async def update_tasks(core: Core, request: pb.UpdateTasksRequest) -> pb.UpdateTasksResponse:
    """Change tasks that have not ended."""
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    who = read_who(request, out)
    if request.HasField("update"):
        change = read_change(request.update, out)
    else:
        change = TaskChange()
        out.append(Violation("update", "required: say what to change"))
    validate.refuse(out)
    validate.batch(len(request.task_ids), "task_ids")
    key = request_key(namespace, "UpdateTasks", request)
    ids, missing = split_ids(request.task_ids)
    audit = who.audit("UpdateTasks", request.task_ids)
    command = UpdateTasks(namespace, ids, change, key, audit)
    results = await item_results(core, command, bool(ids), missing)
    return pb.UpdateTasksResponse(
        results=[
            pb.UpdateResult(state=state, error=error)  # type: ignore[arg-type]
            for state, error in results
        ]
    )


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
    namespace = validate.namespace_of(request.namespace)
    who = read_who(request, out)
    edited = None
    if request.HasField("input"):
        limit = core.settings.max_payload_bytes
        edited = validate.payload(request.input, "input", limit, out)
        if len(request.task_ids) != 1:
            out.append(Violation("input", "expected only together with exactly one task"))
    validate.refuse(out)
    validate.batch(len(request.task_ids), "task_ids", MAX_RERUNS)
    key = request_key(namespace, "RerunTasks", request)
    ids, missing = split_ids(request.task_ids)
    audit = who.audit("RerunTasks", request.task_ids)
    command = Rerun(namespace, ids, edited, request.with_dependents, key, audit)
    replies: list[Rerunning] = await execute(core, command) if ids else []
    results = merged(replies, missing, _rerun_result, lambda error: pb.RerunResult(error=error))
    return pb.RerunTasksResponse(results=results)


def _rerun_result(reply: Rerunning) -> pb.RerunResult:
    if reply.refusal is not None:
        return pb.RerunResult(error=refusal_status(reply.refusal))
    copies = map(encode_task_id, reply.dependents)
    return pb.RerunResult(task_id=encode_task_id(reply.task_id), dependent_ids=copies)
