"""What producers ask for: TaskSpec to the engine's Spec, ScheduleSpec to its Schedule."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Final

from quarterdeck.v1 import schedule_pb2, task_pb2
from quarterdeck_server.engine.commands import Spec
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.policy import DEFAULT_POLICY, Policy, policy_text
from quarterdeck_server.engine.schedule.firing import template_text
from quarterdeck_server.engine.schedule.schedules import Kind, Schedule
from quarterdeck_server.rpc import admission, affinity, validate
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.validate import Violations

MAX_DEPENDENCIES: Final = 10_000
_DEFAULT_PRIORITY = 5
_MAX_ATTEMPTS = 1000
_MAX_DELAYS = 100
_DEPENDENCY_POLICIES = frozenset(task_pb2.DependencyPolicy.values())
_ALL_ENDED = task_pb2.DEPENDENCY_POLICY_ALL_ENDED
_INPUT = Spec._fields.index("input")
_MAX_SHARED = 1024
"""Bytes of a spec without its input: larger ones are not kept."""
_PRODUCER_ONLY = (
    *("run_time", "delay", "depends_on", "parent_id", "idempotency_key", "idempotency_ttl"),
    *("unique", "debounce", "throttle"),
)


def task_spec(spec: task_pb2.TaskSpec, index: int, limit: int, out: Violations) -> Spec:
    """Check and convert one item of a Submit; the result is of use only when `out` stays empty.

    Tasks that are submitted in numbers differ in their inputs as a rule, so all else is read once.

    Args:
        spec: The item. Its input is taken out of it.
        index: Its place in the request.
        limit: Of its payload, in bytes.
        out: Gets what is wrong.
    """
    key = spec.idempotency_key
    content_hash = None
    if key:
        content_hash = hashlib.sha256(spec.SerializeToString(deterministic=True)).digest()
    payload = None
    if spec.HasField("input"):
        payload = validate.payload(spec.input, "input", limit, out)
        spec.ClearField("input")
    if key or spec.depends_on:
        return _read(spec, index, payload, content_hash, out)
    rest = spec.SerializeToString()
    if len(rest) > _MAX_SHARED:
        return _read(spec, index, payload, None, out)
    shared, violations = _shared(rest)
    out.extend(violations)
    if payload is None:
        return shared
    return Spec._make((*shared[:_INPUT], payload, *shared[_INPUT + 1 :]))


@lru_cache(maxsize=1024)
def _shared(rest: bytes) -> tuple[Spec, tuple[Violation, ...]]:
    out: Violations = []
    return _read(task_pb2.TaskSpec.FromString(rest), 0, None, None, out), tuple(out)


def _read(
    spec: task_pb2.TaskSpec,
    index: int,
    payload: Payload | None,
    content_hash: bytes | None,
    out: Violations,
) -> Spec:
    name = validate.name(spec.name, "name", out)
    key = spec.idempotency_key
    group_key = affinity.read_group_key(spec.group_key, out)
    policy = _policy(spec, out) if _has_policy(spec) else None
    return Spec(
        queue=validate.name(spec.queue, "queue", out, default="default"),
        name=name,
        priority=_priority(spec, out) if spec.HasField("priority") else _DEFAULT_PRIORITY,
        run_at=_run_time(spec, out) if spec.HasField("run_time") else None,
        delay=validate.span(spec.delay, "delay", out),
        policy=policy,
        labels=validate.labels(spec.labels, "labels", out),
        attributes=validate.attributes(spec.attributes, "attributes", out),
        lane=affinity.lane(group_key, policy) if group_key or policy else None,
        parent_id=_parent(spec.parent_id, out) if spec.parent_id else None,
        idempotency_key=validate.text(key, "idempotency_key", 256, out) if key else None,
        content_hash=content_hash,
        depends_on=_dependencies(spec, index, out),
        input=payload,
        admission=admission.read_admission(spec, out) if admission.has_admission(spec) else None,
        key_ttl=admission.read_key_ttl(spec, out) if key else None,
    )


def _has_policy(spec: task_pb2.TaskSpec) -> bool:
    return (
        spec.HasField("retry")
        or spec.HasField("timeouts")
        or spec.HasField("affinity")
        or bool(spec.dependency_policy or spec.units)
    )


def _priority(spec: task_pb2.TaskSpec, out: Violations) -> int:
    return validate.number(spec.priority, "priority", 0, 9, out)


def _run_time(spec: task_pb2.TaskSpec, out: Violations) -> int:
    if spec.HasField("delay"):
        out.append(Violation("delay", "expected not together with run_time"))
    return validate.instant(spec.run_time, "run_time", out)


def _parent(text: str, out: Violations) -> int | None:
    try:
        return decode_task_id(text)
    except ValueError as error:
        out.append(Violation("parent_id", str(error)))
        return None


def _dependencies(spec: task_pb2.TaskSpec, index: int, out: Violations) -> tuple[int, ...]:
    texts = spec.depends_on
    if len(texts) > MAX_DEPENDENCIES:
        rule = f"expected at most {MAX_DEPENDENCIES} entries, got {len(texts)}"
        out.append(Violation("depends_on", rule))
        return ()
    found = []
    for place, text in enumerate(texts):
        try:
            found.append(_sibling(text, index) if text.startswith("#") else decode_task_id(text))
        except ValueError as error:
            out.append(Violation(f"depends_on[{place}]", str(error)))
    return tuple(found)


def _sibling(text: str, index: int) -> int:
    digits = text[1:]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and int(digits) < index):
        raise ValueError(f"expected # and the place of an earlier item, got {text[:40]!r}")
    return -int(digits) - 1


def _policy(spec: task_pb2.TaskSpec, out: Violations) -> str | None:
    if spec.dependency_policy not in _DEPENDENCY_POLICIES:
        out.append(Violation("dependency_policy", "expected a value of DependencyPolicy"))
    retry = spec.retry.SerializeToString() if spec.HasField("retry") else b""
    timeouts = spec.timeouts.SerializeToString() if spec.HasField("timeouts") else b""
    whom = spec.affinity.SerializeToString() if spec.HasField("affinity") else b""
    all_ended = spec.dependency_policy == _ALL_ENDED
    text, violations = _policy_text(retry, timeouts, whom, spec.units, all_ended)
    out.extend(violations)
    return text


@lru_cache(maxsize=1024)
def _policy_text(
    retry: bytes, timeouts: bytes, whom: bytes, units: int, all_ended: bool
) -> tuple[str | None, tuple[Violation, ...]]:
    """Check and encode a policy. A fleet has few distinct ones, so they are cached as sent."""
    out: Violations = []
    policy = read_retry(task_pb2.RetryPolicy.FromString(retry), out)
    policy = read_timeouts(task_pb2.Timeouts.FromString(timeouts), policy, out)
    policy = affinity.read_affinity(task_pb2.Affinity.FromString(whom), policy, out)
    units = affinity.read_units(units, out)
    return policy_text(policy._replace(all_ended=all_ended, units=units)), tuple(out)


def read_retry(retry: task_pb2.RetryPolicy, out: Violations) -> Policy:
    """Check and convert how failed attempts are retried."""
    default = DEFAULT_POLICY
    factor = retry.factor or default.factor
    if not 1 <= factor <= 100:
        out.append(Violation("retry.factor", f"expected 1 to 100; 0 means 2, got {factor:g}"))
    delays = _delays(retry, out)
    jitter = 0.0 if delays else default.jitter
    jitter = retry.jitter if retry.HasField("jitter") else jitter
    if not (math.isfinite(jitter) and 0 <= jitter <= 1):
        out.append(Violation("retry.jitter", f"expected 0 to 1, got {jitter:g}"))
    types = tuple(retry.non_retryable_types)
    if len(types) > 32:
        out.append(Violation("retry.non_retryable_types", f"expected at most 32, got {len(types)}"))
    for place, kind in enumerate(types[:32]):
        validate.text(kind, f"retry.non_retryable_types[{place}]", 256, out)
    initial = validate.span(retry.initial_backoff, "retry.initial_backoff", out)
    maximum = validate.span(retry.max_backoff, "retry.max_backoff", out)
    return default._replace(
        max_attempts=validate.number(
            retry.max_attempts, "retry.max_attempts", 1, _MAX_ATTEMPTS, out, default.max_attempts
        ),
        max_crashes=validate.number(
            retry.max_crashes, "retry.max_crashes", 1, _MAX_ATTEMPTS, out, default.max_crashes
        ),
        initial_backoff=initial if retry.HasField("initial_backoff") else default.initial_backoff,
        max_backoff=maximum if retry.HasField("max_backoff") else default.max_backoff,
        factor=factor,
        jitter=jitter,
        non_retryable_types=types,
        delays=delays,
    )


def _delays(retry: task_pb2.RetryPolicy, out: Violations) -> tuple[int, ...]:
    if not retry.delays:
        return ()
    formula = {
        "initial_backoff": retry.HasField("initial_backoff"),
        "max_backoff": retry.HasField("max_backoff"),
        "factor": bool(retry.factor),
    }
    for field, is_set in formula.items():
        if is_set:
            out.append(Violation(f"retry.{field}", "expected not together with delays"))
    if len(retry.delays) > _MAX_DELAYS:
        rule = f"expected at most {_MAX_DELAYS}, got {len(retry.delays)}"
        out.append(Violation("retry.delays", rule))
        return ()
    return tuple(
        validate.span(delay, f"retry.delays[{place}]", out)
        for place, delay in enumerate(retry.delays)
    )


def read_timeouts(timeouts: task_pb2.Timeouts, policy: Policy, out: Violations) -> Policy:
    """Check time limits, and set them in a policy."""

    def limit(field: str) -> int | None:
        if not timeouts.HasField(field):  # type: ignore[arg-type]  # the stubs take literals
            return None
        return validate.span(getattr(timeouts, field), f"timeouts.{field}", out, least=1000)

    policy = policy._replace(
        schedule_to_start=limit("schedule_to_start"),
        attempt_timeout=limit("attempt"),
        task_timeout=limit("task"),
        stall_timeout=limit("stall"),
    )
    if timeouts.HasField("cancel_grace"):
        grace = validate.span(timeouts.cancel_grace, "timeouts.cancel_grace", out)
        policy = policy._replace(cancel_grace=grace)
    return policy


def schedule_draft(
    namespace: str, schedule_id: str, spec: schedule_pb2.ScheduleSpec, limit: int, out: Violations
) -> Schedule:
    """Check and convert a rule; whether it can be is left to `engine.schedule.schedules`.

    Args:
        namespace: Its tenant.
        schedule_id: Its id.
        spec: The rule.
        limit: Of the task's payload, in bytes.
        out: Gets what is wrong, with paths from the request.
    """
    kind, when, zone = _when(spec, out)
    inner: Violations = []
    task = task_spec(spec.task, 0, limit, inner)
    for field in _PRODUCER_ONLY:
        if _is_set(spec.task, field):
            inner.append(Violation(field, "expected unset in the task of a schedule"))
    out.extend(v._replace(field=f"spec.task.{v.field}") for v in inner)
    start = spec.HasField("start_time")
    end = spec.HasField("end_time")
    return Schedule(
        namespace=namespace,
        id=schedule_id,
        kind=kind,
        spec=when,
        time_zone=zone,
        start_at=validate.instant(spec.start_time, "spec.start_time", out) if start else None,
        # The wire's end is exclusive, the engine's is the last instant.
        end_at=validate.instant(spec.end_time, "spec.end_time", out) - 1 if end else None,
        queue=task.queue,
        task_name=task.name,
        task_spec=template_text(
            task.priority, task.policy, task.labels, task.lane, task.attributes
        ),
        input_type="" if task.input is None else task.input.content_type,
        input=b"" if task.input is None else task.input.data,
        paused=0,
        pause_note=None,
        next_at=None,
        last_at=None,
        last_task_id=None,
        fired=0,
        create_time=0,
        update_time=0,
        revision=0,
    )


def _is_set(task: task_pb2.TaskSpec, field: str) -> bool:
    if field in ("parent_id", "idempotency_key", "depends_on"):
        return bool(getattr(task, field))
    return task.HasField(field)  # type: ignore[arg-type]  # the stubs take literals


def _when(spec: schedule_pb2.ScheduleSpec, out: Violations) -> tuple[int, str, str]:
    match spec.WhichOneof("when"):
        case "cron":
            return Kind.CRON, spec.cron.expression, spec.cron.time_zone or "UTC"
        case "interval":
            return Kind.INTERVAL, str(validate.span(spec.interval, "spec.interval", out)), "UTC"
        case "once":
            return Kind.ONCE, str(validate.instant(spec.once, "spec.once", out)), "UTC"
    out.append(Violation("spec.when", "required: expected cron, interval or once"))
    return Kind.ONCE, "0", "UTC"
