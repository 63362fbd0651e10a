"""Read-only connections that never wait for the writer.

Every read is one short statement, or a few inside one read transaction, whose rows are fetched at once: an open read
would keep the log file from being reused.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from quarterdeck_server.engine.filters import regexp
from quarterdeck_server.store.base import StoreUnavailable
from quarterdeck_server.store.sqlite.queries import load_queries
from quarterdeck_server.store.sqlite.writer import is_disk_error

READERS = 2


class Reader:
    """A few read-only connections, lent one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._all: list[aiosqlite.Connection] = []
        self._filtering = asyncio.Semaphore(READERS - 1)
        """A filter may look at every task: of those that do, one connection is left to all other reads."""
        self._queries = load_queries()

    async def open(self) -> None:
        """Open the connections; the database must exist."""
        for _ in range(READERS):
            connection = await aiosqlite.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            self._all.append(connection)
            await connection.execute_fetchall("PRAGMA query_only = ON")
            await connection.create_function("regexp", 2, regexp, deterministic=True)
            self._idle.put_nowait(connection)

    async def close(self) -> None:
        """Wait for running reads and close."""
        for connection in self._all:
            await connection.close()
        self._all.clear()

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[aiosqlite.Connection]:
        connection = await self._idle.get()
        try:
            yield connection
        except sqlite3.Error as error:
            if is_disk_error(error):
                raise StoreUnavailable(str(error)) from error
            raise
        finally:
            self._idle.put_nowait(connection)

    async def _rows(self, sql: str, *parameters: Any) -> list[Any]:
        async with self._lend() as connection:
            return list(await connection.execute_fetchall(sql, parameters))

    async def _named(self, name: str, *parameters: Any) -> list[Any]:
        return await self._rows(self._queries[name], *parameters)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """Lend a connection on which every statement sees the same state.

        A reader that is cancelled leaves its statement in the connection's line, where the end comes after it: so the
        beginning is inside too.
        """
        async with self._lend() as connection:
            try:
                await connection.execute_fetchall("BEGIN")
                yield connection
            finally:
                with contextlib.suppress(sqlite3.OperationalError):
                    await connection.execute_fetchall("COMMIT")

    async def _page(self, sql: str, *parameters: Any) -> tuple[list[Any], int]:
        """Return rows and the last revision, both of one snapshot."""
        async with self._snapshot() as connection:
            rows = await connection.execute_fetchall(sql, parameters)
            last = await connection.execute_fetchall(self._queries["last_revision"])
        return list(rows), next(iter(last))[0]
