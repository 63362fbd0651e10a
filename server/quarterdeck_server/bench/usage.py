"""What a process costs, from /proc; nothing where the platform has none."""

from __future__ import annotations

import os
import time
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


def sample(pid: int) -> Sample | None:
    """What a process has used up to now; None where that cannot be read."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
        status = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    rss = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), "0")
    return Sample(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), int(rss) * 1024)


def used(before: Sample | None, after: Sample | None) -> Figures:
    """The share of one core in between, and the memory at the end."""
    if before is None or after is None:
        return {}
    share = (after.cpu - before.cpu) / max(after.time - before.time, 1e-9)
    return {"cpu_pct": round(share * 100, 1), "rss_mb": round(after.rss / 2**20, 1)}
