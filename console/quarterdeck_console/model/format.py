"""How times, durations and amounts read in a narrow column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_BARS = " ▁▂▃▄▅▆▇█"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def duration(seconds: float) -> str:
    """A span in at most five characters, such as `0.4s`, `51s`, `4m12`, `3h05`, `2d4h`, `120d`."""
    if seconds < 0:
        seconds = 0.0
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}"
    days = whole // _DAY
    return f"{days}d{whole % _DAY // _HOUR}h" if days < 10 else f"{days}d"


def age(seconds: float) -> str:
    """A span in whole units, in at most four characters, such as `7s`, `12m`, `3h`, `9d`."""
    whole = max(0, int(seconds))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def count(number: float) -> str:
    """A whole number with thousands marks."""
    return f"{number:,.0f}"


def short_count(number: float) -> str:
    """An amount in at most five characters, such as `812`, `1.2k`, `34k`, `5.1M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"


def rate(per_second: float) -> str:
    """Events a second, `-` for none."""
    if per_second <= 0:
        return "-"
    return f"{per_second:.1f}/s" if per_second < 9.95 else f"{short_count(per_second)}/s"


def size(count_of_bytes: int) -> str:
    """Bytes as `812 B`, `1.2 KiB`, `3.0 MiB`."""
    if count_of_bytes < 1_024:
        return f"{count_of_bytes} B"
    if count_of_bytes < 1_048_576:
        return f"{count_of_bytes / 1_024:.1f} KiB"
    return f"{count_of_bytes / 1_048_576:.1f} MiB"


def instant(seconds: float) -> str:
    """An instant as local date and time; `-` when unset."""
    return _local(seconds, "%Y-%m-%d %H:%M:%S")


def zoned(seconds: float) -> str:
    """An instant as local date and time with how far that is from UTC, `Z` for UTC; `-` when unset."""
    return instant(seconds) + _offset(seconds)


def soon_zoned(seconds: float, now: float) -> str:
    """An instant near now as `soon` says it, with how far that is from UTC."""
    return soon(seconds, now) + _offset(seconds)


def there(seconds: float, zone: str) -> str:
    """The time of day in a zone, of which its name is said; empty where that is the local time."""
    try:
        place = datetime.fromtimestamp(seconds, ZoneInfo(zone))
        here = place.astimezone()
    except (ValueError, KeyError, OverflowError, OSError):
        return ""
    if place.utcoffset() == here.utcoffset():
        return ""
    return f"{place:%H:%M} in {zone}"


def clock(seconds: float) -> str:
    """The local time of day; `-` when unset."""
    return _local(seconds, "%H:%M:%S")


def clock_millis(seconds: float) -> str:
    """The local time of day with milliseconds; `-` when unset."""
    return f"{clock(seconds)}.{int(seconds % 1 * 1000):03d}" if seconds else "-"


def soon(seconds: float, now: float) -> str:
    """An instant near now: the time of day, with the date when it is not today."""
    if not seconds:
        return "-"
    same_day = _local(seconds, "%j%Y") == _local(now, "%j%Y")
    return _local(seconds, "%H:%M:%S" if same_day else "%m-%d %H:%M")


def _local(seconds: float, pattern: str) -> str:
    if not seconds:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return "?"


def _offset(seconds: float) -> str:
    """Such as `Z`, `+01`, `+05:30`; nothing of an unset instant."""
    offset = _local(seconds, "%z")
    if offset in ("-", "?"):
        return ""
    if offset == "+0000":
        return "Z"
    hours, minutes = offset[:3], offset[3:]
    return f"{hours}:{minutes}" if minutes.strip("0") else hours


def spark(values: Sequence[float], cells: int) -> str:
    """The newest values as one bar per cell, scaled to their largest; blank while few."""
    shown = values[-cells:] if cells else []
    top = max(shown, default=0.0)
    if top <= 0:
        return ("▁" * len(shown)).rjust(cells)
    last = len(_BARS) - 1
    return "".join(_BARS[max(1, round(value / top * last))] for value in shown).rjust(cells)


def bar(part: float, whole: float, cells: int) -> str:
    """A horizontal bar to eighths of a cell, padded to its width."""
    if whole <= 0 or part <= 0 or cells <= 0:
        return " " * max(0, cells)
    eighths = max(1, round(min(1.0, part / whole) * cells * 8))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(cells)[:cells]
