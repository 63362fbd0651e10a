"""Schedules to protos; their task template is a TaskSpec again."""

from __future__ import annotations

import json

from quarterdeck.v1 import schedule_pb2, task_pb2
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.policy import DEFAULT_POLICY, policy_of
from quarterdeck_server.engine.schedule.firing import template_of
from quarterdeck_server.engine.schedule.schedules import Kind, Schedule
from quarterdeck_server.rpc import affinity, convert


def schedule(row: Schedule) -> schedule_pb2.Schedule:
    """A schedule with its rule."""
    out = schedule_pb2.Schedule(
        id=row.id,
        namespace=row.namespace,
        spec=_spec(row),
        paused=bool(row.paused),
        pause_note=row.pause_note or "",
        fired_count=row.fired,
        revision=row.revision,
    )
    if row.last_task_id:
        out.last_task_id = encode_task_id(row.last_task_id)
    convert.set_time(out.next_time, row.next_at)
    convert.set_time(out.last_time, row.last_at)
    convert.set_time(out.create_time, row.create_time)
    convert.set_time(out.update_time, row.update_time)
    return out


def _spec(row: Schedule) -> schedule_pb2.ScheduleSpec:
    out = schedule_pb2.ScheduleSpec(task=_task_spec(row))
    if row.kind == Kind.CRON:
        out.cron.expression, out.cron.time_zone = row.spec, row.time_zone
    elif row.kind == Kind.INTERVAL:
        convert.set_span(out.interval, int(row.spec))
    else:
        convert.set_time(out.once, int(row.spec))
    convert.set_time(out.start_time, row.start_at)
    # The wire's end is exclusive, the engine's is the last instant.
    convert.set_time(out.end_time, None if row.end_at is None else row.end_at + 1)
    return out


def _task_spec(row: Schedule) -> task_pb2.TaskSpec:
    spec = template_of(row)
    out = task_pb2.TaskSpec(name=spec.name, queue=spec.queue, priority=spec.priority)
    if spec.input is not None:
        out.input.content_type, out.input.data = spec.input
    if spec.labels is not None:
        out.labels.update(json.loads(spec.labels))
    if spec.policy is not None:
        out.retry.CopyFrom(convert.retry_policy(spec.policy))
        out.timeouts.CopyFrom(convert.timeouts(spec.policy))
        if policy_of(spec.policy).all_ended != DEFAULT_POLICY.all_ended:
            out.dependency_policy = task_pb2.DEPENDENCY_POLICY_ALL_ENDED
        affinity.to_proto(policy_of(spec.policy), out)
    out.group_key = lane_of(spec.lane).group_key
    if spec.attributes is not None:
        for name, value in convert.attributes(spec.attributes).items():
            out.attributes[name].CopyFrom(value)
    return out
