"""Rows to protos. Timestamps are set by their parts, because this runs for every row of every
list and watch."""

# Rows hold the numbers of the wire's enums as they are; the stubs want types of their own for them, hence each
# `type: ignore` here.

from __future__ import annotations

import json
import struct
from collections import defaultdict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import (
    agent_pb2,
    hold_pb2,
    payload_pb2,
    pool_pb2,
    queue_pb2,
    task_pb2,
)
from quarterdeck_server.engine import model
from quarterdeck_server.engine.etags import queue_etag
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import limits_of
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.states import RUNNING

_TOKEN = struct.Struct(">qi")
_unpack_token = _TOKEN.unpack
_MILLION = 1_000_000
_LAST = 253_402_300_800 * _MILLION - 1
"""The end of the year 9999, which is the last of a Timestamp; a rate's tokens may come back later than that."""


def set_time(target: Timestamp, micros: int | None) -> None:
    """Write an instant into a field; None leaves it unset."""
    if micros is not None:
        target.seconds, rest = divmod(min(micros, _LAST), _MILLION)
        target.nanos = rest * 1000


def set_span(target: Duration, micros: int | None) -> None:
    """Write a duration into a field; None leaves it unset."""
    if micros is not None:
        target.seconds, rest = divmod(micros, _MILLION)
        target.nanos = rest * 1000


def payload(row: model.Payload) -> payload_pb2.Payload:
    """A payload."""
    return payload_pb2.Payload(content_type=row.content_type, data=row.data)


def task(row: model.Task) -> task_pb2.Task:
    """A task without its payloads."""
    out = task_pb2.Task(
        id=encode_task_id(row.id),
        namespace=row.namespace,
        queue=row.queue,
        name=row.name,
        state=row.state,  # type: ignore[arg-type]
        reason=row.reason or "",
        priority=row.priority,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        crashes=row.crashes,
        agent_id=row.agent_id or "",
        idempotency_key=row.idempotency_key or "",
        pending_dependencies=row.pending,
        late_reports=row.late_reports,
        revision=row.revision,
    )
    target = out.create_time
    target.seconds, rest = divmod(row.create_time, _MILLION)
    target.nanos = rest * 1000
    target = out.run_time
    target.seconds, rest = divmod(row.run_at, _MILLION)
    target.nanos = rest * 1000
    if row.claim_time is not None:
        set_time(out.start_time, row.claim_time)
    if row.end_time is not None:
        set_time(out.end_time, row.end_time)
    if row.labels is not None:
        out.labels.update(json.loads(row.labels))
    if row.error_type is not None:
        out.failure.type = row.error_type
        out.failure.message = row.error_message or ""
    if row.lane is not None:
        lane = lane_of(row.lane)
        out.group_key = lane.group_key
        out.required_labels.update(lane.labels)
        out.preferred_agent_id = lane.agent_id or ""
    _rare_parts(out, row)
    return out


def attributes(text: str) -> dict[str, task_pb2.AttributeValue]:
    """Typed facts, by name."""
    return {
        name: task_pb2.AttributeValue(flag=value)
        if isinstance(value, bool)
        else task_pb2.AttributeValue(text=value)
        if isinstance(value, str)
        else task_pb2.AttributeValue(number=value)
        for name, value in json.loads(text).items()
    }


def _pause(out: task_pb2.TaskPause, row: model.Task) -> None:
    pause = model.pause_of(row)
    assert pause is not None
    out.actor, out.reason = pause.actor, pause.reason
    set_time(out.request_time, pause.request_time)
    set_time(out.deliver_time, pause.deliver_time)
    set_time(out.acknowledge_time, pause.acknowledge_time)


def _rare_parts(out: task_pb2.Task, row: model.Task) -> None:
    if row.attempt_deadline is not None:
        set_time(out.attempt_deadline, row.attempt_deadline)
    if row.task_deadline is not None:
        set_time(out.task_deadline, row.task_deadline)
    if row.parent_id is not None:
        out.parent_id = encode_task_id(row.parent_id)
    if row.schedule_id is not None:
        out.schedule_id = row.schedule_id
        set_time(out.schedule_time, row.schedule_time)
    if row.progress is not None:
        _progress(out.progress, row)
    if row.cancel is not None:
        _cancellation(out.cancellation, row)
    if row.pause is not None:
        _pause(out.pause, row)
    if row.origin_id is not None:
        out.rerun_of = encode_task_id(row.origin_id)
    if row.attributes is not None:
        for name, value in attributes(row.attributes).items():
            out.attributes[name].CopyFrom(value)


