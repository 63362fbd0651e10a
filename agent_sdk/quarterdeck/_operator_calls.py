"""The unary calls of operators: like those of `_calls`, where `Call` is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from quarterdeck._calls import Call, Page, _new_id, _page, _states
from quarterdeck._convert import from_message
from quarterdeck._errors import ApiError
from quarterdeck._limits import Arrivals, QueueLimits
from quarterdeck._models import Hold, Queue
from quarterdeck._operating import (
    ActName,
    AuditEntry,
    Explanation,
    HoldKind,
    Namespace,
    QuarantineRules,
    Rerun,
    Retention,
)
from quarterdeck._specs import TaskChanges, payload, task_update
from quarterdeck._status import error_from_status
from quarterdeck._wire import enum_value, to_message
from quarterdeck.v1 import fleet_service_pb2 as fleet
from quarterdeck.v1 import namespace_pb2, queue_pb2
from quarterdeck.v1 import task_service_pb2 as tasks


def update(
    namespace: str, task_ids: Sequence[str], changes: TaskChanges, reason: str, actor: str
) -> Call[list[str | ApiError]]:
    """Change tasks; a state or a refusal per task."""
    request = tasks.UpdateTasksRequest(
        namespace=namespace,
        task_ids=task_ids,
        update=task_update(changes),
        reason=reason,
        actor=actor,
        request_id=_new_id(),
    )
    return Call("tasks", "UpdateTasks", request, _states)


def pause(
    namespace: str, task_ids: Sequence[str], reason: str, actor: str
) -> Call[list[str | ApiError]]:
    """Let running tasks stand still; a state or a refusal per task."""
    request = tasks.PauseTasksRequest(
        namespace=namespace,
        task_ids=task_ids,
        reason=reason,
        actor=actor,
        request_id=_new_id(),
    )
    return Call("tasks", "PauseTasks", request, _states)


def resume(
    namespace: str, task_ids: Sequence[str], reason: str, actor: str
) -> Call[list[str | ApiError]]:
    """Let paused tasks go on; a state or a refusal per task."""
    request = tasks.ResumeTasksRequest(
        namespace=namespace,
        task_ids=task_ids,
        reason=reason,
        actor=actor,
        request_id=_new_id(),
    )
    return Call("tasks", "ResumeTasks", request, _states)


def rerun(
    namespace: str,
    task_ids: Sequence[str],
    input: Any,
    with_dependents: bool,
    reason: str,
    actor: str,
) -> Call[list[Rerun]]:
    """Run ended tasks again as new ones; an `input` of None is the old one."""
    request = tasks.RerunTasksRequest(
        namespace=namespace,
        task_ids=task_ids,
        input=payload(input),
        with_dependents=with_dependents,
        reason=reason,
        actor=actor,
        request_id=_new_id(),
    )
    return Call("tasks", "RerunTasks", request, lambda r: _reruns(task_ids, r))


def _reruns(task_ids: Sequence[str], response: tasks.RerunTasksResponse) -> list[Rerun]:
    return [
        Rerun(
            result.task_id,
            tuple(result.dependent_ids),
            task_id,
            error_from_status(result.error) if result.HasField("error") else None,
        )
        for task_id, result in zip(task_ids, response.results, strict=True)
    ]


def explain(namespace: str, task_id: str) -> Call[Explanation]:
    """Why a task is not running."""
    request = tasks.ExplainTaskRequest(namespace=namespace, task_id=task_id)
    return Call("tasks", "ExplainTask", request, lambda r: from_message(Explanation, r))


def act_request(
    namespace: str,
    filter: str,
    act: ActName,
    changes: TaskChanges,
    **fields: Any,
) -> tasks.ActOnTasksRequest:
    """What to do to all tasks that match.

    Raises:
        TypeError: There are changes, and the act is no update.
        ValueError: The act is unknown, or an update without changes.
    """
    keep_children = fields.pop("keep_children")
    request = tasks.ActOnTasksRequest(namespace=namespace, filter=filter, **fields)
    known = [field.name for field in request.DESCRIPTOR.oneofs_by_name["act"].fields]
    if act not in known:
        raise ValueError(f"act: expected {', '.join(known)}, got {act!r}")
    if act == "update":
        request.update.CopyFrom(task_update(changes))
    elif changes:
        raise TypeError(f"{next(iter(changes))}: only the act update takes changes")
    elif act == "cancel":
        request.cancel.keep_children = keep_children
    getattr(request, act).SetInParent()
    return request


def update_queue(
    namespace: str,
    queue: str,
    *,
    paused: bool | None = None,
    limits: QueueLimits | None = None,
    arrivals: Arrivals | None = None,
    update_mask: Sequence[str] = (),
    etag: str = "",
    reason: str = "",
    actor: str = "",
) -> Call[Queue]:
    """Pause, resume or limit a queue; what is None stays, unless the mask names it."""
    request = fleet.UpdateQueueRequest(
        namespace=namespace, queue=queue, paused=paused, reason=reason, actor=actor, etag=etag
    )
    _set_mask(request, update_mask)
    if limits is not None:
        request.limits.CopyFrom(to_message(queue_pb2.QueueLimits, limits))
    if arrivals is not None:
        _set_enum(request, "paused_arrivals", arrivals)
    return Call("fleet", "UpdateQueue", request, lambda r: from_message(Queue, r.queue))


def _set_mask(
    request: fleet.UpdateQueueRequest | fleet.UpdateNamespaceRequest, paths: Sequence[str]
) -> None:
    if isinstance(paths, str):
        raise TypeError(f"update_mask: expected a list of paths, got {paths!r}")
    request.update_mask.paths.extend(paths)


def freeze(namespace: str, reason: str, actor: str) -> Call[Hold]:
    """Stop all claiming."""
    request = fleet.FreezeRequest(namespace=namespace, reason=reason, actor=actor)
    return Call("fleet", "Freeze", request, _hold)


def thaw(namespace: str, reason: str, actor: str) -> Call[bool]:
    """End a freeze; False when there was none."""
    request = fleet.ThawRequest(namespace=namespace, reason=reason, actor=actor)
    return Call("fleet", "Thaw", request, lambda r: bool(r.thawed))


def put_hold(
    namespace: str, kind: HoldKind, subject: str, reason: str, actor: str, arrivals: Arrivals
) -> Call[Hold]:
    """Pause a task name, or put something in quarantine."""
    request = fleet.PutHoldRequest(namespace=namespace, subject=subject, reason=reason, actor=actor)
    _set_enum(request, "kind", kind)
    _set_enum(request, "arrivals", arrivals)
    return Call("fleet", "PutHold", request, _hold)


def release_hold(
    namespace: str, kind: HoldKind, subject: str, reason: str, actor: str
) -> Call[Hold]:
    """End a pause or a quarantine."""
    request = fleet.ReleaseHoldRequest(
        namespace=namespace, subject=subject, reason=reason, actor=actor
    )
    _set_enum(request, "kind", kind)
    return Call("fleet", "ReleaseHold", request, _hold)


def _hold(response: Any) -> Hold:
    return from_message(Hold, response.hold)


def _set_enum(request: Message, name: str, text: str) -> None:
    try:
        setattr(request, name, enum_value(request.DESCRIPTOR.fields_by_name[name].enum_type, text))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def holds(namespace: str, size: int, token: str) -> Call[Page[Hold]]:
    """A page of what is held."""
    request = fleet.ListHoldsRequest(namespace=namespace, page_size=size, page_token=token)
    return Call("fleet", "ListHolds", request, lambda r: _page(Hold, r.holds, r.next_page_token))


def get_namespace(namespace: str) -> Call[Namespace]:
    """The settings of a namespace."""
    request = fleet.GetNamespaceRequest(namespace=namespace)
    return Call("fleet", "GetNamespace", request, _namespace)


def update_namespace(
    namespace: str,
    retention: Retention | None,
    quarantine: QuarantineRules | None,
    *,
    update_mask: Sequence[str] = (),
    etag: str = "",
    reason: str = "",
    actor: str = "",
) -> Call[Namespace]:
    """Change the settings of a namespace; what is None stays, unless the mask names it."""
    request = fleet.UpdateNamespaceRequest(
        namespace=namespace, reason=reason, actor=actor, etag=etag
    )
    _set_mask(request, update_mask)
    if retention is not None:
        request.retention.CopyFrom(to_message(namespace_pb2.Retention, retention))
    if quarantine is not None:
        request.quarantine.CopyFrom(to_message(namespace_pb2.QuarantineRules, quarantine))
    return Call("fleet", "UpdateNamespace", request, _namespace)


def _namespace(response: Any) -> Namespace:
    return from_message(Namespace, response.namespace)


def audit(namespace: str, size: int, token: str) -> Call[Page[AuditEntry]]:
    """A page of audit entries."""
    request = fleet.ListAuditEntriesRequest(namespace=namespace, page_size=size, page_token=token)
    return Call(
        "fleet",
        "ListAuditEntries",
        request,
        lambda r: _page(AuditEntry, r.entries, r.next_page_token),
    )
