"""What needs a person: derived from the fleet, the newest failures last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quarterdeck._words import counted
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.format import age, count
from quarterdeck_console.model.holds import NAMESPACE, HoldRow
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.tables import note, short_id
from quarterdeck_console.model.words import Tone


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


def matters(fleet: Fleet, failed: Iterable[TaskRow]) -> list[AttentionRow]:
    """Everything that needs a person, the gravest first."""
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
    served = {
        queue for agent in fleet.agents if agent.state == words.ACTIVE for queue in agent.queues
    }
    pooled = {pool.queue for pool in fleet.pools}
    for queue in fleet.queues:
        ready = queue.in_state(words.READY)
        if queue.paused:
            by = f" by {queue.pause_note}" if queue.pause_note else ""
            why = f"paused{by}, {count(ready)} ready"
            rows.append(_row("queue", queue.id, queue.revision, queue.id, why, Tone.WARN, 0.0))
        elif ready and queue.id not in served and queue.id not in pooled:
            why = f"{count(ready)} ready and no agent takes from it"
            rows.append(_row("queue", queue.id, queue.revision, queue.id, why, Tone.BAD, 0.0))
    rows += [
        _row("pool", pool.queue, pool.revision, pool.id, pool.detail, Tone.WARN, 0.0)
        for pool in fleet.pools
        if pool.detail
    ]
    rows += [_failed(task) for task in failed]
    return rows


def _row(
    kind: str, target: str, revision: int, what: str, text: str, tone: Tone, since: float
) -> AttentionRow:
    return AttentionRow(f"{kind}:{target}", revision, kind, target, what, text, tone, since)


def _held(hold: HoldRow, fleet: Fleet) -> AttentionRow:
    why = f"{hold.how} by {hold.actor or '?'}: {hold.reason or 'no reason'}"
    tone = Tone.BAD if hold.kind == NAMESPACE else Tone.WARN
    return _row("hold", hold.id, hold.revision, fleet.held(hold), why, tone, hold.created)


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
