"""A real store behind a gate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from quarterdeck_server.engine.commands import Command
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.store.base import GroupResult, StoreUnavailable
from quarterdeck_server.store.sqlite import SqliteStore


class FlakyStore:
    """Passes everything on; groups wait while the gate is shut, and fail as they are told to."""

    def __init__(self, inner: SqliteStore) -> None:
        self._inner = inner
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False
        """Writes fail as with a full disk."""
        self.errors: list[Exception] = []
        """What the next groups raise, each once, instead of being carried out."""
        self.groups: list[list[Command]] = []
        self.started = asyncio.Event()
        """Set when a group begins."""
        self.probed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def run_group(
        self, commands: Sequence[Command], waiting: Waiting, now: int
    ) -> GroupResult:
        """Carry out a group once the gate is open."""
        self.groups.append(list(commands))
        self.started.set()
        await self.gate.wait()
        if self.broken:
            raise StoreUnavailable("disk full")
        if self.errors:
            raise self.errors.pop(0)
        return await self._inner.run_group(commands, waiting, now)

    async def probe(self) -> None:
        """Try a write."""
        self.probed.set()
        if self.broken:
            raise StoreUnavailable("disk full")
        await self._inner.probe()
