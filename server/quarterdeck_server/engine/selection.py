"""What matched a filter at an earlier revision, from what matches now and what changed since."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from heapq import merge
from typing import NamedTuple

from quarterdeck_server.engine.changes import DELETED, TASK, Change
from quarterdeck_server.engine.model import Task

Matches = Callable[[Task], bool]


class Selection(NamedTuple):
    """Tasks that match a filter at one revision."""

    ids: array[int]
    """Rising. Not all of them where there are more than were asked for."""
    total: int
    revision: int


def as_of(now: Selection, later: Iterable[Change], namespace: str, matches: Matches) -> Selection:
    """Undo what became of a selection.

    A task is what it was right before the first change that is undone; it did not exist when it was created there.

    Args:
        now: What matches at its revision.
        later: All changes after the wanted revision up to that of `now`, in order, with what was before them.
        namespace: The tenant.
        matches: The filter, at the instant of the wanted revision: at the same as for `now`.

    Returns:
        The selection before those changes; tasks that exist no more are in it.
    """
    before: dict[int, Task | None] = {}
    after: dict[int, Task | None] = {}
    for change in later:
        if change.kind == TASK and change.row.namespace == namespace:
            task: Task = change.row
            before.setdefault(task.id, change.before)
            after[task.id] = None if change.op == DELETED else task
    was = sorted(i for i, task in before.items() if task is not None and matches(task))
    left = sum(task is not None and matches(task) for task in after.values())
    kept = (task_id for task_id in now.ids if task_id not in before)
    return Selection(array("q", merge(kept, was)), now.total - left + len(was), now.revision)
