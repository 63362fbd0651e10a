"""One group of commands in one transaction, on the one connection that writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from quarterdeck_server.engine.admission import open_links
from quarterdeck_server.engine.commands import AppendLogs, Command, Prune, Sweep
from quarterdeck_server.engine.counts import finish
from quarterdeck_server.engine.decide import Needs, decide, finished, gather, settle_before
from quarterdeck_server.engine.dependencies import open_edges, settle
from quarterdeck_server.engine.flow.claim import NOBODY, Waiting
from quarterdeck_server.engine.flow.holds import handed_out
from quarterdeck_server.engine.model import Payload, Queue
from quarterdeck_server.engine.states import READY
from quarterdeck_server.engine.world import World
from quarterdeck_server.logs import Log
from quarterdeck_server.store.base import GroupResult, StoreUnavailable
from quarterdeck_server.store.sqlite.handoff import HandOff
from quarterdeck_server.store.sqlite.load import Loader
from quarterdeck_server.store.sqlite.write import prune, write_world

_DISK_ERRORS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)

_log = Log(__name__)

_FEW_CHANGES = 16
_FEW_BYTES = 65_536
_WAITED_FOR = 0.001
"""Seconds: while a COMMIT takes no longer, the loop waits for the next small one itself."""


def is_disk_error(error: BaseException) -> bool:
    """Say whether an error is of the database file, so of no command in particular."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in _DISK_ERRORS


