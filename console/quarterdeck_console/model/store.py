"""Rows of one kind by id, with what changed since somebody looked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar


class Row(Protocol):
    """What every row has."""

    @property
    def id(self) -> str:
        """Its identity among its kind."""

    @property
    def revision(self) -> int:
        """Rises with every change of the resource."""


R = TypeVar("R", bound=Row)


class Store(Generic[R]):
    """A dictionary of rows that refuses older versions and counts its own changes.

    Attributes:
        version: Rises with every change of any row; readers keep the last one they drew.
        membership: Rises when a row came or went.
    """

    def __init__(self) -> None:
        self.version = 0
        self.membership = 0
        self._rows: dict[str, R] = {}
        self._unconfirmed: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    @property
    def rows(self) -> Mapping[str, R]:
        """All rows by id; a live view."""
        return self._rows

    def get(self, row_id: str) -> R | None:
        """The row, or None."""
        return self._rows.get(row_id)

    def put(self, row: R) -> bool:
        """Takes a row unless a newer version of it is here. True when it was taken."""
        self._unconfirmed.discard(row.id)
        known = self._rows.get(row.id)
        if known is None:
            self.membership += 1
        elif known.revision >= row.revision:
            return False
        self._rows[row.id] = row
        self.version += 1
        return True

    def drop(self, row_ids: Iterable[str]) -> None:
        """Forgets rows."""
        for row_id in row_ids:
            if self._rows.pop(row_id, None) is not None:
                self.membership += 1
                self.version += 1

    def begin_snapshot(self) -> None:
        """From here on the current state is told anew; rows stay visible meanwhile."""
        self._unconfirmed = set(self._rows)

    def end_snapshot(self) -> None:
        """Forgets the rows that the snapshot did not name."""
        self.drop(self._unconfirmed)
        self._unconfirmed = set()

    def clear(self) -> None:
        """Forgets every row."""
        self.drop(list(self._rows))
