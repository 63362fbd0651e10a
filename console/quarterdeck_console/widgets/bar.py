"""One line with a left and a right part: status, tabs, message, keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.strip import Strip

from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.lines import Line, length
from quarterdeck_console.model.text import width
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.tones import Toned


class Bar(Toned):
    """A line that gives up the end of its left part before any of its right part."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.left: Line = ()
        self.right: Line = ()

    def show(self, left: Line, right: Line = ()) -> None:
        """Takes both parts; draws them if they changed."""
        if (left, right) != (self.left, self.right):
            self.left, self.right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        cells = self.size.width
        right = length(self.right)
        room = max(0, cells - right)
        left = self.strip_of(self.left).crop_extend(0, room, self.tone(Tone.PLAIN))
        if not right:
            return left
        return Strip.join([left, self.strip_of(self.right)]).crop_extend(
            0, cells, self.tone(Tone.PLAIN)
        )


class Hint(NamedTuple):
    """A key and what it does."""

    key: str
    title: str


class KeyBar(Bar):
    """The keys that matter most here, as many as fit."""

    def offer(self, hints: Sequence[Hint]) -> None:
        """Takes hints, the most important first."""
        room = self.size.width or self.app.size.width
        pieces: list[Cell] = []
        used = 1
        for hint in hints:
            cells = width(hint.key) + width(hint.title) + 3
            if used + cells > room + 2:
                continue
            pieces += [Cell(f" {hint.key}", Tone.ACCENT), Cell(f" {hint.title} ", Tone.DIM)]
            used += cells
        self.show(tuple(pieces))
