"""The change log as watchers see it: the newest part in memory, the rest in the store.

Watchers pull: each has a position and nothing else here, so a slow one costs reads from the store and no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from quarterdeck_server.engine.changes import QUEUE, TASK, Change
from quarterdeck_server.engine.states import RUNNING
from quarterdeck_server.store.base import Store

RING = 32_768
"""Changes kept in memory at least, once so many were made and they are not too large."""

RING_BYTES = 64 << 20
"""What producers may make large of those changes, together: labels, and the names in a queue."""

_PACE_OVER = 60_000_000
"""How far back the pace of a queue is looked at, in microseconds."""

_COUNT_BYTES = 64
"""Of one name in one state, in a queue's row."""


class Hub:
    """Wakes watchers and serves them what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring: list[Change] = []
        self._base = 0
        """The revision before the first in the ring. Revisions have no gaps."""
        self._bytes = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self.revision = 0
        self.closing = False

    async def start(self) -> None:
        """Begin at the store's last change."""
        self.revision = self._base = await self._store.revision()

    def publish(self, changes: Sequence[Change]) -> None:
        """Add the changes of a committed group."""
        if not changes:
            return
        self._ring.extend(changes)
        self._bytes += sum(map(_size, changes))
        self.revision = changes[-1].revision
        if len(self._ring) > 2 * RING or self._bytes > 2 * RING_BYTES:
            self._forget()
        self._wake()

    def _forget(self) -> None:
        """Leave the oldest changes to the store's log."""
        if self._bytes <= RING_BYTES:
            del self._ring[:-RING]
            self._base = self.revision - RING
            self._bytes = sum(map(_size, self._ring))
            return
        kept = self._bytes = 0
        for change in reversed(self._ring[-RING:]):
            size = _size(change)
            if self._bytes + size > RING_BYTES:
                break
            self._bytes += size
            kept += 1
        del self._ring[: len(self._ring) - kept]
        self._base = self.revision - kept

    def close(self) -> None:
        """Tell the watchers to end."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, after_revision: int, seconds: float) -> None:
        """Return once there is a later change, the hub is closing, or after `seconds`."""
        if self.revision > after_revision or self.closing:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            self._waiting.discard(future)

    def starts(self, namespace: str, queue: str, now: int) -> float | None:
        """Return how many tasks of a queue start in a second, by the newest changes; None when they say too little."""
        count, first = 0, now
        for change in reversed(self._ring):
            if now - change.time > _PACE_OVER:
                break
            first = change.time
            row = change.row
            if (
                change.kind == TASK
                and row.state == RUNNING
                and row.claim_time == change.time
                and (row.namespace, row.queue) == (namespace, queue)
            ):
                count += 1
        return count * 1_000_000 / (now - first) if count > 1 and first < now else None

    def since(self, after_revision: int) -> list[Change] | None:
        """Return all changes after a revision, with what was before them; None when memory does not reach back."""
        if after_revision < self._base:
            return None
        return self._ring[after_revision - self._base :]

    async def read(self, after_revision: int, limit: int) -> list[Change] | None:
        """Return at most about `limit` changes after a revision, in order; None when some are no longer kept."""
        if after_revision >= self._base:
            start = after_revision - self._base
            return self._ring[start : start + limit]
        return await self._store.changes_after(after_revision, limit)


def _size(change: Change) -> int:
    """About how much of a row is as large as a client made it, in bytes."""
    if change.kind == TASK:
        labels: str | None = change.row.labels
        return 0 if labels is None else len(labels)
    return _COUNT_BYTES * len(change.row.counts) if change.kind == QUEUE else 0
