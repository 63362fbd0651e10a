"""How many task names one queue may have.

A name is a kind of work, and whoever handles any name looks at all that a queue has: each costs every claim of it about
12 us. What distinguishes tasks of one kind belongs into their input, labels or group key.
"""

from __future__ import annotations

from quarterdeck_server.engine.commands import Refusal, Submit
from quarterdeck_server.engine.world import World

MOST_NAMES = 1_000
"""Names of the tasks that a queue keeps, ended ones included."""


def crowded(world: World, command: Submit) -> set[str]:
    """Return the queues of new tasks whose names must be looked at: all together might be too many."""
    rows, deltas, namespace = world.queues, world.deltas, command.namespace
    found = set()
    for queue in {spec.queue for spec in command.specs}:
        row, added = rows.get((namespace, queue)), deltas.get((namespace, queue))
        cells = (len(row.counts) if row else 0) + (len(added) if added else 0)
        if cells + len(command.specs) > MOST_NAMES:
            found.add(queue)
    return found


def one_too_many(world: World, namespace: str, queue: str, name: str) -> Refusal | None:
    """Refuse a task whose name would be one more than its queue, which is loaded where it exists, may have."""
    key = (namespace, queue)
    row, added = world.queues.get(key), world.deltas.get(key)
    cells = (len(row.counts) if row else 0) + (len(added) if added else 0)
    if cells < MOST_NAMES:
        return None
    names = world.names.get(key)
    if names is None:
        names = world.names[key] = {cell[0] for cell in row.counts} if row else set()
        names.update(cell[0] for cell in added or ())
    if name in names:
        return None
    if len(names) < MOST_NAMES:
        names.add(name)
        return None
    return Refusal(
        "LIMIT_EXCEEDED",
        f"queue {queue} keeps tasks of {MOST_NAMES:,} names and {name!r} would be one more; put what varies into the "
        "input, the labels or the group key, or use other queues",
        (("limit", str(MOST_NAMES)), ("queue", queue)),
    )
