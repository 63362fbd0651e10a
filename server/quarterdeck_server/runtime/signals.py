"""Waking those who wait for one task: for its end, or for new lines in its log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Signals:
    """Futures by task. Register first, look at the store then, wait last: so nothing is missed."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @contextlib.contextmanager
    def registered(self, task_id: int) -> Iterator[asyncio.Future[None]]:
        """Give a future that is done at the next `wake` of the task."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, set()).add(future)
        try:
            yield future
        finally:
            waiting = self._waiting.get(task_id)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[task_id]

    def wake(self, task_id: int) -> None:
        """Wake who waits for the task."""
        for future in self._waiting.pop(task_id, ()):
            if not future.done():
                future.set_result(None)

    def wake_all(self) -> None:
        """Wake everybody."""
        for task_id in list(self._waiting):
            self.wake(task_id)
