"""Flow control and affinity of tasks and queues in words."""

from __future__ import annotations

from quarterdeck_console.model.columns import Cell, Context
from quarterdeck_console.model.format import clock_millis, count, duration
from quarterdeck_console.model.lines import Line, fact, heading, line, wrapped_fact
from quarterdeck_console.model.parts import Labels, PauseRow
from quarterdeck_console.model.rows import QueueRow, TaskRow
from quarterdeck_console.model.words import Tone


def _pairs(given: Labels) -> str:
    return "  ".join(f"{key}={value}" for key, value in given)


def flow_facts(task: TaskRow, context: Context, cells: int) -> list[Line]:
    """Whose it is, which agents may run it, and where it comes from."""
    lines: list[Line] = []
    if task.group:
        lines += wrapped_fact("group", task.group, cells)
    if task.attributes:
        lines += wrapped_fact("attributes", _pairs(task.attributes), cells, Tone.DIM)
    if task.required:
        lines += wrapped_fact("needs", _pairs(task.required), cells)
    if task.preferred:
        label = context.fleet.agent_label(task.preferred)
        lines.append(fact("waits for", Cell(label), Cell("   the agent it prefers", Tone.DIM)))
    if task.rerun_of:
        short = task.rerun_of.removeprefix("task_")
        lines.append(fact("rerun of", Cell(short), Cell("   J opens", Tone.DIM)))
    return lines


def pause_lines(pause: PauseRow | None, now: float, cells: int) -> list[Line]:
    """A pause's proof: each step with its instant, and what it waits for."""
    if pause is None:
        return []
    said = f"{pause.actor or '?'}: {pause.reason or 'no reason'}"
    lines = [heading("pause", cells), *wrapped_fact("by", said, cells)]
    steps = (
        ("requested", pause.requested),
        ("delivered", pause.delivered),
        ("stands still", pause.acknowledged),
    )
    for name, at in steps:
        if at:
            took = f"  +{duration(at - pause.requested)}" if name != "requested" else ""
            proof = Cell(clock_millis(at) + took, Tone.DIM)
            lines.append((Cell(" ✓ ", Tone.OK), Cell(f"{name:<13}"), proof))
        else:
            lines.append((Cell(" ○ ", Tone.DIM), Cell(f"{name:<13}not yet", Tone.DIM)))
    since = pause.acknowledged or pause.requested
    done = "stands still" if pause.acknowledged else "under way"
    return [*lines, line(f"   {done} for {duration(now - since)}", Tone.WARN)]


def limit_lines(queue: QueueRow, now: float, cells: int) -> list[Line]:
    """What may start from a queue."""
    limits = queue.limits
    lines: list[Line] = []
    for label, text in (
        ("at once", limits.concurrency),
        ("per key", limits.per_key),
        ("rate", limits.rate),
        ("key rate", limits.key_rate),
        ("ageing", limits.ageing),
    ):
        if text:
            lines.append(fact(label, Cell(text)))
    if limits.weights:
        shares = "  ".join(f"{key}={count(share)}" for key, share in limits.weights[:50])
        lines += wrapped_fact("weights", shares, cells, Tone.DIM)
    if queue.rests_until > now:
        left = duration(queue.rests_until - now)
        lines.append(fact("rests", Cell(f"for {left}, an agent asked for it", Tone.WARN)))
    if not lines:
        return []
    return [heading("limits   e edits", cells), *lines]