class Writer:
    """Carries out groups, one at a time.

    All but the COMMIT runs on the event loop. A second thread would have to win the interpreter lock back after every
    statement, from a loop that is busy with calls: measured, a group of 250 reports took 2 to 3 times as long there.
    The COMMIT waits for the disk, so it runs apart, on the store's thread, while the loop goes on; but one of few
    changes is waited for while the disk is quick, because changing threads twice takes as long as the disk does.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        new_id: Callable[[int], int],
        new_token: Callable[[], int],
        apart: Callable[
            [Callable[[], None], Callable[[BaseException | None], None]], Awaitable[None]
        ],
    ) -> None:
        self._connection = connection
        self._apart = apart
        self._loader = Loader(connection)
        self._hand_off = HandOff(self._loader)
        self._stale = False
        """What is kept in memory is not what was committed."""
        self._new_id = new_id
        self._new_token = new_token
        self._commit_seconds = 0.0
        """Of the last one."""
        self._revision = connection.execute(
            "SELECT ifnull(max(last_revision), 0) FROM changes"
        ).fetchone()[0]

    async def run(self, commands: Sequence[Command], waiting: Waiting, now: int) -> GroupResult:
        """Carry out a group; a command with an unexpected error fails alone.

        Raises:
            StoreUnavailable: nothing of the group was applied.
        """
        try:
            return await self._transaction(commands, waiting, now)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(commands) == 1 and not waiting.profiles:
                return GroupResult([error], [], [], {}, {}, None)
        return await self._one_by_one(commands, waiting, now)

    async def _one_by_one(
        self, commands: Sequence[Command], waiting: Waiting, now: int
    ) -> GroupResult:
        """Find the command that fails by giving each a transaction of its own; the hand-off comes last."""
        whole = GroupResult([], [], [], {}, {}, None)
        for place, command in enumerate(commands):
            try:
                _add(whole, await self.run([command], NOBODY, now))
            except StoreUnavailable as error:
                if not place:
                    raise
                whole.replies += [error] * (len(commands) - place)
                whole.failure = error
                return whole
        if waiting.profiles:
            try:
                _add(whole, await self._transaction([], waiting, now))
            except Exception as error:
                whole.failure = error
        return whole

    async def _transaction(
        self, commands: Sequence[Command], waiting: Waiting, now: int
    ) -> GroupResult:
        connection = self._connection
        if self._stale:
            self._read_anew()
        world = World(now, self._revision, lambda: self._new_id(now), self._new_token)
        try:
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            result = self._decide_and_write(world, commands, waiting)
            written = connection.total_changes != before
            if not written:
                connection.execute("COMMIT")
        except BaseException as error:
            self._undo(world)
            if is_disk_error(error):
                raise StoreUnavailable(str(error)) from error
            raise
        if not written:
            self._keep(world)
        elif self._commit_seconds <= _WAITED_FOR and _is_small(commands, world):
            self._commit_here(world)
        else:
            await self._apart(self._commit, partial(self._ended, world))
        return result

    def _commit_here(self, world: World) -> None:
        try:
            self._commit()
        except Exception as error:
            self._ended(world, error)
            raise
        self._keep(world)

    def _ended(self, world: World, error: BaseException | None) -> None:
        """Follow what became of a COMMIT, also when nobody waits for its group any more.

        Raises:
            StoreUnavailable: the disk refused it.
        """
        if error is None:
            self._keep(world)
            return
        self._undo(world)
        if is_disk_error(error):
            raise StoreUnavailable(str(error)) from error

    def _keep(self, world: World) -> None:
        """Follow a COMMIT that succeeded. Raises nothing: its group would be carried out a second time."""
        self._revision = world.revision
        try:
            self._loader.committed(world)
            self._hand_off.committed(world)
        except Exception:
            _log.error("what was written is not remembered, and is read anew")
            self._stale = True

    def _read_anew(self) -> None:
        """Forget what is kept in memory, as a restart does.

        Raises:
            StoreUnavailable: the disk refused it.
        """
        try:
            loader = Loader(self._connection)
            self._hand_off = HandOff(loader)
        except sqlite3.Error as error:
            if is_disk_error(error):
                raise StoreUnavailable(str(error)) from error
            raise
        self._loader = loader
        self._stale = False

    def _undo(self, world: World) -> None:
        for claim in world.claims:
            claim.taken.clear()
        self._loader.rolled_back()
        self._hand_off.rolled_back()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _commit(self) -> None:
        started = time.perf_counter()
        try:
            self._connection.execute("COMMIT")
        finally:
            self._commit_seconds = time.perf_counter() - started

    def _decide_and_write(
        self, world: World, commands: Sequence[Command], waiting: Waiting
    ) -> GroupResult:
        needs = gather(commands)
        self._loader.load(world, needs)
        replies: list[Any] = []
        for command in commands:
            if world.just_ended and settle_before(command):
                self._settle(world)
            replies.append(decide(world, command))
        self._settle(world)
        if world.rules and world.attempts:
            self._loader.judge(world)
        if world.deleted_holds:
            self._loader.reopen(world)
        reopen = self._hand_off.run(world, waiting)
        inputs = self._inputs(world)
        self._loader.load_details(world)
        self._loader.load_queues(world, world.deltas)
        self._loader.load_agents(world, world.agent_deltas)
        finish(world)
        write_world(self._connection, world)
        self._answer_last(world, needs, commands, replies)
        ready = {
            key: {} if queue.paused else _ready_names(world, queue)
            for key, queue in world.queues.items()
        }
        return GroupResult(
            replies,
            world.changes,
            world.claims,
            inputs,
            ready,
            world.wake_at,
            world.lapsed,
            reopen,
            world.walk_left or bool(world.new_trees),
        )

    def _answer_last(
        self, world: World, needs: Needs, commands: Sequence[Command], replies: list[Any]
    ) -> None:
        """Give the replies that depend on what the whole group did."""
        if not (needs.prune or needs.sweep or needs.walk or needs.queues or needs.agents):
            return
        removed = 0 if needs.prune is None else prune(self._connection, world, needs.prune)
        wake = self._loader.next_wake() if needs.sweep else None
        for index, command in enumerate(commands):
            if isinstance(command, Sweep):
                replies[index] = wake
            elif isinstance(command, Prune):
                replies[index] = removed
            else:
                replies[index] = finished(world, command, replies[index])

    def _settle(self, world: World) -> None:
        """Follow the ends of tasks to their dependents, level by level."""
        while world.just_ended:
            ended, world.just_ended = world.just_ended, []
            ids = {task.id for task in ended}
            links = open_links(ended)
            if links:
                self._loader.load_links(world, links)
            edges = open_edges(world, ids, self._loader.dependents(world, ended, links))
            if edges or links:
                waiting = {dependent for dependent, _ in edges}
                self._loader.load_tasks(world, waiting)
                self._loader.load_origins(
                    world, [world.tasks[i] for i in waiting if i in world.tasks]
                )
                settle(world, ended, edges)

    def _inputs(self, world: World) -> dict[int, Payload]:
        """Return the inputs of what was handed out."""
        inputs = {i: world.inputs[i] for i in world.claimed if i in world.inputs}
        stored = [i for i in world.claimed if i not in world.born]
        if stored:
            inputs.update(self._loader.inputs(stored))
        if world.replaced_inputs or world.copied_inputs:
            self._loader.edit_inputs(world, inputs)
        return inputs


def _is_small(commands: Sequence[Command], world: World) -> bool:
    """Say whether a group has written little."""
    if len(world.changes) > _FEW_CHANGES:
        return False
    if any(isinstance(command, AppendLogs | Prune) for command in commands):
        return False
    kept = (world.inputs, world.replaced_inputs, world.results, world.details)
    payloads = (payload for payloads in kept for payload in payloads.values())
    return sum(len(payload.data) for payload in payloads if payload is not None) <= _FEW_BYTES


def _ready_names(world: World, queue: Queue) -> dict[str, int]:
    names = {name: n for name, state, n in queue.counts if state == READY}
    return handed_out(world.holds, queue.namespace, names) if world.holds else names


def _add(whole: GroupResult, part: GroupResult) -> None:
    whole.replies += part.replies
    whole.changes += part.changes
    whole.claims += part.claims
    whole.inputs.update(part.inputs)
    whole.ready.update(part.ready)
    whole.lapsed += part.lapsed
    whole.reopen += part.reopen
    whole.walk = whole.walk or part.walk
    if part.wake_at is not None:
        whole.wake_at = min(part.wake_at, whole.wake_at or part.wake_at)
