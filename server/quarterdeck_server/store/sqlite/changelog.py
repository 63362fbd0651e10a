"""The change log's encoding: one blob for the changes of a group, or of a part of a large one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgpack

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.model import MAX_NAMES, Agent, Hold, Queue, Task
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule

Counts = tuple[tuple[str, int, int], ...]

PART = 1000
"""Changes in one blob at most."""

_ROWS: dict[int, Any] = {
    log.TASK: Task,
    log.AGENT: Agent,
    log.SCHEDULE: Schedule,
    log.INSTANCE: Instance,
    log.POOL: PoolStatus,
    log.HOLD: Hold,
}


def encode_changes(changes: Sequence[Change]) -> list[tuple[int, int, int, bytes]]:
    """Return rows of the table `changes`, in order."""
    parts = []
    for start in range(0, len(changes), PART):
        part = changes[start : start + PART]
        rows = [
            (c.revision, c.kind, c.op, c.time, _queue(c.row) if c.kind == log.QUEUE else c.row)
            for c in part
        ]
        data = msgpack.packb(rows)
        parts.append((part[-1].revision, part[0].revision, part[-1].time, data))
    return parts


def _queue(queue: Queue) -> Queue:
    if len(queue.counts) > MAX_NAMES:
        return queue._replace(counts=_fewer_names(queue.counts))
    return queue


def _fewer_names(counts: Counts) -> Counts:
    """Keep the first names, and put the tasks of all others together: the totals of the states stay right."""
    names = sorted({name for name, _, _ in counts})
    kept = set(names[:MAX_NAMES])
    others: Counter[int] = Counter()
    for name, state, count in counts:
        if name not in kept:
            others[state] += count
    rest = (("", state, count) for state, count in sorted(others.items()))
    return (*(cell for cell in counts if cell[0] in kept), *rest)


def decode_changes(data: bytes) -> list[Change]:
    """Return the changes of one row, without what was before them."""
    return [
        Change(revision, kind, op, time, _row(kind, image))
        for revision, kind, op, time, image in msgpack.unpackb(data)
    ]


def _row(kind: int, image: list[Any]) -> Any:
    if kind == log.QUEUE:
        counts = tuple((name, state, n) for name, state, n in image[-1])
        return Queue._make((*image[:-1], counts))
    return _ROWS[kind]._make(image)
