"""Parts of resources as the console holds them: instants, labels, failures, proofs, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import payload_pb2, queue_pb2, task_pb2
from quarterdeck_console.model.text import MAX_TEXT, sanitize

Labels = tuple[tuple[str, str], ...]


def seconds(stamp: Timestamp | Duration) -> float:
    """An instant or a span in seconds; 0.0 when unset."""
    return stamp.seconds + stamp.nanos / 1e9


def labels_of(given: Mapping[str, str]) -> Labels:
    """Labels in the order of their keys, sanitised."""
    return tuple((sanitize(key), sanitize(given[key])) for key in sorted(given))


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Why an attempt failed."""

    type: str
    message: str
    trace: str
    final: bool

    @classmethod
    def of(cls, failure: payload_pb2.Failure) -> FailureRow:
        """From the wire."""
        return cls(
            sanitize(failure.type),
            sanitize(failure.message, 4_096, lines=True),
            sanitize(failure.stack_trace, MAX_TEXT, lines=True),
            failure.non_retryable,
        )


@dataclass(frozen=True, slots=True)
class CancelRow:
    """A cancel and its proof; an instant is 0.0 until its step has happened."""

    requested: float
    actor: str
    reason: str
    delivered: float
    acknowledged: float
    stopped: float
    escalated: float

    @classmethod
    def of(cls, cancel: task_pb2.Cancellation) -> CancelRow:
        """From the wire."""
        return cls(
            seconds(cancel.request_time),
            sanitize(cancel.actor),
            sanitize(cancel.reason, 1_024),
            seconds(cancel.deliver_time),
            seconds(cancel.acknowledge_time),
            seconds(cancel.stop_time),
            seconds(cancel.escalate_time),
        )


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A pause and its proof; an instant is 0.0 until its step has happened."""

    requested: float
    actor: str
    reason: str
    delivered: float
    acknowledged: float

    @classmethod
    def of(cls, pause: task_pb2.TaskPause) -> PauseRow:
        """From the wire."""
        return cls(
            seconds(pause.request_time),
            sanitize(pause.actor),
            sanitize(pause.reason, 1_024),
            seconds(pause.deliver_time),
            seconds(pause.acknowledge_time),
        )


def attributes_of(given: Mapping[str, task_pb2.AttributeValue]) -> Labels:
    """Typed facts of a task as text, in the order of their keys."""
    return tuple((sanitize(key), _attribute(given[key])) for key in sorted(given))


def _attribute(value: task_pb2.AttributeValue) -> str:
    if value.HasField("number"):
        return f"{value.number:g}"
    if value.HasField("flag"):
        return "true" if value.flag else "false"
    return f'"{sanitize(value.text)}"'


@dataclass(frozen=True, slots=True)
class LimitsRow:
    """What may start from a queue, in the words in which it is typed; empty for what has no limit.

    Attributes:
        most: Tasks that may run at once; 0 for any number.
        concurrency: `N` or `N:overflow`, for the whole queue.
        per_key: The same for each group key.
        rate: `N/period` or `N/period,burst=N`, for the whole queue.
        key_rate: The same for each group key.
        ageing: The span that counts as one priority.
        weights: Shares of group keys.
    """

    most: int
    concurrency: str
    per_key: str
    rate: str
    key_rate: str
    ageing: str
    weights: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, limits: queue_pb2.QueueLimits) -> LimitsRow:
        """From the wire."""
        return cls(
            limits.concurrency.limit,
            _concurrency(limits.concurrency),
            _concurrency(limits.concurrency_per_key),
            _rate(limits.rate),
            _rate(limits.rate_per_key),
            span_text(seconds(limits.ageing)),
            tuple((sanitize(key), limits.weights[key]) for key in sorted(limits.weights)),
        )

    @property
    def any(self) -> bool:
        """True when anything is limited, aged or weighed."""
        return self != NO_LIMITS


NO_LIMITS = LimitsRow(0, "", "", "", "", "", ())


def _concurrency(limit: queue_pb2.ConcurrencyLimit) -> str:
    if not limit.limit:
        return ""
    if limit.overflow in (
        queue_pb2.OVERFLOW_POLICY_UNSPECIFIED,
        queue_pb2.OVERFLOW_POLICY_WAIT,
    ):
        return str(limit.limit)
    known = queue_pb2.OverflowPolicy.DESCRIPTOR.values_by_number.get(limit.overflow)
    name = known.name.removeprefix("OVERFLOW_POLICY_") if known else f"policy {limit.overflow}"
    return f"{limit.limit}:{name.lower().replace('_', '-')}"


def _rate(limit: queue_pb2.RateLimit) -> str:
    if not limit.units:
        return ""
    burst = f",burst={limit.burst}" if limit.burst else ""
    return f"{limit.units}/{span_text(seconds(limit.period)) or '1s'}{burst}"


def span_text(span: float) -> str:
    """A span as it is typed, without loss: `1m`, `1h30m`, `500ms`; empty for none."""
    left = round(span * 1_000)
    parts = []
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
