"""Writing many rows with few statements.

Every step of a statement gives up the interpreter lock and must win it back; against a busy event loop that costs up to
a switch interval each time. `executemany` makes a step for every row: measured beside one spinning thread it is 40
times slower than one statement with many value lists. So rows are written in pieces of a few fixed sizes, each piece
one statement from the connection's cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from quarterdeck_server.store.sqlite.queries import load_queries

_PIECES = (256, 64, 16, 4, 1)
_MAX_VARIABLES = 32_766
"""SQLITE_MAX_VARIABLE_NUMBER since 3.32."""


@cache
def _statement(name: str, width: int, rows: int) -> str:
    one = "(" + ",".join("?" * width) + ")"
    return load_queries()[name].replace("{rows}", ",".join([one] * rows))


def write_rows(connection: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]]) -> None:
    """Carry out the named query, which has {rows} in it, for all rows."""
    if not rows:
        return
    width = len(rows[0])
    start, left = 0, len(rows)
    for piece in _PIECES:
        if piece * width > _MAX_VARIABLES:
            continue
        while left >= piece:
            part = rows[start : start + piece]
            connection.execute(_statement(name, width, piece), tuple(chain.from_iterable(part)))
            start += piece
            left -= piece
