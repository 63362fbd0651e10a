"""Tables that fit the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from quarterdeck._text import display_width, fit, sanitize

_GAP = "  "
_NARROWEST = 8


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        header: Its title.
        flexible: Whether it may be cut so that the table fits; ids and states are not.
        right: Whether it is aligned to the right, as numbers are.
    """

    header: str
    flexible: bool = False
    right: bool = False


@dataclass(frozen=True)
class Cell:
    """A text in a colour of its own, by click's colour names."""

    text: str
    colour: str | None = None


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], *, nothing: str = ""
) -> None:
    """Prints rows under their headers on stdout; hostile text in cells is made safe.

    Args:
        columns: The headers.
        rows: A cell for each column.
        nothing: Remarked on stderr when there are no rows.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    header = [Cell(column.header.upper()) for column in columns]
    widths = _widths(columns, [header, *cells], terminal_width())
    for row in (header, *cells):
        click.echo(_line(columns, row, widths))
    if not rows and nothing:
        click.echo(nothing, err=True)


def print_fields(fields: Sequence[tuple[str, str | Cell]]) -> None:
    """Prints names and values, one a line, leaving out empty values."""
    shown = [(name, cell) for name, value in fields if (cell := _cell(value)).text]
    widest = max((len(name) for name, _ in shown), default=0)
    for name, cell in shown:
        click.echo(f"{name:<{widest}}  {_styled(cell.text, cell)}")


def terminal_width() -> int | None:
    """Cells of a line; None when stdout is no terminal, so that pipes get everything."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def _cell(value: str | Cell) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return Cell(sanitize(cell.text), cell.colour)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], limit: int | None
) -> list[int]:
    widths = [max(display_width(row[index].text) for row in rows) for index in range(len(columns))]
    if limit is None:
        return widths
    excess = sum(widths) + len(_GAP) * (len(columns) - 1) - limit
    while excess > 0:
        wide = [i for i, c in enumerate(columns) if c.flexible and widths[i] > _NARROWEST]
        if not wide:
            break
        widest = max(wide, key=lambda index: widths[index])
        rest = [widths[index] for index in wide if index != widest]
        # Down to the next widest at once; then they shrink together, a cell at a time.
        step = min(excess, max(widths[widest] - max(rest, default=_NARROWEST), 1))
        step = min(step, widths[widest] - _NARROWEST)
        widths[widest] -= step
        excess -= step
    return widths


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> str:
    parts: list[str] = []
    for index, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True)):
        text = fit(cell.text, width)
        padding = " " * (width - display_width(text))
        styled = _styled(text, cell)
        if column.right:
            parts.append(padding + styled)
        else:
            parts.append(styled if index == len(columns) - 1 else styled + padding)
    return _GAP.join(parts).rstrip()


def _styled(text: str, cell: Cell) -> str:
    if cell.colour is None or "NO_COLOR" in os.environ:
        return text
    return click.style(text, fg=cell.colour)