def _progress(out: task_pb2.Progress, row: model.Task) -> None:
    progress = model.progress_of(row)
    assert progress is not None
    out.message, out.done, out.total = progress.message, progress.done, progress.total
    set_time(out.update_time, progress.time)


def _cancellation(out: task_pb2.Cancellation, row: model.Task) -> None:
    cancel = model.cancellation_of(row)
    assert cancel is not None
    out.actor, out.reason = cancel.actor, cancel.reason
    set_time(out.request_time, cancel.request_time)
    set_time(out.deliver_time, cancel.deliver_time)
    set_time(out.acknowledge_time, cancel.acknowledge_time)
    set_time(out.stop_time, cancel.stop_time)
    set_time(out.escalate_time, cancel.escalate_time)


def lease_token(token: int, attempt: int) -> bytes:
    """A fencing token as agents carry it."""
    return _TOKEN.pack(token, attempt)


def read_lease_token(data: bytes) -> tuple[int, int] | None:
    """The token and the attempt of a lease token; None when the server cannot have made it.

    The attempt is unproven: it tells an agent which of its attempts a lost lease was, and nothing else.
    """
    return _unpack_token(data) if len(data) == _TOKEN.size else None


def attempt(row: model.Attempt) -> task_pb2.Attempt:
    """An ended attempt."""
    out = task_pb2.Attempt(
        attempt=row.attempt,
        agent_id=row.agent_id or "",
        outcome=row.outcome,  # type: ignore[arg-type]
        late_reports=row.late_reports,
        late_heartbeats=row.late_heartbeats,
    )
    set_time(out.start_time, row.start_time)
    set_time(out.end_time, row.end_time)
    if row.error_type is not None:
        out.failure.type = row.error_type
        out.failure.message = row.error_message or ""
        out.failure.stack_trace = row.error_stack or ""
    return out


def running_attempt(row: model.Task) -> task_pb2.Attempt | None:
    """The attempt that runs now, which is part of its task's row."""
    if row.state != RUNNING:
        return None
    out = task_pb2.Attempt(attempt=row.attempt, agent_id=row.agent_id or "")
    set_time(out.start_time, row.claim_time)
    return out


def retry_policy(text: str | None) -> task_pb2.RetryPolicy:
    """A task's retry policy with every default filled in."""
    policy = policy_of(text)
    out = task_pb2.RetryPolicy(
        max_attempts=policy.max_attempts,
        jitter=policy.jitter,
        non_retryable_types=policy.non_retryable_types,
        max_crashes=policy.max_crashes,
    )
    for delay in policy.delays:
        set_span(out.delays.add(), delay)
    if not policy.delays:
        out.factor = policy.factor
        set_span(out.initial_backoff, policy.initial_backoff)
        set_span(out.max_backoff, policy.max_backoff)
    return out


def timeouts(text: str | None) -> task_pb2.Timeouts:
    """A task's time limits; unset without one."""
    policy = policy_of(text)
    out = task_pb2.Timeouts()
    set_span(out.schedule_to_start, policy.schedule_to_start)
    set_span(out.attempt, policy.attempt_timeout)
    set_span(out.task, policy.task_timeout)
    set_span(out.stall, policy.stall_timeout)
    set_span(out.cancel_grace, policy.cancel_grace)
    return out


def log_line(row: model.LogRow) -> task_pb2.LogLine:
    """A line of a task's log."""
    out = task_pb2.LogLine(
        level=row.level,
        stream=row.stream,
        text=row.text,
        attempt=row.attempt,
        sequence=row.sequence,
    )
    set_time(out.time, row.time)
    return out


