"""Spans of time in microseconds, the unit of every stored instant and span."""

from __future__ import annotations

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
