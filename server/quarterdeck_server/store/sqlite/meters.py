"""The meters of rate limits and back-offs, all in memory: a bucket that is full again needs no row."""

from __future__ import annotations

import sqlite3
from itertools import islice

from quarterdeck_server.engine.flow.meters import Meter, MeterKey, at_rest, stepped_back
from quarterdeck_server.engine.world import World
from quarterdeck_server.store.sqlite.bulk import write_rows
from quarterdeck_server.store.sqlite.queries import load_queries


class StoredMeters:
    """The table as the writing connection committed it; nobody else writes, so it is the truth."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(load_queries()["meters"])
        self._meters = {MeterKey._make(row[:4]): Meter._make(row[4:]) for row in rows}
        # No meter changes without an entry in the log.
        last = connection.execute(load_queries()["last_change_time"]).fetchone()
        self._seen: int = last[0] if last else 0
        """The instant of the last group."""

    def show(self, world: World) -> int:
        """Let a World see them; return how far the wall clock was set back since the last group."""
        world.meters.stored = self._meters
        return stepped_back(self._seen, world.now)

    def committed(self, world: World) -> None:
        """Remember what a group left, and forget what it removed."""
        self._seen = world.now
        self._meters.update(world.meters.changed)
        for key in world.meters.removed:
            self._meters.pop(key, None)


def write_meters(connection: sqlite3.Connection, world: World) -> None:
    """Write the meters that changed."""
    if world.meters.changed:
        rows = [(*key, *meter) for key, meter in world.meters.changed.items()]
        write_rows(connection, "put_meters", rows)


def prune_meters(connection: sqlite3.Connection, world: World, limit: int) -> int:
    """Remove rows of meters at rest, up to a number of them; return how many were removed."""
    meters = world.meters
    resting = (key for key, meter in meters.stored.items() if at_rest(meter, world.now))
    removed = list(islice((key for key in resting if key not in meters.changed), limit))
    world.meters.removed.update(removed)
    delete = load_queries()["delete_meter"]
    for key in removed:
        connection.execute(delete, key)
    return len(removed)
