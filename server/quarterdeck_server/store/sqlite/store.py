"""The store of one SQLite file: opening it safely, its one writing connection, its reads."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import secrets
import sqlite3
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Command
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.ids import NODE_BITS, IdSource
from quarterdeck_server.store.base import GroupResult, StoreUnavailable
from quarterdeck_server.store.sqlite.changelog import decode_changes
from quarterdeck_server.store.sqlite.files import DataDirectory, connect
from quarterdeck_server.store.sqlite.reads import Reads
from quarterdeck_server.store.sqlite.writer import Writer, is_disk_error

Result = TypeVar("Result")


class SqliteStore(Reads):
    """See `store.base.Store`. Reads are inherited; writes go through the one `Writer`, their COMMIT to a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = DataDirectory(directory)
        super().__init__(self._directory.database)
        self.store_id = ""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._writer: Writer | None = None

    async def open(self) -> None:
        self._directory.lock()
        self._thread = threading.Thread(target=self._work, name="quarterdeck-writer", daemon=True)
        self._thread.start()
        try:
            await self._on_thread(self._open)
            await super().open()
        except BaseException:
            await self.close()
            raise

    def _open(self) -> None:
        self._connection = connect(self._directory.database)
        self._directory.note_opened()
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()
        self.store_id = row[0]
        ids = IdSource(secrets.randbits(NODE_BITS))
        self._writer = Writer(self._connection, ids.next, _Tokens().next, self._job)

    async def close(self) -> None:
        await super().close()
        if self._thread is not None:
            await self._on_thread(self._close)
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        self._directory.unlock()

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA optimize")
            self._connection.close()
            self._connection = self._writer = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    async def _on_thread(self, function: Callable[[], Result]) -> Result:
        """Run what waits for the disk on the store's thread. It runs to its end even when the caller is cancelled."""
        return await asyncio.shield(self._job(function))

    def _job(
        self,
        function: Callable[[], Result],
        ended: Callable[[BaseException | None], None] = lambda error: None,
    ) -> asyncio.Future[Result]:
        """Run a function on the store's thread, and `ended` with its error on the loop, before anybody is answered."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            try:
                ended(error)
            except BaseException as other:
                error = other
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def job() -> None:
            try:
                result = function()
            except BaseException as error:
                loop.call_soon_threadsafe(settle, None, error)
            else:
                loop.call_soon_threadsafe(settle, result, None)

        self._jobs.put(job)
        return future

    async def run_group(
        self, commands: Sequence[Command], waiting: Waiting, now: int
    ) -> GroupResult:
        if self._writer is None:
            raise StoreUnavailable("the store is closed")
        self._directory.check()
        return await self._writer.run(commands, waiting, now)

    async def probe(self) -> None:
        await self._on_thread(self._probe)

    def _probe(self) -> None:
        assert self._connection is not None
        self._directory.check()
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('probe', hex(randomblob(8)))"
            )
        except sqlite3.Error as error:
            if is_disk_error(error):
                raise StoreUnavailable(str(error)) from error
            raise

    async def changes_after(self, revision: int, limit: int) -> list[Change] | None:
        first, last, rows = await self.change_blobs(revision, limit)
        if revision > last or (revision < last and (not rows or first > revision + 1)):
            return None
        changes = []
        for _, _, data in rows:
            changes += [c for c in decode_changes(data) if c.revision > revision]
        return changes


class _Tokens:
    """Random 63-bit numbers from the system, fetched many at a time: one call a token would be a call a claim."""

    _BATCH = 512

    def __init__(self) -> None:
        self._left: list[int] = []

    def next(self) -> int:
        """Return a number that cannot be guessed."""
        if not self._left:
            words = struct.unpack(f"{self._BATCH}Q", secrets.token_bytes(8 * self._BATCH))
            self._left = [word >> 1 for word in words]
        return self._left.pop()
