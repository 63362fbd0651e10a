"""Who did what: the audit log, the newest first, read page by page."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import grpc
from textual.binding import BindingType

from quarterdeck.v1 import fleet_service_pb2
from quarterdeck_console.actions import AUDIT, bindings
from quarterdeck_console.model.audit import AUDIT_COLUMNS, AuditRow, describe_entry
from quarterdeck_console.model.lines import Line
from quarterdeck_console.screens.table_screen import TableScreen
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.stream.errors import refusal

PAGE = 200
"""Entries read at once."""


class AuditScreen(TableScreen[AuditRow]):
    """The audit log as it was when it was opened; `ctrl+r` reads it anew."""

    view = AUDIT
    BINDINGS: ClassVar[list[BindingType]] = bindings(AUDIT)
    columns = AUDIT_COLUMNS
    noun = ("entry", "entries")
    empty = "Loading …"

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, AuditRow] = {}
        self._ids: list[str] = []
        self._token = ""
        self._complete = False
        self._reading: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Read anew each time that it is opened."""
        self.resync()

    async def rest(self) -> None:
        """What is being read is not waited for."""
        if self._reading is not None:
            self._reading.cancel()

    def resync(self) -> None:
        """From the newest entry again."""
        if self._reading is not None:
            self._reading.cancel()
        self._token, self._complete = "", False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        link = self.console_app.link
        token = self._token
        request = fleet_service_pb2.ListAuditEntriesRequest(
            namespace=link.namespace, page_size=PAGE, page_token=token
        )
        try:
            answer = await link.fleet.ListAuditEntries(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            self._problem, self._complete = refusal(error), True
            return
        self._problem = None
        rows = {row.id: row for row in map(AuditRow.of, answer.entries)}
        self._entries = {**self._entries, **rows} if token else rows
        self._ids = list(self._entries)
        self._token = answer.next_page_token
        self._complete = not self._token

    def refresh_rows(self) -> None:
        """Shows what was read, and reads on before its end is reached."""
        table = self.table
        empty = "No entries yet" if self._complete else type(self).empty
        if self._problem is not None:
            empty = f"Not known: {self._problem.words}"
        if table.empty != empty:
            table.empty = empty
            table.refresh()
        table.show(self._ids, self._entries)
        reading = self._reading is not None and not self._reading.done()
        near = table.cursor_index >= len(self._ids) - PAGE // 4
        if near and not self._complete and not reading:
            self._reading = asyncio.create_task(self._read())

    def total(self) -> int | None:
        """How many there are, once all were read."""
        return len(self._ids) if self._complete else None

    def inspect(self, row: AuditRow, cells: int) -> list[Line]:
        """The whole entry."""
        return describe_entry(row, self.context(), cells)
