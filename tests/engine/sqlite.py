"""The SQLite writer behind the surface of `Memory`, without the thread and the loop around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Command
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.flow.meters import Meter, MeterKey
from quarterdeck_server.engine.model import (
    Admission,
    AdmissionKey,
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    LogRow,
    Payload,
    Queue,
    Task,
)
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.world import HoldKey
from quarterdeck_server.store.base import GroupResult
from quarterdeck_server.store.sqlite.changelog import decode_changes
from quarterdeck_server.store.sqlite.files import connect
from quarterdeck_server.store.sqlite.writer import Writer

from . import make


def columns(fields: Sequence[str]) -> str:
    """The columns of a row in the order of its fields."""
    return ", ".join(fields)


async def _here(commit: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
    commit()
    ended(None)


class Sqlite:
    """All tables of one database file."""

    def __init__(
        self,
        path: Path,
        new_id: Callable[[int], int] | None = None,
        new_token: Callable[[], int] | None = None,
    ) -> None:
        self._new_id = new_id or make.ids()
        self._new_token = new_token or make.tokens()
        self.connection = connect(path)
        # What is tested with this driver is not durability.
        self.connection.execute("PRAGMA synchronous = OFF")
        self.restart()

    def restart(self) -> None:
        """Forget what is in memory only."""
        self._writer = Writer(self.connection, self._new_id, self._new_token, _here)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def run(self, commands: Sequence[Command], waiting: Waiting, now: int) -> GroupResult:
        """Carry out a group."""
        group = self._writer.run(commands, waiting, now)
        try:
            group.send(None)
        except StopIteration as ended:
            result: GroupResult = ended.value
            return result
        raise AssertionError("a group waited for something other than its commit")

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """Rows of a query."""
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise AssertionError(sql) from error

    @property
    def tasks(self) -> dict[int, Task]:
        """By id."""
        return {
            row[0]: Task._make(row)
            for row in self.rows(f"SELECT {columns(Task._fields)} FROM tasks")
        }

    @property
    def attempts(self) -> dict[tuple[int, int], Attempt]:
        """Ended ones, by task and number."""
        return {
            row[:2]: Attempt._make(row)
            for row in self.rows(f"SELECT {columns(Attempt._fields)} FROM attempts")
        }

    @property
    def edges(self) -> dict[tuple[int, int], bool]:
        """(dependent, dependency), and whether it is met."""
        return {row[:2]: bool(row[2]) for row in self.rows("SELECT * FROM dependencies")}

    @property
    def keys(self) -> dict[tuple[str, str], tuple[int, bytes, int | None]]:
        """Idempotency keys."""
        found = self.rows(
            "SELECT namespace, key, task_id, content_hash, expire_at FROM idempotency_keys"
        )
        return {row[:2]: row[2:] for row in found}

    @property
    def admissions(self) -> dict[AdmissionKey, Admission]:
        """Unique, debounce and throttle keys."""
        rows = self.rows(
            f"SELECT {columns(AdmissionKey._fields + Admission._fields)} FROM admissions"
        )
        return {AdmissionKey._make(row[:4]): Admission._make(row[4:]) for row in rows}

    @property
    def inputs(self) -> dict[int, Payload]:
        """By task."""
        sql = "SELECT task_id, content_type, ifnull(data, (SELECT data FROM blobs WHERE hash = i.hash)) FROM inputs i"
        return {row[0]: Payload(*row[1:]) for row in self.rows(sql)}

    @property
    def queues(self) -> dict[tuple[str, str], Queue]:
        """With their counts."""
        counts: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
        for row in self.rows("SELECT * FROM queue_counts WHERE count <> 0"):
            counts.setdefault(row[:2], []).append(row[2:])
        return {
            row[:2]: Queue._make((*row, tuple(counts.get(row[:2], ()))))
            for row in self.rows(f"SELECT {columns(Queue._fields[:-1])} FROM queues")
        }

    @property
    def agents(self) -> dict[tuple[str, str], Agent]:
        """By namespace and id."""
        return {row[:2]: Agent._make(row) for row in self.rows("SELECT * FROM agents")}

    @property
    def schedules(self) -> dict[tuple[str, str], Schedule]:
        """By namespace and id."""
        return {row[:2]: Schedule._make(row) for row in self.rows("SELECT * FROM schedules")}

    @property
    def holds(self) -> dict[HoldKey, Hold]:
        """By namespace, kind and subject."""
        rows = self.rows(f"SELECT {columns(Hold._fields)} FROM holds")
        return {row[:3]: Hold._make(row) for row in rows}

    @property
    def instances(self) -> dict[tuple[str, str], Instance]:
        """By id and namespace."""
        rows = self.rows(f"SELECT {columns(Instance._fields)} FROM instances")
        return {row[:2]: Instance._make(row) for row in rows}

    @property
    def pools(self) -> dict[tuple[str, str], PoolStatus]:
        """By namespace and name."""
        rows = self.rows(f"SELECT {columns(PoolStatus._fields)} FROM pools")
        return {row[:2]: PoolStatus._make(row) for row in rows}

    @property
    def audit(self) -> dict[tuple[str, int], AuditEntry]:
        """By namespace and id."""
        sql = f"SELECT {columns(AuditEntry._fields)} FROM audit"
        return {row[:2]: AuditEntry._make(row) for row in self.rows(sql)}

    @property
    def results(self) -> dict[int, Payload]:
        """By task."""
        sql = "SELECT task_id, content_type, ifnull(data, (SELECT data FROM blobs WHERE hash = r.hash)) FROM results r"
        return {row[0]: Payload(*row[1:]) for row in self.rows(sql)}

    @property
    def meters(self) -> dict[MeterKey, Meter]:
        """Those that have a row."""
        rows = self.rows(
            "SELECT namespace, queue, whole, group_key, full_at, back_off_until, part FROM meters"
        )
        return {MeterKey._make(row[:4]): Meter._make(row[4:]) for row in rows}

    @property
    def details(self) -> dict[int, Payload]:
        """By task."""
        sql = "SELECT task_id, content_type, ifnull(data, (SELECT data FROM blobs WHERE hash = d.hash)) FROM details d"
        return {row[0]: Payload(*row[1:]) for row in self.rows(sql)}

    @property
    def logs(self) -> list[LogRow]:
        """In order."""
        rows = self.rows("SELECT * FROM logs ORDER BY task_id, sequence")
        return [LogRow._make(row) for row in rows]

    @property
    def changes(self) -> list[Change]:
        """The whole log."""
        blobs = self.rows("SELECT data FROM changes ORDER BY last_revision")
        return [change for (data,) in blobs for change in decode_changes(data)]
