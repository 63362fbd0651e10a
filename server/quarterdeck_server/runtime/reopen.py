"""When queues have more to give though nothing happens until then: tokens that come back, a batch that lingered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from quarterdeck_server.engine.timeunits import SECOND
from quarterdeck_server.engine.world import QueueKey
from quarterdeck_server.runtime.clock import Clock

_LONGEST = 1.0
"""Seconds between two looks at the clock: the wall clock may jump."""


class Reopener:
    """Tells of queues whose instant has come."""

    def __init__(self, clock: Clock, opened: Callable[[QueueKey], None]) -> None:
        self._clock = clock
        self._opened = opened
        self._at: dict[QueueKey, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0
        self._seen = 0

    def note(self, instants: Iterable[tuple[int, QueueKey]]) -> None:
        """Learn of instants; of one queue the first counts."""
        for instant, key in instants:
            if instant < self._at.get(key, instant + 1):
                self._at[key] = instant
        if self._at:
            self._arm()

    def stop(self) -> None:
        """Tell of nothing more."""
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        first = min(self._at.values())
        if self._timer is not None:
            if self._due <= first:
                return
            self._timer.cancel()
        self._due = first
        self._seen = self._clock.now()
        # A little late rather than early, when nothing would be open yet.
        seconds = max(0.0, (first - self._seen) / SECOND) + 0.001
        self._timer = asyncio.get_running_loop().call_later(min(_LONGEST, seconds), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.now()
        # When the wall clock was set back, the instants are others.
        back = now < self._seen
        for key in [key for key, instant in self._at.items() if back or instant <= now]:
            del self._at[key]
            self._opened(key)
        if self._at:
            self._arm()
