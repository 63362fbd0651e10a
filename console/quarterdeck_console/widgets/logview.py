"""A log that follows its end until the reader scrolls away."""

from __future__ import annotations

import re
from typing import ClassVar

from textual.binding import BindingType

from quarterdeck_console.actions import LOGS, TEXT, bindings
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.describe import log_line
from quarterdeck_console.model.detail import LogBuffer, LogRow
from quarterdeck_console.model.lines import Line, length
from quarterdeck_console.model.text import wrap
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.pane import Pane


class LogView(Pane, can_focus=True, inherit_bindings=False):
    """The lines of a log buffer.

    Attributes:
        following: True while the end stays in view.
        newer: Lines that came since the reader left the end.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(TEXT), *bindings(LOGS)]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.empty = "No log lines yet"
        self.following = True
        self.newer = 0
        self._buffer = LogBuffer()
        self._times = True
        self._wrap = False
        self._pattern = ""
        self._made: list[Line] = []
        self._last: LogRow | None = None
        self._shape: tuple[object, ...] = ()
        self._seen = -1

    def feed(self, buffer: LogBuffer) -> None:
        """Shows what is in the buffer; only new lines are made."""
        shape = (id(buffer), self._times, self._wrap and self.room, self._pattern)
        if shape == self._shape and buffer.version == self._seen:
            return
        fresh = list(buffer.lines)
        anew = shape != self._shape or bool(buffer.dropped)
        if anew:
            self._made, self._last = [], None
        elif self._last is not None:
            last = self._last.sequence
            fresh = [entry for entry in fresh if entry.sequence > last]
        self._shape, self._seen, self._buffer = shape, buffer.version, buffer
        before = len(self._made)
        for entry in fresh:
            self._made.extend(self._lines_of(entry))
        if fresh:
            self._last = fresh[-1]
        if not self.following and not anew:
            self.newer += len(self._made) - before
        self.show(list(self._made))
        if self.following:
            self.call_after_refresh(self._end)

    def _lines_of(self, entry: LogRow) -> list[Line]:
        drawn = log_line(entry, times=self._times)
        if self._pattern and self._pattern.lower() in entry.text.lower():
            drawn = (*drawn[:-1], *_marked(drawn[-1], self._pattern))
        if not self._wrap:
            return [drawn]
        head, text = drawn[:-1], drawn[-1]
        indent = length(head)
        pieces = wrap(text.text, max(20, self.room - indent))
        return [
            (*(head if at == 0 else (Cell(" " * indent),)), Cell(piece, text.tone))
            for at, piece in enumerate(pieces)
        ]

    def _end(self) -> None:
        self.newer = 0
        self.scroll_to(y=self.virtual_size.height, animate=False)

    def matches(self, pattern: str) -> int:
        """Searches; answers how many lines match, and goes to the first after the top."""
        self._pattern = pattern
        self.feed(self._buffer)
        found = self._found()
        if found:
            self.action_match(1)
        return len(found)

    def _found(self) -> list[int]:
        needle = self._pattern.lower()
        if not needle:
            return []
        return [
            at
            for at, made in enumerate(self._made)
            if needle in "".join(piece.text for piece in made).lower()
        ]

    def _leave_end(self) -> None:
        self.following = False

    def action_move(self, rows: int) -> None:
        """Scrolls; upward ends the following."""
        if rows < 0:
            self._leave_end()
        super().action_move(rows)

    def action_page(self, pages: float) -> None:
        """Scrolls; upward ends the following."""
        if pages < 0:
            self._leave_end()
        super().action_page(pages)

    def action_first(self) -> None:
        """To the first line, which ends the following."""
        self._leave_end()
        super().action_first()

    def action_follow(self) -> None:
        """Follows, or not."""
        self.following = not self.following
        if self.following:
            self._end()

    def action_to_end(self) -> None:
        """To the end, to stay there."""
        self.following = True
        self._end()

    def action_times(self) -> None:
        """With or without the time of each line."""
        self._times = not self._times
        self.feed(self._buffer)

    def action_wrap(self) -> None:
        """Long lines in several rows, or cut at the edge."""
        self._wrap = not self._wrap
        self.feed(self._buffer)

    def action_match(self, step: int) -> None:
        """To the next or the previous match."""
        found = self._found()
        if not found:
            return
        self._leave_end()
        top = self.scroll_offset.y
        if step > 0:
            at = next((line for line in found if line > top), found[0])
        else:
            at = next((line for line in reversed(found) if line < top), found[-1])
        self.scroll_to(y=at, animate=False)


def _marked(cell: Cell, pattern: str) -> list[Cell]:
    pieces = re.split(f"({re.escape(pattern)})", cell.text, flags=re.IGNORECASE)
    return [
        Cell(piece, Tone.ACCENT if at % 2 else cell.tone)
        for at, piece in enumerate(pieces)
        if piece
    ]
