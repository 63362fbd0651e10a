"""A data directory with a history, written by the store's own code but without a server or agents:
`python -m quarterdeck_server.bench.history DIR FINISHED READY QUEUE` prints the id of a finished task.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path

from quarterdeck_server.bench.jobs import NAMESPACE, TASK
from quarterdeck_server.engine.commands import Spec
from quarterdeck_server.engine.counts import finish
from quarterdeck_server.engine.ids import IdSource, encode_task_id
from quarterdeck_server.engine.model import Attempt, Payload, Task
from quarterdeck_server.engine.states import SUCCEEDED, Outcome
from quarterdeck_server.engine.submit import create
from quarterdeck_server.engine.world import World
from quarterdeck_server.store.sqlite.files import DataDirectory, connect
from quarterdeck_server.store.sqlite.load import Loader
from quarterdeck_server.store.sqlite.write import write_world

_GROUP = 5_000
_PRIORITY = 5
_TOKEN = 1
_INPUT = Payload(
    "application/json", b'"a question of the usual size, with a name or two, and a link"'
)
_RESULT = Payload(
    "application/json", b'"an answer, not much longer than the question that it answers"'
)


class History:
    """Writes tasks, group by group, as a server would have left them."""

    def __init__(self, connection: sqlite3.Connection, queue: str) -> None:
        self._connection = connection
        self._loader = Loader(connection)
        self._ids = IdSource(0)
        self._revision = 0
        nothing = (None,) * 7
        self._spec = Spec(queue, TASK, _PRIORITY, None, 0, *nothing, (), _INPUT)
        self.last_id = 0

    def write(self, tasks: int, *, finished: bool) -> None:
        """Add tasks, all finished or all ready."""
        for start in range(0, tasks, _GROUP):
            self._group(min(_GROUP, tasks - start), finished)

    def _group(self, tasks: int, finished: bool) -> None:
        now = time.time_ns() // 1000
        world = World(now, self._revision, lambda: self._ids.next(now), lambda: _TOKEN)
        self._connection.execute("BEGIN IMMEDIATE")
        for _ in range(tasks):
            task = create(world, NAMESPACE, self._spec)
            if finished:
                self._finish(world, task)
            self.last_id = task.id
        self._loader.load_queues(world, world.deltas)
        finish(world)
        write_world(self._connection, world)
        self._connection.execute("COMMIT")
        self._revision = world.revision

    def _finish(self, world: World, task: Task) -> None:
        now = world.now
        world.put(task._replace(state=SUCCEEDED, attempt=1, claim_time=now, end_time=now))
        world.results[task.id] = _RESULT
        outcome = int(Outcome.SUCCEEDED)
        world.attempts.append(
            Attempt(task.id, 1, "agent", _TOKEN, now, now, outcome, None, None, None, 0, 0)
        )


def main(folder: Path, finished: int, ready: int, queue: str) -> None:
    """Write a history, and leave it as a killed server does: the last changes in the write-ahead log only."""
    directory = DataDirectory(folder)
    directory.lock()
    history = History(connect(directory.database), queue)
    history.write(finished, finished=True)
    finished_id = encode_task_id(history.last_id)
    history.write(ready, finished=False)
    sys.stdout.write(finished_id + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
