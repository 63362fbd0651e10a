"""Writing many rows with few statements.

Every step of a statement gives up the interpreter lock and must win it back from whoever took it, which costs up to
a switch interval each time. `executemany` makes a step for every row: measured beside one spinning thread it is 40
times slower than one statement with many value lists. So rows are written in pieces of a few fixed sizes, each piece
one statement from the connection's cache.

Of wide rows only the columns that matter are written, which halves the cost of a task: a new row leaves out the columns
that are NULL in the whole piece, a changed one those that changed in no row. That is why the statements for them are
made here and not in queries.sql.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from quarterdeck_server.store.sqlite.queries import load_queries

_PIECES = (256, 64, 16, 4, 1)
_MAX_VARIABLES = 32_766
"""SQLITE_MAX_VARIABLE_NUMBER since 3.32."""

Row = tuple[Any, ...]


def _values(width: int, rows: int) -> str:
    one = "(" + ",".join("?" * width) + ")"
    return ",".join([one] * rows)


@cache
def _named(name: str, width: int, rows: int) -> str:
    return load_queries()[name].replace("{rows}", _values(width, rows))


@lru_cache(maxsize=256)
def _insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_values(len(columns), rows)}"


@lru_cache(maxsize=256)
def _update(table: str, columns: tuple[str, ...], rows: int) -> str:
    key, *others = columns
    sets = ", ".join(f"{name} = v.column{place}" for place, name in enumerate(others, 2))
    values = _values(len(columns), rows)
    return f"UPDATE {table} SET {sets} FROM (VALUES {values}) AS v WHERE {table}.{key} = v.column1"


def _pieces(rows: Sequence[Row]) -> list[Sequence[Row]]:
    found, start, left = [], 0, len(rows)
    limit = _MAX_VARIABLES // len(rows[0])
    for piece in _PIECES:
        while left >= piece <= limit:
            found.append(rows[start : start + piece])
            start += piece
            left -= piece
    return found


def write_rows(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> None:
    """Carry out the named query, which has {rows} in it, for all rows."""
    if not rows:
        return
    width = len(rows[0])
    for part in _pieces(rows):
        connection.execute(_named(name, width, len(part)), tuple(chain.from_iterable(part)))


def insert_rows(
    connection: sqlite3.Connection, table: str, fields: Sequence[str], rows: Sequence[Row]
) -> None:
    """Insert rows whose values stand in the order of `fields`."""
    if not rows:
        return
    for part in _pieces(rows):
        columns = [
            (name, column)
            for name, column in zip(fields, zip(*part, strict=True), strict=True)
            if column.count(None) < len(part)
        ]
        _write(connection, _insert, table, columns, len(part))


def update_rows(
    connection: sqlite3.Connection,
    table: str,
    fields: Sequence[str],
    before: Sequence[Row],
    after: Sequence[Row],
) -> None:
    """Update rows to what `after` says; both are in the same order and their first field is the key."""
    if not after:
        return
    start = 0
    for part in _pieces(after):
        old = zip(*before[start : start + len(part)], strict=True)
        start += len(part)
        columns = [
            (name, new)
            for place, (name, was, new) in enumerate(
                zip(fields, old, zip(*part, strict=True), strict=True)
            )
            if place == 0 or was != new
        ]
        _write(connection, _update, table, columns, len(part))


def _write(
    connection: sqlite3.Connection,
    statement: Any,
    table: str,
    columns: list[tuple[str, Row]],
    rows: int,
) -> None:
    names = tuple(name for name, _ in columns)
    values = chain.from_iterable(zip(*(column for _, column in columns), strict=True))
    connection.execute(statement(table, names, rows), tuple(values))
