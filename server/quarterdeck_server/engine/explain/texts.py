"""Words for persons: spans of time, counts, ids."""

from __future__ import annotations

from quarterdeck_server.engine.timeunits import DAY, HOUR, MINUTE, SECOND

_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))


def span(micros: int) -> str:
    """Say how long, to about two digits: `340 ms`, `12 s`, `3 min 20 s`, `2 d 4 h`."""
    if micros < SECOND:
        return f"{max(0, micros) // 1000} ms"
    if micros < MINUTE:
        return f"{micros / SECOND:.3g} s"
    for place, (unit, word) in enumerate(_UNITS):
        if micros >= unit:
            smaller, small_word = (*_UNITS, (SECOND, "s"))[place + 1]
            whole, rest = divmod(micros, unit)
            part = rest // smaller
            return f"{whole} {word}" + (f" {part} {small_word}" if part else "")
    raise AssertionError(micros)


def many(count: int, one: str) -> str:
    """Say how many: `1 task`, `2 tasks`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def because(reason: str | None) -> str:
    """Add somebody's reason, if there is one."""
    return f": {reason}" if reason else ""