def agent(row: model.Agent) -> agent_pb2.Agent:
    """An agent."""
    info = agent_pb2.AgentInfo(
        agent_id=row.id,
        name=row.name,
        version=row.version,
        hostname=row.hostname,
        pid=row.pid,
        slots=row.slots,
        labels=json.loads(row.labels) if row.labels else None,
        instance_id=row.instance_id or "",
    )
    out = agent_pb2.Agent(
        info=info,
        namespace=row.namespace,
        state=row.state,  # type: ignore[arg-type]
        queues=json.loads(row.queues),
        running=row.running,
        pool=row.pool or "",
        revision=row.revision,
    )
    set_time(out.create_time, row.create_time)
    set_time(out.last_contact_time, row.last_contact_time)
    return out


def state_counts(counts: dict[int, int]) -> list[queue_pb2.StateCount]:
    """Counts by state, in the order of the states."""
    return [
        queue_pb2.StateCount(state=state, count=count)  # type: ignore[arg-type]
        for state, count in sorted(counts.items())
        if count
    ]


def queue(row: model.Queue) -> queue_pb2.Queue:
    """A queue with its counters."""
    totals: dict[int, int] = defaultdict(int)
    names: dict[str, dict[int, int]] = defaultdict(dict)
    for name, state, count in row.counts:
        totals[state] += count
        names[name][state] = count
    out = queue_pb2.Queue(
        name=row.name,
        namespace=row.namespace,
        paused=bool(row.paused),
        pause_note=row.pause_note or "",
        counts=state_counts(totals),
        submitted_total=row.submitted_total,
        succeeded_total=row.succeeded_total,
        failed_total=row.failed_total,
        cancelled_total=row.cancelled_total,
        expired_total=row.expired_total,
        revision=row.revision,
        paused_arrivals=_arrivals(row.drops),
        etag=queue_etag(row),
    )
    if row.limits is not None:
        out.limits.CopyFrom(queue_limits(row.limits))
    set_time(out.back_off_until, row.back_off_until)
    for name in sorted(filter(None, names))[: model.MAX_NAMES]:
        out.names.add(name=name, counts=state_counts(names[name]))
    set_time(out.create_time, row.create_time)
    return out


def _arrivals(drop: object) -> queue_pb2.ArrivalPolicy.ValueType:
    return queue_pb2.ARRIVAL_POLICY_DROP if drop else queue_pb2.ARRIVAL_POLICY_QUEUE


def queue_limits(text: str) -> queue_pb2.QueueLimits:
    """What may start from a queue; limits that are not set stay unset."""
    limits = limits_of(text)
    out = queue_pb2.QueueLimits(weights=dict(limits.weights))
    for message, cap in (
        (out.concurrency, limits.concurrency),
        (out.concurrency_per_key, limits.concurrency_per_key),
    ):
        if cap.limit:
            message.limit, message.overflow = cap.limit, cap.overflow  # type: ignore[assignment]
    for bucket, rate in ((out.rate, limits.rate), (out.rate_per_key, limits.rate_per_key)):
        if rate.units:
            bucket.units, bucket.burst = rate.units, rate.burst
            set_span(bucket.period, rate.period)
    if limits.ageing:
        set_span(out.ageing, limits.ageing)
    return out


def hold(row: model.Hold) -> hold_pb2.Hold:
    """Something that is held."""
    out = hold_pb2.Hold(
        namespace=row.namespace,
        kind=row.kind,  # type: ignore[arg-type]
        subject=row.subject,
        quarantined=bool(row.quarantined),
        actor=row.actor,
        reason=row.reason,
        arrivals=_arrivals(row.drops),
        revision=row.revision,
    )
    set_time(out.create_time, row.create_time)
    return out


def instance(row: Instance) -> pool_pb2.Instance:
    """An instance of a pool."""
    out = pool_pb2.Instance(
        id=row.id,
        pool=row.pool,
        state=row.state,  # type: ignore[arg-type]
        agent_id=row.agent_id or "",
        detail=row.detail or "",
        revision=row.revision,
        pid=row.pid or 0,
    )
    set_time(out.create_time, row.create_time)
    set_time(out.end_time, row.end_time)
    return out


def pool(row: PoolStatus) -> pool_pb2.Pool:
    """A pool."""
    out = pool_pb2.Pool(
        name=row.name,
        queue=row.queue,
        min=row.min,
        max=row.max,
        slots=row.slots,
        launcher=row.launcher,
        instances=row.instances,
        detail=row.detail or "",
        revision=row.revision,
    )
    set_span(out.idle_timeout, row.idle_timeout)
    return out
