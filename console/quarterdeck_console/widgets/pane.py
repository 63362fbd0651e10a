"""A pane of toned lines that scrolls; lines that stay the same are not drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from quarterdeck_console.actions import TEXT, bindings
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.lines import Line, length
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.tones import Toned


class Pane(Toned, ScrollView, can_focus=True, inherit_bindings=False):
    """Lines made by the model.

    Attributes:
        empty: What stands there while there are no lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(TEXT)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: Sequence[Line] = ()
        self.empty = ""

    @property
    def room(self) -> int:
        """Cells in a line."""
        return self.scrollable_content_region.width

    def show(self, lines: Sequence[Line]) -> None:
        """Takes lines; draws those that differ from what is there."""
        before, self.lines = self.lines, lines
        if len(before) != len(lines):
            self.virtual_size = Size(max((length(line) for line in lines), default=0), len(lines))
            self.refresh()
            return
        size = self.scrollable_content_region.size
        top = self.scroll_offset.y
        for y in range(min(size.height, len(lines) - top)):
            if before[top + y] != lines[top + y]:
                self.refresh(Region(0, y, size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One line, or nothing."""
        room = self.scrollable_content_region.width
        at = self.scroll_offset.y + y
        if at >= len(self.lines):
            if not self.lines and y == 0 and self.empty:
                return self.strip_of((Cell(self.empty, Tone.DIM),), room)
            return Strip.blank(room, self.rich_style)
        left = self.scroll_offset.x
        return self.strip_of(self.lines[at]).crop_extend(left, left + room, self.rich_style)

    def on_resize(self, event: events.Resize) -> None:
        """Lines were wrapped for another width; the screen makes them again at the next tick."""
        self.refresh()

    def action_move(self, rows: int) -> None:
        """Scrolls by lines."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    def action_page(self, pages: float) -> None:
        """Scrolls by pages."""
        rows = max(1, self.scrollable_content_region.height)
        self.scroll_to(y=self.scroll_offset.y + round(rows * pages), animate=False)

    def action_first(self) -> None:
        """To the first line."""
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        """To the last line."""
        self.scroll_to(y=self.virtual_size.height, animate=False)

    def action_sideways(self, cells: int) -> None:
        """Scrolls sideways."""
        self.scroll_to(x=self.scroll_offset.x + cells, animate=False)
