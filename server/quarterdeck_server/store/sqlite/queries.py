"""The named queries of queries.sql, with the columns of each row filled in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from quarterdeck_server.engine.branches import Branch
from quarterdeck_server.engine.model import (
    Admission,
    AdmissionKey,
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    Queue,
    Task,
)
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule

_TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Task": ("tasks", Task._fields),
    "Attempt": ("attempts", Attempt._fields),
    "Agent": ("agents", Agent._fields),
    # Its counts stand in a table of their own.
    "Queue": ("queues", Queue._fields[:-1]),
    "AdmissionKey": ("admissions", AdmissionKey._fields),
    "Admission": ("admissions", Admission._fields),
    "Hold": ("holds", Hold._fields),
    "AuditEntry": ("audit", AuditEntry._fields),
    "Branch": ("cancel_trees", Branch._fields),
    "Schedule": ("schedules", Schedule._fields),
    "Instance": ("instances", Instance._fields),
    "PoolStatus": ("pools", PoolStatus._fields),
}


def _columns(text: str, row: str) -> str:
    table, fields = _TABLES[row]
    plain = text.startswith("INSERT")
    return ", ".join(name if plain else f"{table}.{name}" for name in fields)


def _sets(match: re.Match[str]) -> str:
    _, fields = _TABLES[match[1]]
    return ", ".join(f"{name} = excluded.{name}" for name in fields)


@cache
def load_queries() -> dict[str, str]:
    """Return the queries by name."""
    text = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")
    queries = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        sql = body.strip()

        def fill(match: re.Match[str], sql: str = sql) -> str:
            return _columns(sql, match[1])

        filled = re.sub(r"\{columns:(\w+)\}", fill, sql)
        queries[name.strip()] = re.sub(r"\{sets:(\w+)\}", _sets, filled)
    return queries
