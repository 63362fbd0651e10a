"""Rows to protos."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.v1 import task_pb2, watch_service_pb2
from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine import model
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits, Rate, limits_text
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.firing import template_text
from quarterdeck_server.engine.schedule.schedules import Kind, Schedule
from quarterdeck_server.rpc import convert, frames

ROW = model.Task(
    id=7,
    namespace="default",
    queue="red",
    name="work",
    state=4,
    priority=5,
    run_at=2_000_001,
    create_time=1_000_000,
    attempt=1,
    max_attempts=3,
    crashes=0,
    policy=None,
    labels='{"a":"b"}',
    attributes='{"cost":1.5,"kind":"pdf","urgent":true}',
    lane=lane_text(LaneKey("tenant", (("gpu", "a100"),), "agent-9")),
    origin_id=6,
    parent_id=1,
    schedule_id="nightly",
    schedule_time=0,
    idempotency_key="key",
    pending=0,
    expire_at=None,
    task_deadline=9_000_000,
    agent_id="agent-1",
    lease_token=11,
    claim_time=3_000_000,
    attempt_deadline=8_000_000,
    end_time=None,
    progress=model.encode(model.Progress("half", 1, 2, 4_000_000)),
    cancel=model.encode(model.Cancellation(5_000_000, "ops", "why", 6_000_000)),
    pause=model.encode(model.Pause(5_000_000, "ops", "wait", 6_000_000)),
    reason="R",
    error_type="E",
    error_message="M",
    late_reports=2,
    wake_at=None,
    revision=77,
)
AGENT = model.Agent("default", "a", "n", "v", "h", 1, 2, None, '["red"]', None, None, 1, 0, 1, 2, 3)
QUEUE = model.Queue(
    "default",
    "red",
    0,
    None,
    0,
    limits_text(QueueLimits(Concurrency(3, 2), rate=Rate(10, 60_000_000, 5), weights=(("a", 3),))),
    9_000_000,
    *(5, 1, 2, 3, 4),
    create_time=3,
    revision=4,
    counts=(("work", 3, 9), ("other", 3, 1)),
)
SCHEDULE = Schedule(
    namespace="default",
    id="s",
    kind=Kind.INTERVAL,
    spec="15000000",
    time_zone="UTC",
    start_at=None,
    end_at=None,
    queue="red",
    task_name="work",
    task_spec=template_text(5, None, None),
    input_type="",
    input=b"",
    paused=0,
    pause_note=None,
    next_at=9,
    last_at=None,
    last_task_id=None,
    fired=0,
    create_time=1,
    update_time=2,
    revision=3,
)
INSTANCE = Instance("i", "default", "p", 1, None, 2, None, 3, None, None, 4)
POOL = PoolStatus("default", "p", "red", 0, 1, 2, 3_000_000, "process", 1, None, 5)
OPTIONAL = (
    *("labels", "parent_id", "schedule_id", "schedule_time", "idempotency_key", "task_deadline"),
    *("agent_id", "lease_token", "claim_time", "attempt_deadline", "progress", "cancel"),
    *("reason", "error_type", "error_message"),
)
ROWS = {
    log.TASK: ROW,
    log.AGENT: AGENT,
    log.QUEUE: QUEUE,
    log.SCHEDULE: SCHEDULE,
    log.INSTANCE: INSTANCE,
    log.POOL: POOL,
}


def test_a_task_row_fills_every_field_of_its_proto() -> None:
    task = convert.task(ROW._replace(end_time=10_000_000, crashes=1, pending=1))
    unset = {f.name for f in task_pb2.Task.DESCRIPTOR.fields} - {
        field.name for field, _ in task.ListFields()
    }
    assert unset == set()
    assert task.run_time.ToMicroseconds() == 2_000_001
    assert task.schedule_time.ToMicroseconds() == 0
    assert (task.progress.message, task.progress.done, task.progress.total) == ("half", 1, 2)
    assert task.cancellation.deliver_time.ToMicroseconds() == 6_000_000
    assert not task.cancellation.HasField("stop_time")


def test_what_a_task_does_not_have_is_unset() -> None:
    absent: dict[str, Any] = dict.fromkeys(OPTIONAL)
    row = ROW._replace(**absent)
    task = convert.task(row)
    for field in ("start_time", "end_time", "progress", "cancellation", "failure", "task_deadline"):
        assert not task.HasField(field)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31 - 1))
def test_a_lease_token_brings_its_content_back(token: int, attempt: int) -> None:
    assert convert.read_lease_token(convert.lease_token(token, attempt)) == (token, attempt)


@given(st.binary(max_size=20).filter(lambda data: len(data) != 12))
def test_other_bytes_are_no_lease_token(data: bytes) -> None:
    assert convert.read_lease_token(data) is None


def test_a_queue_counts_by_state_and_by_name() -> None:
    queue = convert.queue(QUEUE)
    assert [(count.state, count.count) for count in queue.counts] == [(3, 10)]
    assert [(name.name, name.counts[0].count) for name in queue.names] == [
        ("other", 1),
        ("work", 9),
    ]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("op", [log.CREATED, log.UPDATED, log.DELETED])
def test_a_change_put_together_from_bytes_is_the_proto(kind: int, op: int) -> None:
    change = Change(300, kind, op, 1_500_000, ROWS[kind])
    data = frames.response([frames.change_piece(change, op)] * 2, "token")
    response = watch_service_pb2.WatchResponse.FromString(data)
    assert response.resume_token == "token"
    first, second = response.changes
    assert first == second
    assert (first.type, first.revision, first.time.ToMicroseconds()) == (op, 300, 1_500_000)
    field = first.WhichOneof("resource")
    assert field is not None
    resource: Any = getattr(first, field)
    whole = frames.snapshot_piece(kind, ROWS[kind])
    (snapshot,) = watch_service_pb2.WatchResponse.FromString(whole).changes
    assert (resource == getattr(snapshot, field)) == (op != log.DELETED)
    # Encoded once, for the types that carry the whole resource.
    assert (change.wire is None) == (op == log.DELETED)


def test_a_left_resource_is_whole_only_when_its_past_is_known() -> None:
    known = Change(1, log.TASK, log.UPDATED, 0, ROW, before=ROW)
    unknown = Change(1, log.TASK, log.UPDATED, 0, ROW)
    for change, whole in ((known, True), (unknown, False)):
        data = frames.change_piece(change, frames.LEFT)
        (found,) = watch_service_pb2.WatchResponse.FromString(data).changes
        assert bool(found.task.name) == whole
        assert found.task.id
