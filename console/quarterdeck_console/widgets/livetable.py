"""A table that draws only what changed: one strip per visible row, kept until its row changes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from quarterdeck_console.actions import TABLE, bindings
from quarterdeck_console.model.columns import GAP, Cell, Column, Context, Placed, place
from quarterdeck_console.model.store import Row
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.tablestrips import heading_strip, row_strip
from quarterdeck_console.widgets.tones import TONE_CLASSES, Toned

R = TypeVar("R", bound=Row)

HEADER = 1
"""Lines above the first row."""

READ = 1.0
"""Seconds that a row must have been under the cursor to count as read: to see it, decide and press takes that long."""


class _Drawn(NamedTuple):
    """A row as it was last drawn, and everything that it was drawn from."""

    revision: int
    second: int
    layer: str
    marked: bool
    cells: tuple[Cell, ...]
    strip: Strip


class LiveTable(Toned, ScrollView, Generic[R], can_focus=True, inherit_bindings=False):
    """Rows by id under a fixed heading.

    The cursor, the marks and the scroll position belong to ids, so rows may come, go and move
    without anything jumping under the operator's hands. Until the cursor was moved it stays on
    the first row whichever that is; `g` brings that back.

    Attributes:
        marks: Ids that are marked; a mark outlives its row's leaving the window.
        everything: Says of an id whether it is marked beside ``marks``; None when only they count.
        at_edge: Asked before a jump to the last row (True) or the first; True when it is seen to.
        stale: True draws the rows grey: the server is away.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLE)
    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES | {
        "table--header",
        "table--sorted",
        "table--cursor",
        "table--cursor-blurred",
        "table--stale",
        "table--mark",
    }

    class Opened(Message):
        """Enter was pressed on a row, or it was clicked twice."""

        def __init__(self, table: LiveTable[Any], row_id: str) -> None:
            super().__init__()
            self.table = table
            self.row_id = row_id

        @property
        def control(self) -> LiveTable[Any]:
            """The table."""
            return self.table

    class CursorMoved(Message):
        """The cursor is on another row."""

        def __init__(self, table: LiveTable[Any], row_id: str) -> None:
            super().__init__()
            self.table = table
            self.row_id = row_id

        @property
        def control(self) -> LiveTable[Any]:
            """The table."""
            return self.table

        can_replace_messages = True

    def __init__(
        self,
        columns: Sequence[Column[R]],
        context: Callable[[], Context],
        *,
        empty: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.marks: set[str] = set()
        self.everything: Callable[[str], bool] | None = None
        self.at_edge: Callable[[bool], bool] = lambda last: False
        self.stale = False
        self.empty = empty
        self.sorted_by = ""
        self.descending = False
        self._columns = columns
        self._cell_context = context
        self._ids: Sequence[str] = ()
        self._index: dict[str, int] = {}
        self._rows: Mapping[str, R] = {}
        self._cursor = ""
        self._cursor_at = 0
        self._pinned = True
        self._slid_at = 0.0
        self._turned = False
        self._wide = False
        self._room = 0
        self._placed: list[Placed[R]] = []
        self._drawn: dict[str, _Drawn] = {}
        self._range_from = ""

    # What it shows.

    @property
    def cursor(self) -> str:
        """Id of the row under the cursor; empty when there is none."""
        return self._cursor

    @property
    def cursor_index(self) -> int:
        """Index of the row under the cursor."""
        return self._cursor_at

    @property
    def ids(self) -> Sequence[str]:
        """The rows, in order."""
        return self._ids

    @property
    def row_count(self) -> int:
        """Rows held."""
        return len(self._ids)

    @property
    def cursor_row(self) -> R | None:
        """The row under the cursor."""
        return self._rows.get(self._cursor)

    def row(self, row_id: str) -> R | None:
        """A row that is held."""
        return self._rows.get(row_id)

    def chosen(self) -> list[str]:
        """What an act is about: the marks, or else the row under the cursor."""
        if self.marks:
            order = self._index
            return sorted(self.marks, key=lambda row_id: order.get(row_id, len(order)))
        return [self._cursor] if self._cursor else []

    def settle(self) -> bool:
        """True when the row under the cursor has been there for long enough to have been read.

        When it has not, because the one that was there moved on or went away by itself, the cursor stays with this one
        from now on, and the next time it is true.
        """
        if not self._slid_at or time.monotonic() - self._slid_at >= READ:
            return True
        self._slid_at = 0.0
        self.stay()
        return False

    def stay(self) -> None:
        """The cursor stays with its row from now on, also where it was to stay on the first."""
        self._pinned = False

    def turned(self) -> None:
        """Another order or filter was asked for: the rows that come do not come by themselves."""
        self._turned = True

    def show(self, ids: Sequence[str], rows: Mapping[str, R]) -> None:
        """Takes the rows and their order; draws those lines that are not as they were."""
        if ids is not self._ids:
            self._reorder(ids)
        self._rows = rows
        self.draw_changes()

    def show_columns(self, columns: Sequence[Column[R]]) -> None:
        """Takes other columns."""
        self._columns = columns
        self._lay_out()

    def _reorder(self, ids: Sequence[str]) -> None:
        before_at, before = self._cursor_at, self._cursor
        same = len(ids) == len(self._ids)
        self._ids = ids
        self._index = {row_id: at for at, row_id in enumerate(ids)}
        if not same:
            self._measure()
        at_top = self._pinned and self.scroll_offset.y == 0
        if not ids:
            self._cursor, self._cursor_at = "", 0
        elif at_top or before not in self._index:
            self._cursor_at = 0 if at_top else min(before_at, len(ids) - 1)
            self._cursor = ids[self._cursor_at]
        else:
            self._cursor_at = self._index[before]
            moved = self._cursor_at - before_at
            if moved:
                self.scroll_to(y=self.scroll_offset.y + moved, animate=False, force=True)
        if len(self._drawn) > 4 * max(100, len(ids)):
            self._drawn.clear()
        if self._cursor != before:
            if before and not self._turned:
                # While a command is typed nobody reads rows: what comes then has not been read whenever it came.
                self._slid_at = time.monotonic() if self.has_focus else math.inf
            self.post_message(self.CursorMoved(self, self._cursor))
        self._turned = False
        self.refresh()

    def draw_changes(self) -> None:
        """Redraws the visible lines that would read otherwise now."""
        if not self.is_attached or not self._placed:
            return
        size = self.scrollable_content_region.size
        if size.width != self._room:
            self._lay_out()
            return
        top = self.scroll_offset.y
        context = self._cell_context()
        for line in range(HEADER, size.height):
            at = top + line - HEADER
            if at >= len(self._ids):
                break
            before = self._drawn.get(self._ids[at])
            now = self._draw(at, context)
            if before is None or now is not before.strip:
                self.refresh(Region(0, line, size.width, 1))

    # How it is drawn.

    def render_line(self, y: int) -> Strip:
        """One line: the heading, a row, or nothing."""
        size = self.scrollable_content_region.size
        left = self.scroll_offset.x
        if y < HEADER:
            strip = heading_strip(self, self._placed, self.sorted_by, self.descending, size.width)
        else:
            at = self.scroll_offset.y + y - HEADER
            if at < len(self._ids):
                strip = self._draw(at, self._cell_context())
            elif not self._ids and self.empty and y == max(HEADER + 1, size.height // 3):
                return self.strip_of((Cell(self.empty.center(size.width), Tone.DIM),), size.width)
            else:
                return Strip.blank(size.width, self.rich_style)
        return strip.crop_extend(left, left + size.width, self.rich_style)

    def _draw(self, at: int, context: Context) -> Strip:
        row_id = self._ids[at]
        row = self._rows.get(row_id)
        if row is None:
            return Strip.blank(self.size.width, self.rich_style)
        layer = self._layer(at)
        marked = row_id in self.marks or (self.everything is not None and self.everything(row_id))
        second = int(context.now)
        known = self._drawn.get(row_id)
        if known is not None and known.layer == layer and known.marked == marked:
            if known.revision == row.revision and known.second == second:
                return known.strip
            cells = tuple(placed.column.cell(row, context) for placed in self._placed)
            if cells == known.cells:
                self._drawn[row_id] = known._replace(revision=row.revision, second=second)
                return known.strip
        else:
            cells = tuple(placed.column.cell(row, context) for placed in self._placed)
        strip = row_strip(self, self._placed, cells, layer, marked, self._room)
        self._drawn[row_id] = _Drawn(row.revision, second, layer, marked, cells, strip)
        return strip

    def _layer(self, at: int) -> str:
        if at == self._cursor_at:
            return "table--cursor" if self.has_focus else "table--cursor-blurred"
        return "table--stale" if self.stale else ""

    # What it is made of.

    @property
    def wide(self) -> bool:
        """True while every column is kept, however far that reaches to the right."""
        return self._wide

    def set_wide(self, wide: bool) -> None:
        """Keeps every column, or only those that fit."""
        self._wide = wide
        self.styles.overflow_x = "auto" if wide else "hidden"
        self.scroll_to(x=0, animate=False)
        self._lay_out()

    def set_stale(self, stale: bool) -> None:
        """Greys the rows while the server is away."""
        if stale != self.stale:
            self.stale = stale
            self.restyled()

    def restyled(self) -> None:
        """Forgets every drawn row."""
        self._drawn.clear()
        self.refresh()

    def _lay_out(self) -> None:
        self._room = room = self.scrollable_content_region.width
        if room <= 0:
            return
        self._placed = place(self._columns, room, wide=self._wide)
        self._measure()
        self.restyled()

    def _measure(self) -> None:
        needed = sum(placed.width for placed in self._placed) + GAP * (len(self._placed) - 1) + 2
        self.virtual_size = Size(needed, len(self._ids) + HEADER)

    def on_resize(self, event: events.Resize) -> None:
        """Shares the room out anew."""
        self._lay_out()

    def on_focus(self) -> None:
        """The cursor shows where the keys go."""
        self._slid_at = min(self._slid_at, time.monotonic())
        self.restyled()

    def on_blur(self) -> None:
        """The cursor dims."""
        self.restyled()

    # What keys and clicks do.

    def go_to(self, at: int, *, pin: bool = False) -> None:
        """Moves the cursor to a row, and the row into view."""
        if not self._ids:
            return
        before = self._cursor
        self._pinned = pin
        self._slid_at = 0.0
        self._cursor_at = max(0, min(at, len(self._ids) - 1))
        self._cursor = self._ids[self._cursor_at]
        self._reveal()
        self.draw_changes()
        if self._cursor != before:
            self.post_message(self.CursorMoved(self, self._cursor))

    def go_to_id(self, row_id: str) -> None:
        """Moves the cursor to a row if it is held."""
        if row_id in self._index:
            self.go_to(self._index[row_id])

    def _reveal(self) -> None:
        rows = max(1, self.scrollable_content_region.height - HEADER)
        top = self.scroll_offset.y
        if self._cursor_at < top:
            self.scroll_to(y=self._cursor_at, animate=False, force=True)
        elif self._cursor_at >= top + rows:
            self.scroll_to(y=self._cursor_at - rows + 1, animate=False, force=True)

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.go_to(self._cursor_at + rows)

    def action_page(self, pages: float) -> None:
        """Moves the cursor by pages."""
        rows = max(1, self.scrollable_content_region.height - HEADER)
        self.go_to(self._cursor_at + round(rows * pages))

    def action_first(self) -> None:
        """To the first row, to stay there."""
        if not self.at_edge(False):
            self.scroll_to(y=0, animate=False, force=True)
            self.go_to(0, pin=True)

    def action_last(self) -> None:
        """To the last row."""
        if not self.at_edge(True):
            self.go_to(len(self._ids) - 1)

    def action_sideways(self, cells: int) -> None:
        """Scrolls columns."""
        self.scroll_to(x=self.scroll_offset.x + cells, animate=False)

    def action_open(self) -> None:
        """Opens the row under the cursor."""
        if self._cursor:
            self.post_message(self.Opened(self, self._cursor))

    def toggle_mark(self) -> None:
        """Marks or unmarks the row under the cursor and goes on to the next."""
        if not self._cursor:
            return
        self.marks ^= {self._cursor}
        self._range_from = self._cursor
        self.go_to(self._cursor_at + 1)

    def mark_range(self) -> None:
        """Marks from the last marked row to the cursor."""
        start = self._index.get(self._range_from, self._cursor_at)
        low, high = sorted((start, self._cursor_at))
        self.mark(self._ids[low : high + 1])

    def mark(self, row_ids: Sequence[str]) -> None:
        """Marks rows, held or not."""
        self.marks.update(row_ids)
        self.draw_changes()

    def clear_marks(self) -> bool:
        """Unmarks everything. True when anything was marked."""
        had = bool(self.marks) or self.everything is not None
        self.marks.clear()
        self.everything = None
        self.draw_changes()
        return had

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click opens."""
        if event.y < HEADER:
            return
        at = self.scroll_offset.y + event.y - HEADER
        if at < len(self._ids):
            self.go_to(at)
            if event.chain == 2:
                self.action_open()
