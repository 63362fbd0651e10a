"""What needs a person: derived from the fleet, the newest failures last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck._words import counted
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.format import age, count, duration
from quarterdeck_console.model.holds import NAMESPACE, HoldRow
from quarterdeck_console.model.rows import QueueRow, TaskRow
from quarterdeck_console.model.tables import note, short_id
from quarterdeck_console.model.words import Tone

MANY, LONG = 1_000, 60.0
"""A queue with so many ready tasks that they take so many seconds needs a look: others wait behind them."""


@dataclass(frozen=True, slots=True)
class AttentionRow:
    """One matter.

    Attributes:
        id: Kind and target.
        revision: Rises when its words change.
        kind: The view that it belongs to.
        target: What to look at there: an id, or a filter.
        since: When it began; 0.0 when not known.
    """

    id: str
    revision: int
    kind: str
    target: str
    what: str
    text: str
    tone: Tone
    since: float


def matters(fleet: Fleet, failed: Sequence[TaskRow], *, more: bool = False) -> list[AttentionRow]:
    """Everything that needs a person, the gravest first.

    Args:
        fleet: All but the tasks.
        failed: The newest failures.
        more: Whether there are others.
    """
    rows = [_held(hold, fleet) for hold in sorted(fleet.holds, key=lambda hold: hold.id)]
    for agent in fleet.agents:
        if agent.state == words.LOST:
            held = (
                f"{counted(agent.running, 'lease')} at risk" if agent.running else "held no lease"
            )
            rows.append(
                _row(
                    "agent",
                    agent.id,
                    agent.revision,
                    fleet.agent_label(agent.id),
                    f"lost: no heartbeat, {held}",
                    Tone.BAD,
                    agent.contact,
                )
            )
    pooled = {pool.queue for pool in fleet.pools}
    for queue in fleet.queues:
        ready = queue.in_state(words.READY)
        if queue.paused:
            by = f" by {queue.pause_note}" if queue.pause_note else ""
            why = f"paused{by}, {count(ready)} ready"
            rows.append(_row("queue", queue.id, queue.revision, queue.id, why, Tone.WARN, 0.0))
        elif ready and not fleet.taking(queue.id).agents and queue.id not in pooled:
            why = f"{count(ready)} ready and no agent takes from it"
            if barred := fleet.taking(queue.id).held:
                why = f"all {counted(barred, 'agent')} held, {count(ready)} ready"
            rows.append(_row("queue", queue.id, queue.revision, queue.id, why, Tone.BAD, 0.0))
        elif why := _backlog(queue, ready, fleet.queue_rate(queue.id)):
            rows.append(_row("queue", queue.id, queue.revision, queue.id, why, Tone.WARN, 0.0))
    rows += [
        _row("pool", pool.queue, pool.revision, pool.id, pool.detail, Tone.WARN, 0.0)
        for pool in fleet.pools
        if pool.detail
    ]
    return rows + _failures(failed, fleet, more)


def _row(
    kind: str, target: str, revision: int, what: str, text: str, tone: Tone, since: float
) -> AttentionRow:
    return AttentionRow(f"{kind}:{target}", revision, kind, target, what, text, tone, since)


def _held(hold: HoldRow, fleet: Fleet) -> AttentionRow:
    why = f"{hold.how} by {hold.actor or '?'}: {hold.reason or 'no reason'}"
    tone = Tone.BAD if hold.kind == NAMESPACE else Tone.WARN
    return _row("hold", hold.id, hold.revision, fleet.held(hold), why, tone, hold.created)


def _backlog(queue: QueueRow, ready: int, pace: float) -> str:
    """What is said of a queue with much before it: how much of what, and how long that takes."""
    if ready < MANY or (pace and ready / pace < LONG):
        return ""
    name, counts = max(queue.names, key=lambda pair: pair[1].get(words.READY, 0), default=("", {}))
    most = counts.get(words.READY, 0)
    of = f", {'all' if most >= ready else count(most)} {name}" if most else ""
    left = f", {duration(ready / pace)} at this pace" if pace else ", none gets done"
    return f"{count(ready)} ready{of}{left}"


def _failures(failed: Sequence[TaskRow], fleet: Fleet, more: bool) -> list[AttentionRow]:
    """One row for all that failed alike, and for each that failed alone."""
    alike: dict[tuple[str, str], list[TaskRow]] = {}
    for task in failed:
        alike.setdefault((task.name, task.failure.type if task.failure else ""), []).append(task)
    return [
        _failed(tasks[0]) if len(tasks) == 1 else _failed_alike(name, error, tasks, fleet, more)
        for (name, error), tasks in alike.items()
    ]


def _failed_alike(
    name: str, error: str, tasks: list[TaskRow], fleet: Fleet, more: bool
) -> AttentionRow:
    newest = tasks[0]
    agents = [fleet.agents.get(task.agent_id) for task in tasks]
    versions = {
        f"{agent.name}@{agent.version}" if agent and agent.version else "" for agent in agents
    }
    # That they have one version in common says nothing while that of one of them is not known.
    on = f"{version}: " if len(versions) == 1 and (version := versions.pop()) else ""
    wanted = " ".join(
        ["state:failed", term("name", name), *([term("error_type", error)] if error else [])]
    )
    return _row(
        "tasks",
        wanted,
        newest.revision,
        f"{name} ×{len(tasks)}{'+' if more else ''}",
        on + note(newest).text,
        Tone.BAD,
        newest.ended,
    )


def _failed(task: TaskRow) -> AttentionRow:
    what = f"{task.name} {short_id(task.id)[-8:]}"
    return _row("task", task.id, task.revision, what, note(task).text, Tone.BAD, task.ended)


def _since(row: AttentionRow, context: Context) -> Cell:
    return Cell(age(context.now - row.since) if row.since else "", Tone.DIM)


ATTENTION_COLUMNS: tuple[Column[AttentionRow], ...] = (
    Column("kind", "", 6, lambda row, _: Cell(row.kind, row.tone)),
    Column("what", "WHAT", 20, lambda row, _: Cell(row.what), flex=1, most=40),
    Column("text", "WHY", 20, lambda row, _: Cell(row.text, Tone.DIM), flex=3),
    Column("since", "SINCE", 5, _since, rank=1, align="right", live=True),
)
