"""The lines of a table as strips: its heading and one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from textual.strip import Strip

from quarterdeck_console.model.columns import GAP, Cell, Placed
from quarterdeck_console.model.text import fit
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.tones import Toned


def row_strip(
    widget: Toned,
    placed: Sequence[Placed[Any]],
    cells: Sequence[Cell],
    layer: str,
    marked: bool,
    room: int,
) -> Strip:
    """One row.

    Args:
        widget: Knows the colours.
        placed: The columns and their widths.
        cells: What each says.
        layer: A component class laid over the row, such as the cursor's; empty for none.
        marked: Whether the row is marked.
        room: Cells that the strip takes at least.
    """
    plain = widget.tone(Tone.PLAIN, layer)
    segments = [Segment("▌" if marked else " ", widget.tone(Tone.ACCENT, layer))]
    gap = Segment(" " * GAP, plain)
    total = 2
    for at, (cell, (column, width)) in enumerate(zip(cells, placed, strict=True)):
        if at:
            segments.append(gap)
            total += GAP
        tone = Tone.ACCENT if marked and at == 0 else cell.tone
        segments.append(
            Segment(fit(cell.text, width, column.align, column.tail), widget.tone(tone, layer))
        )
        total += width
    segments.append(Segment(" " * (1 + max(0, room - total)), plain))
    return Strip(segments, max(total, room))


def heading_strip(
    widget: Toned, placed: Sequence[Placed[Any]], sorted_by: str, descending: bool, room: int
) -> Strip:
    """The titles; that of the order's column with an arrow."""
    plain = widget.get_component_rich_style("table--header")
    chosen = widget.get_component_rich_style("table--sorted")
    segments = [Segment(" ", plain)]
    total = 2
    for at, (column, width) in enumerate(placed):
        if at:
            segments.append(Segment(" " * GAP, plain))
            total += GAP
        here = column.key == sorted_by
        title = column.title + (("↓" if descending else "↑") if here else "")
        segments.append(Segment(fit(title, width, column.align), chosen if here else plain))
        total += width
    segments.append(Segment(" " * (1 + max(0, room - total)), plain))
    return Strip(segments, max(total, room))
