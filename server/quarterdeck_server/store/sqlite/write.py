"""Writing what became of a World, in a constant number of statements for each kind of row."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from quarterdeck_server.engine.commands import Prune
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.namespaces import settings_text
from quarterdeck_server.engine.timeunits import DAY
from quarterdeck_server.engine.world import World
from quarterdeck_server.store.sqlite.admissions import prune_admissions, write_admissions
from quarterdeck_server.store.sqlite.branches import write_branches
from quarterdeck_server.store.sqlite.bulk import insert_rows, update_rows, write_rows
from quarterdeck_server.store.sqlite.changelog import encode_changes
from quarterdeck_server.store.sqlite.meters import prune_meters, write_meters
from quarterdeck_server.store.sqlite.queries import load_queries

INLINE_LIMIT = 16 * 1024
"""Payloads of this size and more are stored once, by their SHA-256."""

REQUESTS_KEPT = DAY
"""How long the answers of repeatable requests are kept."""

_OF_A_TASK = (
    *("inputs", "results", "details", "attempts", "logs", "log_ends"),
    *("dependencies", "tasks"),
)


def write_world(connection: sqlite3.Connection, world: World) -> None:
    """Write everything that changed. The World must be finished."""
    insert_rows(connection, "tasks", Task._fields, list(world.born.values()))
    after = [world.tasks[task_id] for task_id in world.stored]
    update_rows(connection, "tasks", Task._fields, list(world.stored.values()), after)
    _write_payloads(connection, "insert_inputs", world.inputs)
    if world.replaced_inputs:
        _replace_payloads(connection, "inputs", world.replaced_inputs)
    write_rows(connection, "copy_inputs", list(world.copied_inputs.items()))
    _write_payloads(connection, "insert_results", world.results)
    if world.details:
        _replace_payloads(connection, "details", world.details)
    write_rows(connection, "insert_attempts", world.attempts)
    _write_dependencies(connection, world)
    _write_requests(connection, world)
    if world.dirty_admissions:
        write_admissions(connection, world)
    _write_logs(connection, world)
    _write_fleet(connection, world)
    write_meters(connection, world)
    _write_holds(connection, world)
    write_rows(connection, "put_audit", [world.audit[key] for key in world.dirty_audit])
    write_branches(connection, world)
    write_rows(connection, "insert_changes", encode_changes(world.changes))


def _write_payloads(
    connection: sqlite3.Connection, name: str, payloads: dict[int, Payload]
) -> None:
    rows: list[tuple[int, str, bytes | None, bytes | None]] = []
    blobs: dict[bytes, bytes] = {}
    for task_id, (content_type, data) in payloads.items():
        if len(data) < INLINE_LIMIT:
            rows.append((task_id, content_type, data, None))
        else:
            digest = hashlib.sha256(data).digest()
            blobs[digest] = data
            rows.append((task_id, content_type, None, digest))
    write_rows(connection, "insert_blobs", list(blobs.items()))
    write_rows(connection, name, rows)


def _replace_payloads(
    connection: sqlite3.Connection, kind: str, payloads: dict[int, Payload | None]
) -> None:
    """Replace payloads of tasks, and remove the large ones that nobody refers to any more."""
    queries = load_queries()
    before = json.dumps(list(payloads))
    replaced = connection.execute(queries[f"{kind}_hashes"], (before,)).fetchall()
    saved = {task_id: payload for task_id, payload in payloads.items() if payload is not None}
    _write_payloads(connection, f"put_{kind}", saved)
    removed = json.dumps([task_id for task_id in payloads if task_id not in saved])
    connection.execute(queries[f"prune_{kind}"], (removed,))
    for row in replaced:
        connection.execute(queries["prune_blob"], row)


def _write_dependencies(connection: sqlite3.Connection, world: World) -> None:
    new, met = world.dependencies, world.met
    rows = [(*edge, int(was_met or edge in met)) for edge, was_met in new.items()]
    write_rows(connection, "insert_dependencies", rows)
    write_rows(connection, "meet_dependencies", [edge for edge in met if edge not in new])


def _write_requests(connection: sqlite3.Connection, world: World) -> None:
    write_rows(
        connection,
        "insert_keys",
        [(*key, *holder) for key, holder in world.new_keys.items()],
    )
    write_rows(
        connection,
        "insert_requests",
        [(*key, body, reply, world.now) for key, (body, reply) in world.new_requests.items()],
    )


def _write_logs(connection: sqlite3.Connection, world: World) -> None:
    if not world.logs:
        return
    write_rows(connection, "insert_logs", world.logs)
    ends = [
        (task_id, attempt, sequence, next_offset)
        for task_id, (sequence, offsets) in world.log_ends.items()
        for attempt, next_offset in offsets.items()
    ]
    write_rows(connection, "insert_log_ends", ends)


def _write_fleet(connection: sqlite3.Connection, world: World) -> None:
    write_rows(connection, "put_queues", [world.queues[key][:-1] for key in world.dirty_queues])
    write_rows(connection, "put_counts", _counts(world))
    queries = load_queries()
    # Before the puts: who was removed may come back in the same group.
    for key in world.deleted_agents:
        connection.execute(queries["delete_agent"], key)
    for instance_id in world.deleted_instances:
        connection.execute(queries["delete_instance"], (instance_id,))
    write_rows(connection, "put_agents", [world.agents[key] for key in world.dirty_agents])
    write_rows(connection, "put_schedules", [world.schedules[k] for k in world.dirty_schedules])
    write_rows(connection, "put_instances", [world.instances[i] for i in world.dirty_instances])
    write_rows(connection, "put_pools", [world.pools[key] for key in world.dirty_pools])
    for key in world.deleted_schedules:
        connection.execute(queries["delete_schedule"], key)
    for key in world.deleted_pools:
        connection.execute(queries["delete_pool"], key)


def _write_holds(connection: sqlite3.Connection, world: World) -> None:
    write_rows(connection, "put_holds", [world.holds[key] for key in world.dirty_holds])
    rows = [(name, settings_text(world.namespaces[name])) for name in world.dirty_namespaces]
    write_rows(connection, "put_namespaces", rows)
    for key in world.deleted_holds:
        connection.execute(load_queries()["delete_hold"], key)


def _counts(world: World) -> list[tuple[Any, ...]]:
    """Return the cells of the counters that this group changed, with their new values."""
    rows = []
    for key, deltas in world.deltas.items():
        now = {(name, state): n for name, state, n in world.queues[key].counts}
        rows += [
            (*key, name, state, now.get((name, state), 0))
            for (name, state), step in deltas.items()
            if step
        ]
    return rows


def prune(connection: sqlite3.Connection, world: World, command: Prune) -> int:
    """Remove the pruned tasks with all that belongs to them, and old entries of what else is kept for a time.

    Returns:
        How many were removed of the kind of which most were.
    """
    queries = load_queries()
    if world.pruned:
        ids = json.dumps(world.pruned)
        hashes = connection.execute(queries["prune_hashes"], (ids,)).fetchall()
        for kind in _OF_A_TASK:
            connection.execute(queries[f"prune_{kind}"], (ids,))
        for row in hashes:
            connection.execute(queries["prune_blob"], row)
    requests = connection.execute(
        queries["prune_requests"], (world.now - REQUESTS_KEPT, command.limit)
    )
    oldest = world.revision - command.keep_changes
    changes = connection.execute(
        queries["prune_changes"], (command.changes_before, oldest, command.limit)
    )
    audit = connection.execute(queries["prune_audit"], (command.audit_before, command.limit))
    connection.execute(queries["prune_counts"])
    meters = prune_meters(connection, world, command.limit)
    keys = prune_admissions(connection, world, command.limit)
    fleet = (len(world.deleted_agents), len(world.deleted_instances), meters, keys)
    return max(len(world.pruned), requests.rowcount, changes.rowcount, audit.rowcount, *fleet)
