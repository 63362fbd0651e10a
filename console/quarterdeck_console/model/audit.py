"""Who did what: entries of the audit log and their columns."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.v1 import audit_pb2
from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.format import age, count, instant, soon
from quarterdeck_console.model.lines import Line, fact, wrapped_fact
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.model.words import Tone


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry; it stays as it is."""

    id: str
    revision: int
    time: float
    actor: str
    action: str
    reason: str
    target: str
    filter: str
    matched: int
    done: int
    change: str = ""

    @classmethod
    def of(cls, entry: audit_pb2.AuditEntry) -> AuditRow:
        """From the wire."""
        return cls(
            id=sanitize(entry.id),
            revision=entry.done,
            time=seconds(entry.time),
            actor=sanitize(entry.actor),
            action=sanitize(entry.action),
            reason=sanitize(entry.reason, 1_024),
            target=sanitize(entry.target, 600),
            filter=sanitize(entry.filter, 1_024),
            matched=entry.matched,
            done=entry.done,
            change=sanitize(entry.change, 600),
        )


def _done(row: AuditRow, _: Context) -> Cell:
    short = row.done < row.matched
    text = f"{count(row.done)}/{count(row.matched)}" if short else count(row.done)
    return Cell(text, Tone.WARN if short else Tone.PLAIN)


def _about(row: AuditRow, context: Context) -> Cell:
    """What it was done to, an agent as lists call it."""
    text = context.fleet.agent_label(row.target) if row.target else row.filter
    return Cell(text, Tone.DIM)


AUDIT_COLUMNS: tuple[Column[AuditRow], ...] = (
    Column("time", "TIME", 11, lambda row, context: Cell(soon(row.time, context.now), Tone.DIM)),
    Column("actor", "WHO", 14, lambda row, _: Cell(row.actor or "-"), flex=1, most=32),
    Column("action", "DID", 14, lambda row, _: Cell(row.action), flex=1, most=22),
    Column("about", "TO", 18, _about, rank=1, flex=2, most=60),
    Column("change", "CHANGED", 12, lambda row, _: Cell(row.change), rank=3, flex=2, most=48),
    Column("done", "DONE", 9, _done, rank=2, align="right"),
    Column("reason", "WHY", 12, lambda row, _: Cell(row.reason, Tone.DIM), rank=4, flex=3),
)


def describe_entry(row: AuditRow, context: Context, cells: int) -> list[Line]:
    """What the inspector says of an entry."""
    ago = Cell(f"   {age(context.now - row.time)} ago", Tone.DIM)
    lines = [
        fact("did", Cell(row.action, Tone.STRONG)),
        *(wrapped_fact("changed", row.change, cells) if row.change else ()),
        fact("time", Cell(instant(row.time)), ago),
        *wrapped_fact("who", row.actor, cells),
        *wrapped_fact("why", row.reason, cells),
        fact("done", Cell(f"{count(row.done)} of {count(row.matched)}")),
    ]
    if row.target:
        lines += wrapped_fact("to", row.target, cells)
    if row.filter:
        lines += wrapped_fact("filter", row.filter, cells, Tone.ACCENT)
    return [*lines, *wrapped_fact("entry", row.id, cells, Tone.DIM)]
