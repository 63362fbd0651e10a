"""The columns of holds, and what the inspector says of one."""

from __future__ import annotations

from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.format import age, instant
from quarterdeck_console.model.holds import NAMESPACE, HoldRow
from quarterdeck_console.model.lines import Line, fact, wrapped_fact
from quarterdeck_console.model.words import Tone


def _arrivals(hold: HoldRow, _: Context) -> Cell:
    return Cell("dropped", Tone.WARN) if hold.drops else Cell("wait", Tone.DIM)


HOLD_COLUMNS: tuple[Column[HoldRow], ...] = (
    Column(
        "name",
        "WHAT",
        28,
        lambda hold, context: Cell(context.fleet.held(hold)),
        flex=3,
        most=60,
        sort=lambda hold: hold.id,
    ),
    Column(
        "state",
        "HOW",
        10,
        lambda hold, _: Cell(hold.how, Tone.BAD if hold.kind == NAMESPACE else Tone.WARN),
        sort=lambda hold: hold.how,
    ),
    Column("actor", "BY", 12, lambda hold, _: Cell(hold.actor), rank=2, flex=1, most=32),
    Column(
        "age",
        "FOR",
        4,
        lambda hold, context: Cell(age(context.now - hold.created), Tone.DIM),
        align="right",
        live=True,
        sort=lambda hold: -hold.created,
    ),
    Column("arrivals", "ARRIVALS", 8, _arrivals, rank=4),
    Column("reason", "WHY", 14, lambda hold, _: Cell(hold.reason, Tone.DIM), rank=3, flex=3),
)


def describe_hold(hold: HoldRow, context: Context, cells: int) -> list[Line]:
    """What the inspector says of a hold."""
    ago = Cell(f"   {age(context.now - hold.created)} ago", Tone.DIM)
    return [
        *wrapped_fact("held", hold.what, cells, Tone.STRONG),
        fact("how", Cell(hold.how, Tone.WARN), Cell("   H releases", Tone.DIM)),
        fact("since", Cell(instant(hold.created)), ago),
        *wrapped_fact("by", hold.actor, cells),
        *wrapped_fact("why", hold.reason, cells),
        fact("arrivals", Cell("are dropped" if hold.drops else "wait")),
    ]
