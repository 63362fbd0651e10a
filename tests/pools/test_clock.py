from __future__ import annotations

import pytest

from quarterdeck_server.runtime.clock import ManualClock, SystemClock


def test_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(5_000_000)
    monotonic = clock.monotonic()
    assert clock.now() == 5_000_000
    clock.advance(1.5)
    assert clock.now() == 6_500_000
    assert clock.monotonic() == monotonic + 1.5


def test_jump_moves_only_the_wall_clock() -> None:
    clock = ManualClock(5_000_000)
    monotonic = clock.monotonic()
    clock.jump(-2)
    assert clock.now() == 3_000_000
    assert clock.monotonic() == monotonic
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_system_clock_counts_microseconds_since_the_epoch() -> None:
    clock = SystemClock()
    assert clock.now() > 1_700_000_000_000_000
    assert clock.monotonic() <= clock.monotonic()
