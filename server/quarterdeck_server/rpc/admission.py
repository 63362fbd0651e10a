"""Unique, debounce and throttle keys of a spec: their rules, and what they cannot stand together with."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1 import task_pb2
from quarterdeck_server.engine.admission import ACTIVE, AFTER_EXISTING, PERIOD, REJECT
from quarterdeck_server.engine.commands import Debounce, Throttle, Unique
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.validate import Violations

_MAX_KEY: Final = 256
_MAX_LIMIT: Final = 1_000_000
_LEAST: Final = 1000
"""Microseconds: 1 ms."""

_SCOPES: Final = frozenset(task_pb2.UniqueScope.values())
_POLICIES: Final = frozenset(task_pb2.UniquePolicy.values())
_NOT_WITH_DEBOUNCE: Final = (
    *("run_time", "delay", "depends_on", "idempotency_key"),
    *("unique", "throttle"),
)


def has_admission(spec: task_pb2.TaskSpec) -> bool:
    """Say whether a spec has a key that others may have."""
    return spec.HasField("unique") or spec.HasField("debounce") or spec.HasField("throttle")


def read_admission(spec: task_pb2.TaskSpec, out: Violations) -> Unique | Debounce | Throttle:
    """Check and convert the key of a spec that has one."""
    if spec.HasField("debounce"):
        for field in _NOT_WITH_DEBOUNCE:
            if _is_set(spec, field):
                out.append(Violation(field, "expected not together with debounce"))
        return _debounce(spec.debounce, out)
    if spec.HasField("unique"):
        if spec.HasField("throttle"):
            out.append(Violation("throttle", "expected not together with unique"))
        return _unique(spec, out)
    return _throttle(spec.throttle, out)


def read_key_ttl(spec: task_pb2.TaskSpec, out: Violations) -> int | None:
    """Check and convert how long the idempotency key of a spec that has one is kept."""
    if not spec.HasField("idempotency_ttl"):
        return None
    return validate.span(spec.idempotency_ttl, "idempotency_ttl", out, least=_LEAST)


def _is_set(spec: task_pb2.TaskSpec, field: str) -> bool:
    if field in ("depends_on", "idempotency_key"):
        return bool(getattr(spec, field))
    return spec.HasField(field)  # type: ignore[arg-type]  # the stubs take literals


def _key(text: str, field: str, out: Violations) -> str:
    if not text:
        out.append(Violation(field, f"required: expected 1 to {_MAX_KEY} characters"))
    return validate.text(text, field, _MAX_KEY, out)


def _required(value: Duration, present: bool, field: str, out: Violations) -> int:
    if not present:
        out.append(Violation(field, "required: expected a duration of at least 1 ms"))
        return _LEAST
    return validate.span(value, field, out, least=_LEAST)


def _unique(spec: task_pb2.TaskSpec, out: Violations) -> Unique:
    unique = spec.unique
    key = _key(unique.key, "unique.key", out)
    scope, policy = unique.scope or ACTIVE, unique.policy or REJECT
    if scope not in _SCOPES:
        out.append(Violation("unique.scope", "expected a value of UniqueScope"))
    if policy not in _POLICIES:
        out.append(Violation("unique.policy", "expected a value of UniquePolicy"))
    period = 0
    if scope == PERIOD:
        period = _required(unique.period, unique.HasField("period"), "unique.period", out)
    elif unique.HasField("period"):
        out.append(Violation("unique.period", "expected only with UNIQUE_SCOPE_PERIOD"))
    if policy == AFTER_EXISTING:
        name = "UNIQUE_POLICY_AFTER_EXISTING"
        if scope == PERIOD:
            rule = f"expected not UNIQUE_SCOPE_PERIOD together with {name}"
            out.append(Violation("unique.scope", rule))
        if spec.depends_on:
            out.append(Violation("depends_on", f"expected not together with {name}"))
    return Unique(key, scope, policy, period)


def _debounce(debounce: task_pb2.Debounce, out: Violations) -> Debounce:
    key = _key(debounce.key, "debounce.key", out)
    delay = _required(debounce.delay, debounce.HasField("delay"), "debounce.delay", out)
    longest = None
    if debounce.HasField("max_wait"):
        longest = validate.span(debounce.max_wait, "debounce.max_wait", out, least=_LEAST)
    return Debounce(key, delay, longest)


def _throttle(throttle: task_pb2.Throttle, out: Violations) -> Throttle:
    key = _key(throttle.key, "throttle.key", out)
    limit = validate.number(throttle.limit, "throttle.limit", 1, _MAX_LIMIT, out, 1)
    period = _required(throttle.period, throttle.HasField("period"), "throttle.period", out)
    return Throttle(key, limit, period)
