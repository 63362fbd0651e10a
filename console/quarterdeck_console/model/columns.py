"""Columns: what a cell says, how wide it is, and which ones a narrow screen gives up first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.text import Align
from quarterdeck_console.model.words import Tone

R = TypeVar("R")
GAP = 2
"""Blank cells between two columns."""


class Cell(NamedTuple):
    """A piece of sanitised text and what it means."""

    text: str
    tone: Tone = Tone.PLAIN


class Context(NamedTuple):
    """What a cell may look at beside its row."""

    fleet: Fleet
    now: float


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column of a table of rows of type R.

    Attributes:
        key: Its name in a table.
        title: Its heading.
        width: Cells that it takes at least.
        cell: What it says of a row.
        rank: The column with the highest rank is given up first; 0 always stays.
        flex: Its share of the room that is left over; 0 keeps it at ``width``.
        most: Cells that it grows to.
        align: Numbers stand right.
        order: The server's name for this order, of a list that the server sorts.
        sort: The value to sort by, of a list that the console sorts.
        tail: Cells at the end of a text that stay when it has to be cut.
        live: True when the text depends on the time.
    """

    key: str
    title: str
    width: int
    cell: Callable[[R, Context], Cell]
    rank: int = 0
    flex: int = 0
    most: int = 400
    align: Align = "left"
    order: str = ""
    sort: Callable[[R], Any] | None = None
    tail: int = 0
    live: bool = False


class Placed(NamedTuple, Generic[R]):
    """A column and the cells it was given."""

    column: Column[R]
    width: int


def place(columns: Sequence[Column[R]], cells: int, *, wide: bool = False) -> list[Placed[R]]:
    """Chooses the columns that fit and shares out what is left.

    Args:
        columns: In the order of the screen.
        cells: The room there is.
        wide: Keep every column, however much sideways scrolling that takes.
    """
    chosen = list(columns)
    while not wide and len(chosen) > 1 and _needed(chosen) > cells:
        victim = max(chosen, key=lambda column: column.rank)
        if victim.rank == 0:
            break
        chosen.remove(victim)
    widths = {column.key: column.width for column in chosen}
    left = cells - _needed(chosen)
    growing = [column for column in chosen if column.flex]
    while left > 0 and growing:
        weight = sum(column.flex for column in growing)
        share = left
        for column in growing:
            grow = min(
                max(1, share * column.flex // weight), left, column.most - widths[column.key]
            )
            widths[column.key] += grow
            left -= grow
        growing = [column for column in growing if widths[column.key] < column.most]
    return [Placed(column, widths[column.key]) for column in chosen]


def _needed(columns: Sequence[Column[R]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1) + 2
