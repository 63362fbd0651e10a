"""The answer of GetTask: one task with all that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quarterdeck.v1 import task_pb2
from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.admission import UNIQUE, is_held
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Attempt
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.rpc import affinity, convert, validate
from quarterdeck_server.store.base import TaskDetail

_ATTEMPT_SIZE: Final = 1024
"""Bytes of an attempt in an answer beside its message and stack trace, about."""


def task_detail(detail: TaskDetail, now: int) -> pb.GetTaskResponse:
    """Convert for the wire, within what a client takes."""
    task, policy = detail.task, policy_of(detail.task.policy)
    response = pb.GetTaskResponse(
        task=convert.task(task),
        depends_on=map(encode_task_id, detail.depends_on),
        retry=convert.retry_policy(task.policy),
        timeouts=convert.timeouts(task.policy),
    )
    affinity.to_proto(policy, response)
    response.units = policy.units
    if policy.all_ended:
        response.dependency_policy = task_pb2.DEPENDENCY_POLICY_ALL_ENDED
    elif detail.depends_on:
        response.dependency_policy = task_pb2.DEPENDENCY_POLICY_ALL_SUCCEEDED
    if detail.input is not None:
        response.input.CopyFrom(convert.payload(detail.input))
    if detail.result is not None:
        response.result.CopyFrom(convert.payload(detail.result))
    _add_keys(response, detail, now)
    room = validate.MAX_ANSWER - response.ByteSize()
    if detail.details is not None and len(detail.details.data) < room:
        response.details.CopyFrom(convert.payload(detail.details))
        room -= len(detail.details.data)
    response.attempts.MergeFrom([convert.attempt(row) for row in _fitting(detail.attempts, room)])
    running = convert.running_attempt(task)
    if running is not None:
        response.attempts.append(running)
    return response


def _add_keys(response: pb.GetTaskResponse, detail: TaskDetail, now: int) -> None:
    for key, row in detail.keys:
        added = response.keys.add(
            kind=key.kind,
            key=key.key,
            held=is_held(key.kind, row, detail.task, now),
            scope=row.scope if key.kind == UNIQUE else 0,
        )
        convert.set_time(added.expire_time, row.expire_at)


def _fitting(attempts: Sequence[Attempt], room: int) -> list[Attempt]:
    """Leave out the stack traces of the oldest attempts where all would be more than a client takes."""
    fitting: list[Attempt] = []
    room -= sum(len((row.error_message or "").encode()) + _ATTEMPT_SIZE for row in attempts)
    for row in reversed(attempts):
        if row.error_stack is not None:
            room -= len(row.error_stack.encode())
            if room < 0:
                row = row._replace(error_stack=None)
        fitting.append(row)
    return fitting[::-1]
