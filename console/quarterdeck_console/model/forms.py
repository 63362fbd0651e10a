"""What the operator typed into a form, as the message that says it."""

from __future__ import annotations

import json
import re
from datetime import datetime

from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1 import payload_pb2, queue_pb2, task_pb2, task_service_pb2
from quarterdeck_console.model.text import sanitize

_DELAY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class FieldError(ValueError):
    """One field is wrong; its text says what was expected.

    Attributes:
        field: Its name.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


def span(text: str) -> float:
    """Seconds in a span such as `30s`, `1h30m` or `1.5h`; 0.0 when empty.

    Raises:
        ValueError: It is none.
    """
    text = text.strip().lower()
    if not text:
        return 0.0
    if not re.fullmatch(rf"(?:{_DELAY.pattern}\s*)+", text):
        raise ValueError("expected a span such as 30s, 10m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DELAY.findall(text))


def task_spec(name: str, queue: str, input: str, priority: str, delay: str) -> task_pb2.TaskSpec:
    """Makes the spec; the server checks the rest.

    Raises:
        FieldError: A field cannot be understood.
    """
    if not name.strip():
        raise FieldError("name", "expected a name")
    spec = task_pb2.TaskSpec(name=name.strip(), queue=queue.strip())
    spec.input.content_type = "application/json"
    spec.input.data = _json("input", input or "null")
    if priority.strip():
        spec.priority = _priority(priority)
    if _span("delay", delay):
        spec.delay.CopyFrom(_duration(_span("delay", delay)))
    return spec


def _json(field: str, text: str) -> bytes:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FieldError(field, f"expected JSON: {error}") from None
    return text.encode()


def _priority(text: str) -> int:
    if not re.fullmatch(r"[0-9]", text.strip()):
        raise FieldError("priority", "expected 0 to 9")
    return int(text)


def _span(field: str, text: str) -> float:
    try:
        return span(text)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMicroseconds(round(seconds * 1_000_000))
    return made


def task_update(priority: str, start: str, queue: str, labels: str) -> task_service_pb2.TaskUpdate:
    """Makes the change of tasks that have not ended; what is left empty stays as it is.

    Args:
        priority: 0 to 9.
        start: `now`, a delay such as `10m`, or an instant such as `2026-05-01T08:00` (local time
            unless it has an offset).
        queue: The line to wait in.
        labels: `key=value` pairs between blanks or commas; `key=` removes the label.

    Raises:
        FieldError: A field cannot be understood, or all are empty.
    """
    update = task_service_pb2.TaskUpdate()
    if priority.strip():
        update.priority = _priority(priority)
    if start.strip():
        _start(update, start.strip())
    if queue.strip():
        update.queue = queue.strip()
    for pair in re.split(r"[,\s]+", labels.strip()):
        key, equals, value = pair.partition("=")
        if pair and not (key and equals):
            raise FieldError("labels", f"expected key=value, got {pair}")
        if pair:
            update.labels[key] = value
    if not update.ByteSize():
        raise FieldError("labels", "nothing is to be changed: fill in a field")
    return update


def _start(update: task_service_pb2.TaskUpdate, text: str) -> None:
    if text == "now":
        update.delay.CopyFrom(_duration(0))
    elif re.match(r"\d{4}-", text):
        try:
            instant = datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError):
            raise FieldError("start", "expected a time such as 2026-05-01T08:00") from None
        update.run_time.FromDatetime(instant)
    else:
        seconds = _span("start", text)
        update.delay.CopyFrom(_duration(seconds))


EDITABLE = 262_144
"""Bytes of an input that can be edited here."""


def editable_input(payload: payload_pb2.Payload) -> str | None:
    """An input as text that can be changed without losing anything of it; None when it cannot.

    JSON is laid out, with escapes for all that a terminal must not get.
    """
    if len(payload.data) > EDITABLE:
        return None
    try:
        text = payload.data.decode()
        if "json" in (payload.content_type or "json"):
            value = json.loads(text or "null")
            text = json.dumps(value, indent=2, ensure_ascii=False)
            if not _harmless(text):
                text = json.dumps(value, indent=2)
    except (ValueError, RecursionError):
        return None
    return text if _harmless(text) else None


def _harmless(text: str) -> bool:
    return sanitize(text, EDITABLE, lines=True) == text


def edited_input(
    payload: payload_pb2.Payload, before: str, text: str
) -> payload_pb2.Payload | None:
    """The input as edited; None when it stays exactly as it was.

    Raises:
        FieldError: It was JSON and is no more.
    """
    if text == before:
        return None
    data = _json("input", text) if "json" in (payload.content_type or "json") else text.encode()
    return payload_pb2.Payload(content_type=payload.content_type, data=data)


_OVERFLOWS = ("wait", "reject", "cancel-oldest", "cancel-newest")
_RATE = re.compile(r"(\d{1,10})/([^,]+)(?:,burst=(\d{1,10}))?")


def queue_limits(
    concurrency: str, per_key: str, rate: str, key_rate: str, ageing: str, weights: str
) -> queue_pb2.QueueLimits:
    """Makes all limits of a queue, in the notation of `quarterdeck queue limits`.

    Args:
        concurrency: `N` or `N:overflow`, empty or 0 for no limit.
        per_key: The same for each group key.
        rate: `N/period` or `N/period,burst=N`, such as `100/1m`; empty or 0 for no limit.
        key_rate: The same for each group key.
        ageing: A span, empty for none.
        weights: `key=N` pairs between blanks.

    Raises:
        FieldError: A field cannot be understood.
    """
    limits = queue_pb2.QueueLimits()
    for field, text in (("concurrency", concurrency), ("per_key", per_key)):
        limit = _concurrency(field, text.strip())
        target = limits.concurrency if field == "concurrency" else limits.concurrency_per_key
        if limit is not None:
            target.CopyFrom(limit)
    for field, text in (("rate", rate), ("key_rate", key_rate)):
        bucket = _rate(field, text.strip())
        into = limits.rate if field == "rate" else limits.rate_per_key
        if bucket is not None:
            into.CopyFrom(bucket)
    if _span("ageing", ageing):
        limits.ageing.CopyFrom(_duration(_span("ageing", ageing)))
    for pair in weights.split():
        key, _, share = pair.rpartition("=")
        if not re.fullmatch(r"\d{1,4}", share) or "=" not in pair:
            raise FieldError("weights", f"expected key=N, got {pair}")
        limits.weights[key] = int(share)
    return limits


def _concurrency(field: str, text: str) -> queue_pb2.ConcurrencyLimit | None:
    number, _, overflow = text.partition(":")
    if text in ("", "0"):
        return None
    if not re.fullmatch(r"\d{1,9}", number) or (overflow or "wait") not in _OVERFLOWS:
        raise FieldError(field, f"expected N or N:{'|'.join(_OVERFLOWS)}")
    word = (overflow or "wait").upper().replace("-", "_")
    return queue_pb2.ConcurrencyLimit(
        limit=int(number), overflow=queue_pb2.OverflowPolicy.Value(f"OVERFLOW_POLICY_{word}")
    )


def _rate(field: str, text: str) -> queue_pb2.RateLimit | None:
    if text in ("", "0"):
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise FieldError(field, "expected N/PERIOD, such as 100/1m or 100/1m,burst=200")
    period = found[2].strip()
    seconds = _span(field, f"1{period}" if period in _SECONDS else period)
    bucket = queue_pb2.RateLimit(units=int(found[1]), burst=int(found[3] or 0))
    bucket.period.CopyFrom(_duration(seconds))
    return bucket
