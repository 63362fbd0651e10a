"""Unique, debounce and throttle keys, and what their chains ask for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Any

from quarterdeck_server.engine.admission import note_links
from quarterdeck_server.engine.model import Admission, AdmissionKey
from quarterdeck_server.engine.world import World
from quarterdeck_server.store.sqlite.bulk import write_rows
from quarterdeck_server.store.sqlite.queries import load_queries

_Read = Callable[[str, Iterable[Any]], list[Any]]
"""Of a named query, and keys."""

_KEY = len(AdmissionKey._fields)


def load_admissions(read: _Read, world: World, keys: Collection[AdmissionKey]) -> list[int]:
    """Load who has keys; return the tasks."""
    found = []
    for row in read("admissions_by_key", keys):
        admission = Admission._make(row[_KEY:])
        world.admissions[AdmissionKey._make(row[:_KEY])] = admission
        found.append(admission.task_id)
    return found


def load_links(read: _Read, world: World, links: Collection[int]) -> list[int]:
    """Load what tasks that ended in a chain waited for, and the keys that they have; return the tasks."""
    note_links(world, links, read("unmet_dependencies", links))
    for row in read("admissions_by_task", links):
        key = AdmissionKey._make(row[:_KEY])
        if key not in world.dirty_admissions:
            world.admissions[key] = Admission._make(row[_KEY:])
    return [world.links[task_id] for task_id in links if task_id in world.links]


def write_admissions(connection: sqlite3.Connection, world: World) -> None:
    """Write the keys that changed hands."""
    rows = [(*key, *world.admissions[key]) for key in world.dirty_admissions]
    write_rows(connection, "put_admissions", rows)


def prune_admissions(connection: sqlite3.Connection, world: World, limit: int) -> int:
    """Remove the keys of pruned tasks that mean nothing without them, and expired ones of both sorts.

    Returns:
        How many were removed of the sort of which most were.
    """
    queries = load_queries()
    if world.pruned:
        pruned = (json.dumps(world.pruned), world.now)
        connection.execute(queries["prune_keys"], pruned)
        connection.execute(queries["prune_admissions"], pruned)
    expired = (world.now, limit)
    keys = connection.execute(queries["prune_expired_keys"], expired)
    admissions = connection.execute(queries["prune_expired_admissions"], expired)
    return max(keys.rowcount, admissions.rowcount)
