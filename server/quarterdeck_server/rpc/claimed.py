"""Claimed tasks as they are handed to an agent. They come by the hundred, and most of one answer are alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck_server.engine.commands import Claimed
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.rpc.convert import attributes, lease_token, set_span, set_time

Taken = Sequence[tuple[Task, Claimed]]


def add_claimed(response: pb.ClaimResponse, taken: Taken, lease: int) -> None:
    """Add tasks to an answer. What several have in common is made once, as bytes.

    Args:
        response: The answer.
        taken: The rows as they were leased, with their leases.
        lease: How long a lease lasts, in microseconds.
    """
    made: dict[tuple[Any, ...], bytes] = {}
    # A message that is put into a list is copied; one that is added is not.
    add = response.tasks.add
    for row, held in taken:
        key = (row.name, row.queue, row.attempt, row.max_attempts, row.policy, row.claim_time)
        common = made.get(key)
        if common is None:
            common = made[key] = _common(row, lease).SerializeToString()
        out = add()
        out.MergeFromString(common)
        out.task_id = encode_task_id(row.id)
        out.lease_token = lease_token(held.token, row.attempt)
        if held.input is not None:
            payload = out.input
            payload.content_type, payload.data = held.input
        if held.details is not None:
            out.details.content_type, out.details.data = held.details
        if row.attempt_deadline is not None:
            set_time(out.deadline, row.attempt_deadline)
        if row.labels is not None:
            out.labels.update(json.loads(row.labels))
        if row.parent_id is not None:
            out.parent_id = encode_task_id(row.parent_id)
        if row.lane is not None:
            out.group_key = lane_of(row.lane).group_key
        if row.attributes is not None:
            for name, value in attributes(row.attributes).items():
                out.attributes[name].CopyFrom(value)


def _common(row: Task, lease: int) -> pb.ClaimedTask:
    assert row.claim_time is not None
    out = pb.ClaimedTask(
        name=row.name, queue=row.queue, attempt=row.attempt, max_attempts=row.max_attempts
    )
    set_time(out.lease_expire_time, row.claim_time + lease)
    set_span(out.cancel_grace, policy_of(row.policy).cancel_grace)
    return out
