"""What a process costs, from /proc; nothing where the platform has none."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from quarterdeck_server.bench.figures import Figures

_PROC = Path("/proc")


class Sample(NamedTuple):
    """A process at one moment."""

    time: float
    """Seconds of the monotonic clock."""
    cpu: float
    """Seconds of processor time since its start, user and system."""
    rss: int
    """Bytes of resident memory."""
    peak: int
    """The most that it ever was."""


def sample(pid: int) -> Sample | None:
    """What a process has used up to now; None where that cannot be read."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
        status = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    memory = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in status.splitlines())
        if name in ("VmRSS", "VmHWM")
    }
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    return Sample(time.monotonic(), seconds, memory.get("VmRSS", 0), memory.get("VmHWM", 0))


def used(before: Sample | None, after: Sample | None) -> Figures:
    """The share of one core in between, and the memory at the end."""
    if before is None or after is None:
        return {}
    share = (after.cpu - before.cpu) / max(after.time - before.time, 1e-9)
    return {
        "cpu_pct": round(share * 100, 1),
        "rss_mb": round(after.rss / 2**20, 1),
        "peak_rss_mb": round(after.peak / 2**20, 1),
    }


def per_task(
    name: str, before: Sequence[Sample | None], after: Sequence[Sample | None], tasks: float
) -> Figures:
    """The processor time that `tasks` took in some processes, as `NAME_us_per_task`.

    Hardly changes with what else the machine does, unlike a rate.
    """
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    if not pairs:
        return {}
    seconds = sum(b.cpu - a.cpu for a, b in pairs)
    return {f"{name}_us_per_task": round(seconds / tasks * 1e6, 1)}
