"""What may start from a queue, and in which order: its limits, as operators set them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

WAIT, REJECT, CANCEL_OLDEST, CANCEL_NEWEST = 1, 2, 3, 4
"""What becomes of a new task over a concurrency limit; the numbers are those of `quarterdeck.v1.OverflowPolicy`."""


class Concurrency(NamedTuple):
    """How many may run at once; 0 means any number."""

    limit: int = 0
    overflow: int = WAIT


class Rate(NamedTuple):
    """A token bucket: `units` in each `period` (microseconds), of which it holds `burst`; 0 units means any number."""

    units: int = 0
    period: int = 1_000_000
    burst: int = 0


class QueueLimits(NamedTuple):
    """The limits of one queue."""

    concurrency: Concurrency = Concurrency()
    concurrency_per_key: Concurrency = Concurrency()
    rate: Rate = Rate()
    rate_per_key: Rate = Rate()
    ageing: int = 0
    """After every such span a waiting task counts one priority more; 0 means never."""
    weights: tuple[tuple[str, int], ...] = ()
    """Shares of group keys, of those that have another than 1."""


NO_LIMITS = QueueLimits()

_PARTS: dict[str, Any] = {
    "concurrency": Concurrency,
    "concurrency_per_key": Concurrency,
    "rate": Rate,
    "rate_per_key": Rate,
}


def limits_text(limits: QueueLimits) -> str | None:
    """Encode for the queue row: only what differs from the default, None when nothing does."""
    changed = {
        name: value
        for name, value, default in zip(QueueLimits._fields, limits, NO_LIMITS, strict=True)
        if value != default
    }
    return json.dumps(changed, separators=(",", ":"), sort_keys=True) if changed else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> QueueLimits:
    values = json.loads(text)
    for name, part in _PARTS.items():
        if name in values:
            values[name] = part(*values[name])
    if "weights" in values:
        values["weights"] = tuple((key, weight) for key, weight in values["weights"])
    return QueueLimits(**values)


def limits_of(text: str | None) -> QueueLimits:
    """Decode what `limits_text` made."""
    return NO_LIMITS if text is None else _parse(text)
