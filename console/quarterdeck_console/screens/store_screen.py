"""A list that is small enough to be held whole and sorted here; its filter is the server's."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

import grpc

from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.model.store import Row, Store
from quarterdeck_console.screens.table_screen import TableScreen
from quarterdeck_console.stream.errors import Refusal, refusal
from quarterdeck_console.stream.fleet_feed import FilteredFeed
from quarterdeck_console.stream.watcher import follow

R = TypeVar("R", bound=Row)

RESORT = 5
"""Ticks between two sortings of rows that only changed."""


class StoreScreen(TableScreen[R], Generic[R]):
    """Agents, schedules or queues."""

    kind: watch_pb.ResourceKind.ValueType = watch_pb.RESOURCE_KIND_UNSPECIFIED
    field = ""

    def __init__(self) -> None:
        super().__init__()
        self.sorted_by = "name"
        self._filtered: FilteredFeed[R] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._shown: tuple[object, ...] = ()
        self._sorted_at = -RESORT
        self._ticks = 0

    def all_rows(self) -> Store[R]:
        """Every row of this kind."""
        raise NotImplementedError

    def is_problem(self, row: R) -> bool:
        """Whether `!` shows it."""
        raise NotImplementedError

    async def try_filter(self, text: str) -> None:
        """Asks the server for one row with this filter.

        Raises:
            grpc.aio.AioRpcError: The filter is wrong.
        """
        raise NotImplementedError

    @property
    def rows(self) -> Store[R]:
        """What the table shows."""
        return self._filtered.store if self._filtered is not None else self.all_rows()

    def refresh_rows(self) -> None:
        """Sorts what changed, at most twice a second unless rows came or went."""
        self._ticks += 1
        store = self.rows
        shape = (store.membership, self.sorted_by, self.descending, self.problems_only, id(store))
        about = (*shape, store.version)
        if about == self._shown:
            return
        due = self._ticks - self._sorted_at >= RESORT
        if shape != self._shown[:5] or due:
            self._sorted_at = self._ticks
            self._shown = about
            self._arrange(store)
        else:
            self.table.draw_changes()

    def _arrange(self, store: Store[R]) -> None:
        rows = [row for row in store if not self.problems_only or self.is_problem(row)]
        key = next((c.sort for c in self.columns if c.key == self.sorted_by), None)
        rows.sort(key=lambda row: row.id)
        if key is not None:
            rows.sort(key=key, reverse=self.descending)
        ids = [row.id for row in rows]
        table = self.table
        narrowed = self.filter_text or self.problems_only
        table.empty = "Nothing matches; esc clears" if narrowed else type(self).empty
        table.show(table.ids if ids == table.ids else ids, store.rows)

    def order_changed(self) -> None:
        """Sorted at the next tick."""

    async def filter_changed(self) -> Refusal | None:
        """Tries the filter, then watches with it."""
        if self.filter_text:
            try:
                await self.try_filter(self.filter_text)
            except grpc.aio.AioRpcError as error:
                return refusal(error)
        await self._stop()
        self._filtered = None
        if self.filter_text:
            self._filtered = FilteredFeed(self.kind, self.field, self.filter_text)
            self.wake()
        return None

    def wake(self) -> None:
        """The filter's own watch runs while the list is shown."""
        if self._filtered is not None and self._runner is None:
            self._runner = asyncio.create_task(follow(self.console_app.link, self._filtered))

    async def rest(self) -> None:
        """Hidden, only the fleet's watch goes on."""
        await self._stop()

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)

    async def ids_matching(self) -> list[str]:
        """All that are shown."""
        return list(self.table.ids)
