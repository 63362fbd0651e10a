"""Figures: numbers with their unit in their name."""

from __future__ import annotations

import math
from collections.abc import Sequence

Figures = dict[str, float]
"""What a scenario came to: `tasks_per_s`, `p50_ms`, `cpu_pct`, `rss_mb`, `seconds` and the like."""

_HEADINGS = {
    "tasks_per_s": "tasks/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "seconds": "seconds",
    "cpu_pct": "cpu %",
    "rss_mb": "rss MB",
}
_DECIDING = ("tasks_per_s", "p50_ms", "p99_ms", "seconds")


def rate(tasks: int, seconds: float) -> Figures:
    """How fast `tasks` were done."""
    return {
        "tasks": tasks,
        "seconds": round(seconds, 4),
        "tasks_per_s": round(tasks / seconds, 1),
    }


def percentiles(seconds: Sequence[float], prefix: str = "") -> Figures:
    """The median, the 95th and the 99th percentile, by the nearest rank, in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        f"{prefix}p{p}_ms": round(ordered[math.ceil(len(ordered) * p / 100) - 1] * 1000, 3)
        for p in (50, 95, 99)
    }


def middle(runs: Sequence[Figures]) -> Figures:
    """The run in the middle, by the figure that the scenario is about."""
    key = next((name for name in _DECIDING if name in runs[0]), None)
    if key is None:
        return runs[0]
    return sorted(runs, key=lambda run: run[key])[len(runs) // 2]


def table(results: dict[str, Figures]) -> str:
    """The results as text; what has no column of its own stands at the end of its line."""
    lines = [f"{'scenario':22}" + "".join(f"{head:>11}" for head in _HEADINGS.values())]
    for name, figures in results.items():
        cells = "".join(f"{_cell(figures.get(key)):>11}" for key in _HEADINGS)
        rest = "  ".join(f"{k}={v:g}" for k, v in figures.items() if k not in _HEADINGS)
        lines.append(f"{name:22}{cells}  {rest}".rstrip())
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
