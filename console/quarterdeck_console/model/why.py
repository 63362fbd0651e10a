"""Why a task is not running, and where its time went: the server's explanation as lines."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.v1 import task_service_pb2
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Context
from quarterdeck_console.model.format import bar, clock, count, duration
from quarterdeck_console.model.lines import Line, fact, heading, join, line, paragraph, wrapped_fact
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.model.words import Tone

_PHASES = {
    "blocked": Tone.DIM,
    "delayed": Tone.DIM,
    "ready": Tone.WARN,
    "running": Tone.RUN,
    "backoff": Tone.WARN,
}


FRESH = 3.0
"""Seconds for which an explanation counts as of now."""


@dataclass(frozen=True, slots=True)
class ObstacleRow:
    """One thing that keeps a task from running."""

    message: str
    until: float
    actor: str
    task_ids: tuple[str, ...]
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """An explanation.

    Attributes:
        ahead: Ready tasks before it; 0 unless it is ready.
        ahead_is_minimum: True when there are more.
        starts: When it will probably start; 0.0 when nothing can be said.
        spans: Phase, begin and end (0.0 for what goes on) of its life so far.
        said: When the server said it: how long something took until then stands in the words.
        goes_on: True unless the task has ended, so that those words age.
    """

    summary: str
    obstacles: tuple[ObstacleRow, ...]
    ahead: int
    ahead_is_minimum: bool
    starts: float
    spans: tuple[tuple[str, float, float], ...]
    time_summary: str
    said: float
    goes_on: bool

    @classmethod
    def of(cls, answer: task_service_pb2.ExplainTaskResponse, said: float) -> Why:
        """From the wire."""
        return cls(
            sanitize(answer.summary, 2_048),
            tuple(_obstacle(obstacle) for obstacle in answer.obstacles),
            answer.ahead,
            answer.ahead_is_minimum,
            seconds(answer.estimated_start_time),
            tuple(
                (_phase(span.phase), seconds(span.start_time), seconds(span.end_time))
                for span in answer.spans
            ),
            sanitize(answer.time_summary, 2_048),
            said,
            answer.task.state not in words.TERMINAL,
        )


def _phase(value: int) -> str:
    known = task_service_pb2.LifePhase.DESCRIPTOR.values_by_number.get(value)
    return known.name.removeprefix("LIFE_PHASE_").lower() if known else f"phase {value}"


def _obstacle(obstacle: task_service_pb2.Obstacle) -> ObstacleRow:
    return ObstacleRow(
        sanitize(obstacle.message, 2_048),
        seconds(obstacle.until),
        sanitize(obstacle.actor),
        tuple(sanitize(task_id) for task_id in obstacle.task_ids[:10]),
        tuple(sanitize(agent_id) for agent_id in obstacle.agent_ids[:10]),
    )


def why_lines(why: Why, context: Context, cells: int) -> list[Line]:
    """Everything that the explanation says."""
    context = _no_sooner(context, why)
    summary = paragraph(why.summary, cells, Tone.STRONG, most=8)
    place = [*summary, *_aged(why, context.now), *_place(why, context.now)]
    return join([place, _obstacles(why, context, cells),
                 _times(why, context.now, cells)])  # fmt: skip


def brief_lines(why: Why, context: Context, cells: int) -> list[Line]:
    """The answer alone, where the rest of the task stands beside it."""
    context = _no_sooner(context, why)
    lines = [heading("why", cells), *paragraph(why.summary, cells, most=6)]
    lines += [*_aged(why, context.now), *_place(why, context.now)]
    if why.obstacles:
        first = why.obstacles[0]
        # The summary mostly says the first obstacle already.
        if first.message not in why.summary:
            lines += _message(first, cells)
        lines += _obstacle_facts(first, context, cells)
    return [*lines, *paragraph(why.time_summary, cells, Tone.DIM, most=3)]


def _no_sooner(context: Context, why: Why) -> Context:
    """The second that is drawn may have begun before the explanation: beside it less would have passed."""
    return context._replace(now=max(context.now, why.said))


def _aged(why: Why, now: float) -> list[Line]:
    """Says of when it is, as soon as it contradicts what is counted on beside it."""
    old = now - why.said
    return (
        [line(f"as it was {duration(old)} ago", Tone.WARN)] if why.goes_on and old > FRESH else []
    )


def _place(why: Why, now: float) -> list[Line]:
    lines = []
    if why.ahead:
        more = "more than " if why.ahead_is_minimum else ""
        lines.append(fact("in line", Cell(f"{more}{count(why.ahead)} before it")))
    if why.starts:
        left = max(0.0, why.starts - now)
        soonest = Cell(f"in about {duration(left)}", Tone.ACCENT)
        lines.append(fact("starts", soonest, Cell(f"   {clock(why.starts)}", Tone.DIM)))
    return lines


def _obstacles(why: Why, context: Context, cells: int) -> list[Line]:
    if not why.obstacles:
        return []
    lines = [heading("what keeps it, the first to end first", cells)]
    for obstacle in why.obstacles:
        lines += [*_message(obstacle, cells), *_obstacle_facts(obstacle, context, cells)]
    return lines


def _message(obstacle: ObstacleRow, cells: int) -> list[Line]:
    pieces = paragraph(obstacle.message, max(8, cells - 3), Tone.WARN, most=6)
    return [
        (Cell(" ▸ " if at == 0 else "   ", Tone.WARN), *piece) for at, piece in enumerate(pieces)
    ]


def _obstacle_facts(obstacle: ObstacleRow, context: Context, cells: int) -> list[Line]:
    lines: list[Line] = []
    if obstacle.until:
        left = duration(obstacle.until - context.now)
        lines.append(fact("   until", Cell(clock(obstacle.until)), Cell(f"   in {left}", Tone.DIM)))
    if obstacle.actor:
        lines.append(fact("   by", Cell(obstacle.actor)))
    if obstacle.task_ids:
        short = "  ".join(task_id.removeprefix("task_") for task_id in obstacle.task_ids)
        lines += wrapped_fact("   tasks", short, cells, Tone.DIM)
    if obstacle.agent_ids:
        names = "  ".join(map(context.fleet.agent_label, obstacle.agent_ids))
        lines += wrapped_fact("   agents", names, cells, Tone.DIM)
    return lines


def _times(why: Why, now: float, cells: int) -> list[Line]:
    if not why.spans:
        return []
    lines = [heading("where the time went", cells)]
    totals: dict[str, float] = {}
    for phase, start, end in why.spans:
        totals[phase] = totals.get(phase, 0.0) + max(0.0, (end or now) - start)
    whole = sum(totals.values())
    room = max(4, min(60, cells - 28))
    for phase, took in totals.items():
        tone = _PHASES.get(phase, Tone.PLAIN)
        share = f"{took / whole:4.0%} " if whole else "     "
        drawn = Cell(bar(took, whole, room), tone)
        lines.append((Cell(f"{phase:<10} "), Cell(f"{duration(took):>6} {share}", Tone.DIM), drawn))
    if why.time_summary:
        lines += [line(""), *paragraph(why.time_summary, cells, most=4)]
    return lines
