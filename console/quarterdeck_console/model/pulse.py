"""The overview's panes as lines."""

from __future__ import annotations

from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.fleet import Fleet, Series
from quarterdeck_console.model.format import bar, count, rate, short_count, spark
from quarterdeck_console.model.lines import Line, line
from quarterdeck_console.model.words import Tone

SPAN = 2
"""Seconds in one cell of a sparkline."""


def activity(fleet: Fleet, cells: int) -> list[Line]:
    """How busy the fleet is and was."""
    totals = fleet.totals

    def row(title: str, series: Series, value: str, tone: Tone) -> Line:
        room = max(8, cells - 18)
        drawn = spark(series.steps(room, SPAN), room)
        return (Cell(f"{title:<9}", Tone.DIM), Cell(drawn, tone), Cell(f"{value:>8}"))

    return [
        row("done", fleet.done, rate(_mean(fleet.done)), Tone.OK),
        row("failed", fleet.failed, rate(_mean(fleet.failed)), Tone.BAD),
        row("running", fleet.running, count(totals.of(words.RUNNING)), Tone.RUN),
        row("ready", fleet.ready, count(totals.of(words.READY)), Tone.ACCENT),
        row("changes", fleet.events, rate(fleet.events.last()), Tone.DIM),
    ]


def _mean(series: Series) -> float:
    recent = list(series.values)[-10:]
    return sum(recent) / len(recent) if recent else 0.0


def agents(fleet: Fleet, cells: int) -> list[Line]:
    """Agents by state, and how full they are."""
    totals = fleet.totals
    if not totals.agents and not len(fleet.pools):
        return [line("no agents yet", Tone.DIM)]
    known = max(1, totals.agents_known)
    room = max(6, cells - 18)
    up = totals.agents.get(words.ACTIVE, 0)
    shown = (
        ("● busy", totals.busy, Tone.RUN),
        ("○ idle", max(0, up - totals.busy), Tone.OK),
        ("◐ draining", totals.agents.get(words.DRAINING, 0), Tone.WARN),
        ("✗ lost", totals.agents.get(words.LOST, 0), Tone.BAD),
    )
    lines: list[Line] = [
        (
            Cell(f"{title:<11}", tone if number else Tone.DIM),
            Cell(f"{number:>4}  ", Tone.PLAIN if number else Tone.DIM),
            Cell(bar(number, known, room), tone),
        )
        for title, number, tone in shown
        if number or title[0] in "●○"
    ]
    lines.append(
        (
            Cell(f"{'slots':<9}", Tone.DIM),
            Cell(f"{f'{totals.used}/{totals.slots}':>6}  "),
            Cell(bar(totals.used, totals.slots, room), Tone.RUN),
        )
    )
    for pool in fleet.pools:
        why = f"   {pool.detail}" if pool.detail else ""
        lines.append(
            (
                Cell(f"pool {pool.id}", Tone.DIM),
                Cell(f"  {pool.instances} of {pool.min} to {pool.max} up"),
                Cell(why, Tone.WARN),
            )
        )
    return lines


def by_name(fleet: Fleet, cells: int) -> list[Line]:
    """Tasks by name over all queues, with how far each has come."""
    sums: dict[str, dict[int, int]] = {}
    for queue in fleet.queues:
        for name, counts in queue.names:
            into = sums.setdefault(name, {})
            for state, number in counts.items():
                into[state] = into.get(state, 0) + number
    if not sums:
        return [line("no tasks yet: submit one with n", Tone.DIM)]
    room = max(8, cells - 48)
    lines: list[Line] = []
    for name, counts in sorted(sums.items(), key=lambda pair: -sum(pair[1].values())):
        whole = sum(counts.values())
        ended = sum(counts.get(state, 0) for state in words.TERMINAL)
        failed = counts.get(words.FAILED, 0)
        lines.append(
            (
                Cell(f"{name[:18]:<18} "),
                Cell(bar(ended, whole, room), Tone.OK),
                Cell(f" {ended / whole if whole else 0:4.0%}"),
                Cell(f" {f'{short_count(ended)}/{short_count(whole)}':>11}", Tone.DIM),
                Cell(f"{short_count(failed):>5} failed" if failed else "", Tone.BAD),
            )
        )
    return lines
