"""Changes as bytes.

A change is encoded once, however many watchers there are: without its type, which depends on the
watcher's filter. The bytes are kept in `Change.wire`. A response is put together from such pieces;
protobuf's wire format lets the fields of a message stand in any order, so the type is written in
front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quarterdeck.v1 import (
    agent_pb2,
    hold_pb2,
    pool_pb2,
    queue_pb2,
    schedule_pb2,
    task_pb2,
    watch_service_pb2,
)
from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.rpc import convert
from quarterdeck_server.rpc.convert_schedules import schedule

SNAPSHOT, CREATED, UPDATED, DELETED, LEFT = 1, 2, 3, 4, 5
"""The numbers of quarterdeck.v1.ChangeType."""

_FIELDS: Final = {
    log.TASK: "task",
    log.AGENT: "agent",
    log.QUEUE: "queue",
    log.SCHEDULE: "schedule",
    log.INSTANCE: "instance",
    log.POOL: "pool",
    log.HOLD: "hold",
}
_CONVERTERS: Final[dict[int, Callable[[Any], Any]]] = {
    log.TASK: convert.task,
    log.AGENT: convert.agent,
    log.QUEUE: convert.queue,
    log.SCHEDULE: schedule,
    log.INSTANCE: convert.instance,
    log.POOL: convert.pool,
    log.HOLD: convert.hold,
}
_IDENTITIES: Final[dict[int, Callable[[Any], Any]]] = {
    log.TASK: lambda row: task_pb2.Task(
        id=encode_task_id(row.id), namespace=row.namespace, revision=row.revision
    ),
    log.AGENT: lambda row: agent_pb2.Agent(
        info=agent_pb2.AgentInfo(agent_id=row.id), namespace=row.namespace, revision=row.revision
    ),
    log.QUEUE: lambda row: queue_pb2.Queue(
        name=row.name, namespace=row.namespace, revision=row.revision
    ),
    log.SCHEDULE: lambda row: schedule_pb2.Schedule(
        id=row.id, namespace=row.namespace, revision=row.revision
    ),
    log.INSTANCE: lambda row: pool_pb2.Instance(id=row.id, pool=row.pool, revision=row.revision),
    log.POOL: lambda row: pool_pb2.Pool(name=row.name, revision=row.revision),
    log.HOLD: lambda row: hold_pb2.Hold(
        namespace=row.namespace, kind=row.kind, subject=row.subject, revision=row.revision
    ),
}

# Tags of the wire format: field number << 3 | wire type.
_TYPE_TAG: Final = 1 << 3
_CHANGES_TAG: Final = b"\x0a"


def identity(kind: int, row: Any) -> tuple[str, Any]:
    """What tells a resource from the others of its kind."""
    if kind == log.HOLD:
        return row.namespace, (row.kind, row.subject)
    return row.namespace, row.name if kind in (log.QUEUE, log.POOL) else row.id


def change_piece(change: Change, change_type: int) -> bytes:
    """A change as it stands in a WatchResponse."""
    if change_type == DELETED or (change_type == LEFT and change.before is None):
        return _piece(change_type, _encode(change, _IDENTITIES[change.kind]))
    body = change.wire
    if body is None:
        body = change.wire = _encode(change, _CONVERTERS[change.kind])
    return _piece(change_type, body)


def snapshot_piece(kind: int, row: Any) -> bytes:
    """A resource of the current state as it stands in a WatchResponse."""
    message = watch_service_pb2.Change()
    getattr(message, _FIELDS[kind]).MergeFrom(_CONVERTERS[kind](row))
    return _piece(SNAPSHOT, message.SerializeToString())


def response(
    pieces: list[bytes], token: str, *, snapshot_complete: bool = False, closing: bool = False
) -> bytes:
    """A WatchResponse of these changes."""
    tail = watch_service_pb2.WatchResponse(
        resume_token=token, snapshot_complete=snapshot_complete, closing=closing
    )
    return b"".join(pieces) + tail.SerializeToString()


def _encode(change: Change, convert_row: Callable[[Any], Any]) -> bytes:
    message = watch_service_pb2.Change(revision=change.revision)
    convert.set_time(message.time, change.time)
    getattr(message, _FIELDS[change.kind]).MergeFrom(convert_row(change.row))
    encoded: bytes = message.SerializeToString()
    return encoded


def _piece(change_type: int, body: bytes) -> bytes:
    return _CHANGES_TAG + _varint(len(body) + 2) + bytes((_TYPE_TAG, change_type)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
