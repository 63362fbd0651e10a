"""The two times that a server needs, behind one seam."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and shown, monotonic time for what is waited for.

    The two are not convertible: the wall clock may jump, the monotonic one may stand still while
    a machine sleeps.
    """

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never runs backwards."""
        ...


class SystemClock:
    """The clocks of the machine."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never runs backwards."""
        return time.monotonic()


class ManualClock:
    """Stands still until told otherwise; for tests.

    Args:
        now: Wall time to begin with, in microseconds; 2026-01-01 00:00 UTC by default.
    """

    def __init__(self, now: int = 1_767_225_600_000_000) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never runs backwards."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: `seconds` is negative; `jump` moves the wall clock back.
        """
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._monotonic += seconds
        self._now += round(seconds * 1_000_000)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or, with a negative number, back."""
        self._now += round(seconds * 1_000_000)
