"""Where what is too large for one group goes on: the branches of cancelled trees, and dependents of ended tasks."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from quarterdeck_server.engine.branches import (
    DEPENDENTS,
    SETTLED_AT_ONCE,
    Branch,
    dependents_branch,
)
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import ENDED
from quarterdeck_server.engine.world import World
from quarterdeck_server.store.sqlite.bulk import write_rows
from quarterdeck_server.store.sqlite.queries import load_queries

_BRANCHES = 100
"""Branches that are walked in one step, at most, beside those that it finds."""

_Edge = tuple[int, int]
_Rows = Callable[..., list[Any]]
"""Of a named query, with its parameters."""


def load_branches(
    rows: _Rows, load_tasks: Callable[[World, Iterable[int]], None], world: World, limit: int
) -> None:
    """Load the dependents and children that come next, and find the branches below these."""
    left = deque(map(Branch._make, rows("branches_left", _BRANCHES)))
    world.walk_left = len(left) == _BRANCHES
    while left and limit > 0:
        branch = left.popleft()
        if branch.root_id == DEPENDENTS:
            known, looked_at = _load_dependents(rows, load_tasks, world, branch, limit)
        else:
            known, looked_at = _load_children(rows, world, branch, limit, left)
        world.branches[branch.root_id, branch.task_id] = known
        limit -= looked_at or 1
        if not known.done:
            left.append(known)
    world.walk_left = world.walk_left or bool(left)


def _load_dependents(
    rows: _Rows,
    load_tasks: Callable[[World, Iterable[int]], None],
    world: World,
    branch: Branch,
    limit: int,
) -> tuple[Branch, int]:
    load_tasks(world, [branch.task_id])
    ended = world.tasks.get(branch.task_id)
    if ended is None or ended.state not in ENDED:
        return branch._replace(done=1), 0
    edges = rows("dependents_after", branch.task_id, branch.after, limit)
    load_tasks(world, [dependent for dependent, _ in edges])
    world.unsettled.append((branch.task_id, edges))
    world.settled += len(edges)
    after = edges[-1][0] if edges else branch.after
    return branch._replace(after=after, done=int(len(edges) < limit)), len(edges)


def _load_children(
    rows: _Rows, world: World, branch: Branch, limit: int, left: deque[Branch]
) -> tuple[Branch, int]:
    children = rows("children_after", branch.task_id, branch.namespace, branch.after, limit)
    ids = [row[0] for row in children]
    world.tasks.update((row[0], Task._make(row)) for row in children)
    world.walked.append((branch, ids))
    for (task_id,) in rows("parents_among", json.dumps(ids)):
        key = (branch.root_id, task_id)
        if key not in world.branches and not rows("branch_known", *key):
            found = branch._replace(task_id=task_id, after=-1)
            world.branches[key] = found
            left.append(found)
    after = ids[-1] if ids else branch.after
    return branch._replace(after=after, done=int(len(ids) < limit)), len(ids)


def load_dependents(
    rows: _Rows, world: World, ended: Sequence[Task], links: Collection[int]
) -> list[_Edge]:
    """Return stored (dependent, dependency) pairs of ended tasks, in order: those that this group settles.

    Of tasks that have more than fit into it a branch is left behind. Those of `links`, which ended while they waited in
    a chain, are settled whole: what came after them in it must have its new place before anything else happens.
    """
    room = max(0, SETTLED_AT_ONCE - world.settled)
    edges = rows("dependents", json.dumps([task.id for task in ended]), room + 1)
    if len(edges) > room:
        edges = _portion(rows, world, ended, links, room)
    world.settled += len(edges)
    return sorted(edges)


def _portion(
    rows: _Rows, world: World, ended: Sequence[Task], links: Collection[int], room: int
) -> list[_Edge]:
    edges: list[_Edge] = []
    for task in ended:
        if task.id in links:
            edges += rows("dependents_after", task.id, -1, -1)
            continue
        limit = max(0, room - len(edges))
        found = rows("dependents_after", task.id, -1, limit + 1)
        edges += found[:limit]
        if len(found) > limit:
            after = found[limit - 1][0] if limit else -1
            branch = dependents_branch(task.id, task.namespace, after)
            world.branches[DEPENDENTS, task.id] = branch
            world.walk_left = True
    return edges


def write_branches(connection: sqlite3.Connection, world: World) -> None:
    """Write how far the branches are; a tree that was walked is forgotten, and so is a task without dependents left."""
    queries = load_queries()
    if world.branches:
        settled = [b for b in world.branches.values() if b.done and b.root_id == DEPENDENTS]
        write_rows(connection, "put_branches", list(world.branches.values()))
        for branch in settled:
            connection.execute(queries["delete_branch"], branch[:2])
        for root_id in {root_id for root_id, _ in world.branches} - {DEPENDENTS}:
            connection.execute(queries["delete_walked_tree"], (root_id,))
    # A tree that is cancelled again is walked again.
    for root_id in world.new_trees:
        connection.execute(queries["delete_tree"], (root_id,))
    write_rows(connection, "put_branches", list(world.new_trees.values()))
