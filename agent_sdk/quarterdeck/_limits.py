"""What may start from a queue: given to the server and read from it in the same values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quarterdeck._spans import Span

Overflow = Literal["wait", "reject", "cancel_oldest", "cancel_newest"]
Arrivals = Literal["queue", "drop"]


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """How many tasks may run at once.

    Attributes:
        limit: 0 means no limit.
        overflow: What becomes of a new task when as many are ready or run: it may `wait`, be
            refused (`reject`) with `LimitExceededError`, have the oldest cancelled
            (`cancel_oldest`), or be cancelled at once (`cancel_newest`).
    """

    limit: int
    overflow: Overflow | str = "wait"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many units may be started in a period: a token bucket, filled evenly.

    Attributes:
        units: Units in a period; 0 means no limit.
        period: Its length; None is 1 s.
        burst: Units that may be started at once after a rest; 0 means `units`.
    """

    units: int
    period: Span | None = None
    burst: int = 0


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may start from a queue, and in which order; what is None is not limited.

    Attributes:
        concurrency: For the whole queue.
        concurrency_per_key: For each group key.
        rate: For the whole queue.
        rate_per_key: For each group key.
        ageing: A waiting task counts one priority more for every such span, up to 9.
        weights: Shares of group keys; keys that are not named have 1.
    """

    concurrency: ConcurrencyLimit | None = None
    concurrency_per_key: ConcurrencyLimit | None = None
    rate: RateLimit | None = None
    rate_per_key: RateLimit | None = None
    ageing: Span | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
