"""The active tasks of a queue, ready or running, by age: what an overflow policy asks for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import WAIT, QueueLimits
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY, RUNNING

_ACTIVE = (READY, RUNNING)


def needs_active(limits: QueueLimits) -> bool:
    """Say whether a queue's limits ask which of its tasks are active."""
    return any(
        cap.limit and cap.overflow != WAIT
        for cap in (limits.concurrency, limits.concurrency_per_key)
    )


class ActiveTasks:
    """Ids of the active tasks of one queue. Ids rise with the time of submit, so the least is the oldest.

    `scope` is a group key, None for the whole queue.
    """

    def __init__(self, tasks: Iterable[tuple[int, str | None, bool]] = ()) -> None:
        """Begin with (id, lane, whether its cancel was requested) of each."""
        self._keys: dict[int, str] = {}
        self._ids: _Lines = {None: []}
        self._staying: _Lines = {None: []}
        """Those that are not asked to stop: thousands that are may stand before the first of them."""
        for task_id, lane, leaving in sorted(tasks):
            self._add(task_id, lane_of(lane).group_key)
            self._mark(task_id, leaving)

    def put(self, task: Task) -> None:
        """Follow a task of the queue to what it is now."""
        if task.state not in _ACTIVE:
            self.remove(task.id)
            return
        if task.id not in self._keys:
            self._add(task.id, lane_of(task.lane).group_key)
        self._mark(task.id, task.cancel is not None)

    def _add(self, task_id: int, key: str) -> None:
        self._keys[task_id] = key
        for lines in (self._ids, self._staying):
            _enter(lines, key, task_id)

    def _mark(self, task_id: int, leaving: bool) -> None:
        key = self._keys[task_id]
        if leaving == _has(self._staying[None], task_id):
            (_leave if leaving else _enter)(self._staying, key, task_id)

    def remove(self, task_id: int) -> None:
        """Forget a task that is not active, or not in the queue any more."""
        if task_id not in self._keys:
            return
        self._mark(task_id, True)
        _leave(self._ids, self._keys.pop(task_id), task_id)

    def count(self, scope: str | None) -> int:
        """Return how many are active."""
        return len(self._ids.get(scope, ()))

    def staying(self, scope: str | None) -> int:
        """Return how many are active and not asked to stop."""
        return len(self._staying.get(scope, ()))

    def oldest(self, scope: str | None) -> int:
        """Return the oldest; there must be one."""
        return self._ids[scope][0]

    def oldest_staying(self, scope: str | None, limit: int) -> list[int]:
        """Return the oldest that are not asked to stop."""
        return self._staying.get(scope, [])[:limit]


_Lines = dict[str | None, list[int]]
"""Rising ids by scope."""


def _has(ids: list[int], task_id: int) -> bool:
    place = bisect_left(ids, task_id)
    return place < len(ids) and ids[place] == task_id


def _enter(lines: _Lines, key: str, task_id: int) -> None:
    for scope in (None, key):
        insort(lines.setdefault(scope, []), task_id)


def _leave(lines: _Lines, key: str, task_id: int) -> None:
    for scope in (None, key):
        ids = lines[scope]
        del ids[bisect_left(ids, task_id)]
    if not lines[key]:
        del lines[key]
