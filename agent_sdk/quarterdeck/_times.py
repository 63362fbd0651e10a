"""Instants and spans between Python and the wire."""

from __future__ import annotations

import datetime as dt
import math

from google.protobuf import duration_pb2, timestamp_pb2

from quarterdeck._spans import Span, seconds

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def to_duration(span: Span) -> duration_pb2.Duration:
    """`span` for the wire, to the microsecond.

    Raises:
        ValueError: It is longer than the wire can say, or not a number.
    """
    length = seconds(span)
    if not math.isfinite(length):
        raise ValueError(f"expected a finite length of time, got {length}")
    micros = round(length * 1_000_000)
    sign = -1 if micros < 0 else 1
    whole, rest = divmod(abs(micros), 1_000_000)
    return duration_pb2.Duration(seconds=sign * whole, nanos=sign * rest * 1000)


def to_timestamp(instant: dt.datetime) -> timestamp_pb2.Timestamp:
    """`instant` for the wire.

    Raises:
        TypeError: It is no datetime.
        ValueError: It has no time zone, so that its meaning depends on the machine.
    """
    try:
        offset = instant.utcoffset()
    except AttributeError:
        raise TypeError(f"expected a datetime with a time zone, got {instant!r}") from None
    if offset is None:
        raise ValueError(f"expected an instant with a time zone, got {instant!r}")
    micros = (instant - _EPOCH) // _MICROSECOND
    return timestamp_pb2.Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def from_duration(span: duration_pb2.Duration) -> float:
    """Seconds of a span from the wire."""
    return span.seconds + span.nanos / 1e9


def from_timestamp(instant: timestamp_pb2.Timestamp) -> dt.datetime:
    """An instant from the wire, in UTC."""
    return _EPOCH + dt.timedelta(seconds=instant.seconds, microseconds=instant.nanos // 1000)
