"""Entries of the change log."""

from __future__ import annotations

from typing import Any

TASK, AGENT, QUEUE, SCHEDULE, INSTANCE, POOL, HOLD = 1, 2, 3, 4, 5, 6, 7
"""Kinds of resources; the numbers are those of `quarterdeck.v1.ResourceKind`."""

CREATED, UPDATED, DELETED = 2, 3, 4
"""What became of a resource; the numbers are those of `quarterdeck.v1.ChangeType`."""


class Change:
    """What became of one resource at one revision: the whole row as it was right after.

    `before` is the row as it was, when it is at hand: it lets a filtered watch say that a resource left. It is not
    part of the log. `wire` is room for the encoded form, made once however many watchers there are.
    """

    __slots__ = ("before", "kind", "op", "revision", "row", "time", "wire")

    def __init__(
        self, revision: int, kind: int, op: int, time: int, row: Any, before: Any = None
    ) -> None:
        self.revision = revision
        self.kind = kind
        self.op = op
        self.time = time
        self.row = row
        self.before = before
        self.wire: Any = None

    def __repr__(self) -> str:
        return f"Change({self.revision}, kind={self.kind}, op={self.op}, {self.row!r})"
