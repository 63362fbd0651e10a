"""A data directory with a long line in many queues, written by the store's own code but without a server:
`python -m quarterdeck_server.bench.backlog DIR TASKS QUEUES KEYS`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from quarterdeck_server.bench.jobs import NAMESPACE, TASK
from quarterdeck_server.engine.commands import Command, Spec, Submit, UpdateQueue
from quarterdeck_server.engine.flow.claim import NOBODY
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.engine.ids import IdSource
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.store.sqlite.files import DataDirectory, connect
from quarterdeck_server.store.sqlite.writer import Writer

_GROUP = 5_000
_PRIORITIES = 10
_LIMITS = QueueLimits(Concurrency(200), Concurrency(25))
_INPUT = Payload("application/json", b'"a question of the usual size, with a name or two"')


def queue_name(number: int) -> str:
    """Return the name of a queue of the backlog."""
    return f"line-{number:04}"


async def _here(commit: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
    commit()
    ended(None)


async def write(folder: Path, tasks: int, queues: int, keys: int) -> None:
    """Write ready tasks, evenly over the queues and the keys, with limits on every queue."""
    directory = DataDirectory(folder)
    directory.lock()
    ids = IdSource(0)
    writer = Writer(connect(directory.database), ids.next, lambda: 1, _here)

    async def group(commands: list[Command]) -> None:
        result = await writer.run(commands, NOBODY, time.time_ns() // 1000)
        for reply in result.replies:
            if isinstance(reply, Exception):
                raise reply

    await group(
        [UpdateQueue(NAMESPACE, queue_name(n), None, "", limits=_LIMITS) for n in range(queues)]
    )
    for start in range(0, tasks, _GROUP):
        # Queue by queue, so that a group touches few of them.
        numbers = range(start, min(start + _GROUP, tasks))
        await group(
            [
                Submit(
                    NAMESPACE, [_spec(n, n * queues // tasks, keys // queues or 1) for n in numbers]
                )
            ]
        )


def _spec(number: int, queue: int, keys: int) -> Spec:
    return Spec(
        queue=queue_name(queue),
        name=TASK,
        priority=number % _PRIORITIES,
        run_at=None,
        delay=0,
        policy=None,
        labels=None,
        attributes=None,
        lane=lane_text(LaneKey(f"tenant-{queue * keys + number % keys}")),
        parent_id=None,
        idempotency_key=None,
        content_hash=None,
        depends_on=(),
        input=_INPUT,
    )


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
    # As a killed server leaves it: the last changes in the write-ahead log only.
    os._exit(0)
