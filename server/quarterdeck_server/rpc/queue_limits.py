"""What operators say may start from a queue: QueueLimits to the engine's."""

from __future__ import annotations

import json
from typing import Final

from quarterdeck.v1 import queue_pb2
from quarterdeck_server.engine.flow.limits import WAIT, Concurrency, QueueLimits, Rate
from quarterdeck_server.engine.timeunits import DAY, MILLISECOND, SECOND
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.validate import Violations

MAX_GROUP_KEY: Final = 256
MAX_CONCURRENCY: Final = 1_000_000
MAX_UNITS: Final = 1_000_000_000
MAX_PERIOD: Final = 31 * DAY
MAX_WEIGHTS: Final = 1000
MAX_WEIGHT: Final = 1000
_OVERFLOWS = frozenset(queue_pb2.OverflowPolicy.values())
_ARRIVALS = frozenset(queue_pb2.ArrivalPolicy.values())


def read_limits(message: queue_pb2.QueueLimits, out: Violations) -> QueueLimits:
    """Check and convert the limits of a queue; what becomes of arrivals stands beside them in the request."""
    ageing = 0
    if message.HasField("ageing"):
        ageing = validate.span(message.ageing, "limits.ageing", out, least=MILLISECOND)
    return QueueLimits(
        concurrency=_concurrency(message.concurrency, "limits.concurrency", out),
        concurrency_per_key=_concurrency(
            message.concurrency_per_key, "limits.concurrency_per_key", out
        ),
        rate=_rate(message.rate, "limits.rate", out),
        rate_per_key=_rate(message.rate_per_key, "limits.rate_per_key", out),
        ageing=ageing,
        weights=_weights(message, out),
    )


def read_arrivals(
    value: queue_pb2.ArrivalPolicy.ValueType, out: Violations, field: str = "paused_arrivals"
) -> bool | None:
    """Whether tasks that arrive in a pause are dropped; None when the request does not say."""
    if value not in _ARRIVALS:
        out.append(Violation(field, "expected a value of ArrivalPolicy"))
    if value == queue_pb2.ARRIVAL_POLICY_UNSPECIFIED:
        return None
    return value == queue_pb2.ARRIVAL_POLICY_DROP


def _concurrency(message: queue_pb2.ConcurrencyLimit, field: str, out: Violations) -> Concurrency:
    limit = validate.number(message.limit, f"{field}.limit", 0, MAX_CONCURRENCY, out)
    if message.overflow not in _OVERFLOWS:
        out.append(Violation(f"{field}.overflow", "expected a value of OverflowPolicy"))
    elif message.overflow > queue_pb2.OVERFLOW_POLICY_WAIT and not message.limit:
        rule = "required with an overflow policy: without a limit nothing is over it"
        out.append(Violation(f"{field}.limit", rule))
    return Concurrency(limit, message.overflow or WAIT) if limit else Concurrency()


def _rate(message: queue_pb2.RateLimit, field: str, out: Violations) -> Rate:
    units = validate.number(message.units, f"{field}.units", 0, MAX_UNITS, out)
    burst = validate.number(message.burst, f"{field}.burst", 0, MAX_UNITS, out)
    period = SECOND
    if message.HasField("period"):
        period = validate.span(message.period, f"{field}.period", out, least=MILLISECOND)
        if period > MAX_PERIOD:
            out.append(Violation(f"{field}.period", "expected at most 31 days"))
    if not message.units and (message.burst or message.HasField("period")):
        rule = "required with a period or a burst: without units there is no rate"
        out.append(Violation(f"{field}.units", rule))
    if units and burst * period > validate.MAX_SPAN * units:
        # The store keeps the instant at which it is full again.
        out.append(Violation(f"{field}.burst", "expected what fills again within 36500 days"))
    return Rate(units, period, burst) if units else Rate()


def _weights(message: queue_pb2.QueueLimits, out: Violations) -> tuple[tuple[str, int], ...]:
    weights = message.weights
    if len(weights) > MAX_WEIGHTS:
        rule = f"expected at most {MAX_WEIGHTS} keys, got {len(weights)}"
        out.append(Violation("limits.weights", rule))
        return ()
    for key, weight in weights.items():
        field = f"limits.weights[{json.dumps(key[:40])}]"
        validate.text(key, field, MAX_GROUP_KEY, out)
        validate.number(weight, field, 1, MAX_WEIGHT, out)
    return tuple(sorted((key, weight) for key, weight in weights.items() if weight != 1))
