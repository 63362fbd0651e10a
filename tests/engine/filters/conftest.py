from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import pytest

from quarterdeck_server.engine.filters import (
    FieldTable,
    Filter,
    compile_predicate,
    compile_sql,
    regexp,
)
from quarterdeck_server.engine.states import TaskState

Value = str | int | None
Rows = list[dict[str, Value]]


class Store:
    """Rows of one resource, asked through SQL and through the predicate."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def taken(self, flt: Filter, rows: Rows, now: int) -> list[int]:
        """Which rows the predicate takes, after the SQL has taken the same."""
        by_sql = self._by_sql(flt, rows, now)
        predicate = compile_predicate(flt)
        by_predicate = [i for i, row in enumerate(rows) if predicate(_object(row), now)]
        assert by_predicate == by_sql, flt.canonical()
        return by_predicate

    def _by_sql(self, flt: Filter, rows: Rows, now: int) -> list[int]:
        names = columns(flt.table)
        run = self._connection.execute
        run("DROP TABLE IF EXISTS it")
        types = ", ".join(f"{name} {kind}" for name, kind in names.items())
        run(f"CREATE TABLE it (place INTEGER PRIMARY KEY, {types}) STRICT")
        marks = ", ".join("?" * (len(names) + 1))
        for place, row in enumerate(rows):
            run(f"INSERT INTO it VALUES ({marks})", (place, *(row[name] for name in names)))
        sql, params = compile_sql(flt, now)
        found = run(f"SELECT place FROM it WHERE 1 AND {sql} AND 1 ORDER BY place", params)
        return [place for (place,) in found]


def columns(table: FieldTable) -> dict[str, str]:
    """The columns that a table's fields need, with their SQL types."""
    numbers = ("number", "id", "name", "time", "duration")
    return {
        attribute: "INTEGER" if field.kind.value in numbers and field.sql is None else "TEXT"
        for field in table.fields
        for attribute in field.attributes
    }


def _object(row: Mapping[str, Value]) -> SimpleNamespace:
    counts = (
        ("a", TaskState.READY, row.get("ready")),
        ("b", TaskState.RUNNING, row.get("running")),
    )
    return SimpleNamespace(**row, counts=counts)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    connection = sqlite3.connect(":memory:")
    connection.create_function("regexp", 2, regexp, deterministic=True)
    yield Store(connection)
    connection.close()


@pytest.fixture
def task() -> Callable[..., dict[str, Value]]:
    """Makes a task's row from what matters in a test."""

    def make(**values: Value) -> dict[str, Value]:
        row: dict[str, Value] = {
            "id": 1,
            "name": "inspect",
            "queue": "default",
            "state": 3,
            "priority": 5,
            "run_at": 0,
            "create_time": 0,
            "attempt": 0,
            "max_attempts": 3,
            "labels": None,
            "parent_id": None,
            "origin_id": None,
            "lane": None,
            "pause": None,
            "attributes": None,
            "schedule_id": None,
            "idempotency_key": None,
            "agent_id": None,
            "claim_time": None,
            "end_time": None,
            "reason": None,
            "error_type": None,
            "error_message": None,
        }
        assert row.keys() >= values.keys()
        return row | values

    return make
