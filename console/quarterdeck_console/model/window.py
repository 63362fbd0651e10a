"""A window on a list of tasks that the server sorts and that is too long to hold.

The server hands the list out page by page with keyset tokens. The window keeps some neighbouring
pages; rows that change inside its bounds are placed by the console, everything outside is left
to the server, so 100,000 tasks cost no more than the thousand around the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from quarterdeck_console.model.rows import TaskRow

CAPACITY = 1_000
"""Rows held at most; beyond it the page farthest from the cursor is let go."""

Key = tuple[Any, str]

_VALUES: dict[str, Callable[[TaskRow], Any]] = {
    "create_time": lambda row: row.created,
    "run_time": lambda row: row.run_at,
    "end_time": lambda row: row.ended,
    "priority": lambda row: row.priority,
    "name": lambda row: row.name,
    "state": lambda row: row.state,
}


class Order:
    """An `order_by` of ListTasks and the same order among rows held here."""

    def __init__(self, field: str = "create_time", descending: bool = True) -> None:
        if field not in _VALUES:
            raise ValueError(f"order: expected one of {', '.join(_VALUES)}, got {field!r}")
        self.field = field
        self.descending = descending
        self._value = _VALUES[field]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def text(self) -> str:
        """As the server wants it."""
        return f"{self.field} desc" if self.descending else self.field

    def key(self, row: TaskRow) -> Key:
        """Where a row stands."""
        return (self._value(row), row.id)

    def before(self, one: Key, other: Key) -> bool:
        """True when ``one`` stands nearer to the start of the list."""
        return one > other if self.descending else one < other


class _Page:
    """A page as it was fetched: how to fetch it again, and where it began and ended."""

    __slots__ = ("end", "start", "token")

    def __init__(self, token: str, start: Key, end: Key) -> None:
        self.token = token
        self.start = start
        self.end = end


class Window:
    """Neighbouring pages of one list.

    Attributes:
        ids: The rows held, in order; valid after ``arrange``.
        version: Rises with every change.
        newer: Rows that came in before the first one held.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.rows: dict[str, TaskRow] = {}
        self.ids: list[str] = []
        self.version = 0
        self.newer = 0
        self._pages: list[_Page] = []
        self._low = 0
        self._next = ""
        self._tail_lost = False
        self._unsorted = False

    @property
    def at_start(self) -> bool:
        """True when the first row of the whole list is held."""
        return self._low == 0

    @property
    def at_end(self) -> bool:
        """True when the last row of the whole list is held."""
        return not self._next and not self._tail_lost

    @property
    def next_token(self) -> str | None:
        """Token of the page after the last one held; None when there is none to go on with."""
        return None if self._tail_lost or not self._next else self._next

    @property
    def previous_token(self) -> str | None:
        """Token of the page before the first one held; None at the start. May be empty."""
        return self._earlier[-1].token if self._earlier else None

    @property
    def _earlier(self) -> list[_Page]:
        return self._pages[: self._low]

    @property
    def tail_lost(self) -> bool:
        """True when rows were let go at the end that no token leads back to."""
        return self._tail_lost

    def restart(self, rows: Sequence[TaskRow], next_token: str) -> None:
        """Begins anew with the first page of the list."""
        self.rows = {row.id: row for row in rows}
        self.newer = 0
        self._pages, self._low, self._tail_lost = [], 0, False
        self._touch()
        self._note_page("", rows, next_token)

    def append(self, token: str, rows: Sequence[TaskRow], next_token: str) -> None:
        """Takes the page that ``next_token`` led to; an answer to an older question is ignored."""
        if token != self.next_token:
            return
        self._take(rows)
        self._note_page(token, rows, next_token)
        while len(self.rows) > CAPACITY and len(self._pages) - self._low > 1:
            self._low += 1
            start = self._pages[self._low].start
            self._forget(start, onward=False)

    def prepend(self, token: str, rows: Sequence[TaskRow]) -> None:
        """Takes the page that ``previous_token`` led to; a late answer is ignored."""
        if token != self.previous_token:
            return
        self._low -= 1
        self._take(rows)
        while len(self.rows) > CAPACITY and len(self._pages) - self._low > 1:
            last = self._pages.pop()
            self._next = last.token
            self._forget(last.start, onward=True)
        if self.at_start:
            self.newer = 0

    def change(self, row: TaskRow) -> None:
        """Takes a new version of a row, or a new row if it stands inside the window."""
        known = self.rows.get(row.id)
        if known is not None and known.revision >= row.revision:
            return
        if not self._covers(self.order.key(row)):
            if known is not None:
                self.drop(row.id)
            return
        if known is None or self.order.key(known) != self.order.key(row):
            self._unsorted = True
        self.rows[row.id] = row
        self.version += 1

    def wants(self, row_id: str, key_value: float) -> bool:
        """A cheap first look: False for a row that ``change`` would leave alone.

        Only meaningful in order of creation, where a row's place never changes.
        """
        return row_id in self.rows or self._covers((key_value, row_id))

    def drop(self, row_id: str) -> None:
        """Forgets a row that was removed or left the filter."""
        if self.rows.pop(row_id, None) is not None:
            self._touch()

    def arrange(self) -> bool:
        """Brings ``ids`` up to date, and lets go of what is too much. True when they changed."""
        if not self._unsorted:
            return False
        self._unsorted = False
        key, rows = self.order.key, self.rows
        before = self.ids
        self.ids = sorted(rows, key=lambda row_id: key(rows[row_id]), reverse=self.order.descending)
        if len(self.ids) > CAPACITY * 2:
            self._cut()
        return self.ids != before

    def _cut(self) -> None:
        """Lets go of the end after a flood of new rows at the start."""
        gone = self.ids[CAPACITY:]
        del self.ids[CAPACITY:]
        for row_id in gone:
            del self.rows[row_id]
        self._tail_lost = True
        del self._pages[self._low + 1 :]
        self._pages[self._low].end = self.order.key(self.rows[self.ids[-1]])

    def _covers(self, key: Key) -> bool:
        if not self._pages:
            return True
        if self._low and self.order.before(key, self._pages[self._low].start):
            self.newer += 1
            return False
        return self.at_end or not self.order.before(self._pages[-1].end, key)

    def _take(self, rows: Sequence[TaskRow]) -> None:
        for row in rows:
            known = self.rows.get(row.id)
            if known is None or known.revision < row.revision:
                self.rows[row.id] = row
        self._touch()

    def _forget(self, edge: Key, *, onward: bool) -> None:
        """Lets go of the rows before an edge, or of those from it onward."""
        order = self.order
        gone = [
            row_id
            for row_id, row in self.rows.items()
            if order.before(order.key(row), edge) is not onward
        ]
        for row_id in gone:
            del self.rows[row_id]
        self._touch()

    def _note_page(self, token: str, rows: Sequence[TaskRow], next_token: str) -> None:
        self._next = next_token
        if rows:
            self._pages.append(_Page(token, self.order.key(rows[0]), self.order.key(rows[-1])))

    def _touch(self) -> None:
        self.version += 1
        self._unsorted = True
