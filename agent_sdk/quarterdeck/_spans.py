"""Lengths of time as callers give them. Apart from `_times`, so that it costs no import of protobuf."""

from __future__ import annotations

import datetime as dt

Span = float | int | dt.timedelta
"""A length of time: seconds, or a timedelta."""


def seconds(span: Span) -> float:
    """The length of `span` in seconds."""
    return span.total_seconds() if isinstance(span, dt.timedelta) else float(span)
