"""WatchService: the current state, then every change.

A watcher is a position in the change log and nothing more: it pulls what comes after from the hub,
and a slow one falls behind in the log instead of filling memory. `grpc.aio` cancels the handler
when its client goes; the cancellation is passed on, because swallowing it leaks memory in grpc
(https://github.com/grpc/grpc/issues/43360).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from quarterdeck.v1 import watch_service_pb2 as pb
from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.filters import (
    AGENT_FIELDS,
    QUEUE_FIELDS,
    SCHEDULE_FIELDS,
    TASK_FIELDS,
    Filter,
    Predicate,
    compile_predicate,
)
from quarterdeck_server.rpc import frames, tokens, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError, Violation
from quarterdeck_server.rpc.filters import parse_filter
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.options import MAX_CONNECTION_AGE
from quarterdeck_server.rpc.snapshots import snapshot
from quarterdeck_server.rpc.validate import Violations

CHECKPOINT_SECONDS = 10.0
FRAME_SECONDS = 0.05
"""Between two responses of mode LATEST."""
BATCH = 1000
"""Changes read at once."""
FRAME_RESOURCES = 5000
"""Resources in one response of mode LATEST; one that has more is sent in several."""
_AGE_SHARE = (0.75, 0.9)
"""Of the age of a connection, at which a watch ends itself, so that it ends with a token and not
with an error."""

_ALL_KINDS: Final = (
    log.HOLD,
    log.QUEUE,
    log.AGENT,
    log.SCHEDULE,
    log.POOL,
    log.INSTANCE,
    log.TASK,
)
_TABLES: Final = {
    log.TASK: TASK_FIELDS,
    log.AGENT: AGENT_FIELDS,
    log.QUEUE: QUEUE_FIELDS,
    log.SCHEDULE: SCHEDULE_FIELDS,
}


class Scope(NamedTuple):
    """What a watch is about."""

    namespace: str
    kinds: tuple[int, ...]
    filter: Filter | None
    matches: Predicate | None


class WatchService:
    """Answers watchers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def watch(self, request: pb.WatchRequest, context: Context) -> None:
        """Stream the current state and changes."""
        scope = _read_scope(request)
        stream = _Stream(self._core, scope, context.write)
        position = await self._start(request)
        if position is None:
            position = await stream.send_snapshot()
        if position is None:
            return
        if request.mode == pb.WATCH_MODE_LATEST:
            await stream.latest(position)
        else:
            await stream.every_change(position)

    async def _start(self, request: pb.WatchRequest) -> int | None:
        """The revision after which changes are sent; None when the current state comes first.

        Raises:
            ApiError: WATCH_TOKEN_EXPIRED.
        """
        core = self._core
        if not request.resume_token:
            return core.hub.revision if request.skip_snapshot else None
        position = tokens.read_watch_token(request.resume_token)
        if position is None or position.store_id != core.store.store_id:
            raise _expired()
        # A list may have seen a commit that the hub has yet to publish.
        if (
            position.revision > core.hub.revision
            and position.revision > await core.store.revision()
        ):
            raise _expired()
        return position.revision


class _Stream:
    """One watch while it runs."""

    def __init__(self, core: Core, scope: Scope, write: Callable[[bytes], Any]) -> None:
        self._core = core
        self._scope = scope
        self._write = write
        self._monotonic = core.clock.monotonic
        self._sent = self._monotonic()
        self._ends = self._sent + MAX_CONNECTION_AGE * random.uniform(*_AGE_SHARE)

    async def send_snapshot(self) -> int | None:
        """Send the current state; return the revision from which to go on, None when the watch
        is over."""
        start = self._core.hub.revision
        scope = self._scope
        async for pieces in snapshot(self._core, scope.namespace, scope.kinds, scope.filter):
            if self._over:
                # Without a token: half a state cannot be continued.
                await self._write(frames.response([], "", closing=True))
                return None
            await self._write(frames.response(pieces, ""))
        await self._write(frames.response([], self._token(start), snapshot_complete=True))
        self._sent = self._monotonic()
        return start

    async def every_change(self, position: int) -> None:
        """Send each change once and in order."""
        while not self._over:
            changes = await self._next(position)
            pieces, size = [], 0
            for change in changes:
                change_type = self._type_of(change, change)
                if change_type:
                    piece = frames.change_piece(change, change_type)
                    pieces.append(piece)
                    size += len(piece)
                position = change.revision
                if size > validate.MAX_ANSWER:
                    await self._send(pieces, position)
                    pieces, size = [], 0
            await self._send(pieces, position)
        await self._close(position)

    async def latest(self, position: int) -> None:
        """Send the latest version of each resource that changed, at most 20 times a second.

        Nor are changes looked at more often, though none may match the filter.
        """
        looked = self._sent
        while not self._over:
            if self._core.hub.revision <= position:
                await self._core.hub.wait(position, CHECKPOINT_SECONDS)
            pause = looked + FRAME_SECONDS - self._monotonic()
            if pause > 0 and not self._core.hub.closing:
                await asyncio.sleep(pause)
            looked = self._monotonic()
            pieces, position = await self._frame(position)
            await self._send(pieces, position)
        await self._close(position)

    async def _frame(self, position: int) -> tuple[list[bytes], int]:
        """Everything new, each resource once; and the position after it."""
        spans: dict[tuple[int, tuple[str, Any]], tuple[Change, Change]] = {}
        while position < self._core.hub.revision and len(spans) < FRAME_RESOURCES:
            for change in await self._read(position):
                position = change.revision
                if not self._concerns(change):
                    continue
                key = (change.kind, frames.identity(change.kind, change.row))
                first = spans.pop(key, (change, change))[0]
                spans[key] = (first, change)
        pieces, size = [], 0
        for first, last in spans.values():
            change_type = self._type_of(first, last)
            if change_type:
                pieces.append(frames.change_piece(last, change_type))
                size += len(pieces[-1])
                if size > validate.MAX_ANSWER:
                    await self._write(frames.response(pieces, ""))
                    pieces, size = [], 0
        return pieces, position

    def _concerns(self, change: Change) -> bool:
        return change.kind in self._scope.kinds and change.row.namespace == self._scope.namespace

    def _type_of(self, first: Change, last: Change) -> int:
        """What the watcher is to be told of a resource that changed from before `first` to
        `last`; 0 for nothing."""
        if not self._concerns(last):
            return 0
        if first.op == log.CREATED and last.op == log.DELETED:
            return 0
        matches = self._scope.matches
        if matches is None:
            return log.CREATED if first.op == log.CREATED else last.op
        now = self._core.clock.now()
        # Unknown when the change was read from the log, which does not keep what was before.
        before: bool | None = None
        if first.op == log.CREATED:
            before = False
        elif first.before is not None:
            before = matches(first.before, now)
        if last.op == log.DELETED:
            return 0 if before is False else log.DELETED
        if matches(last.row, now):
            return log.CREATED if before is False else log.UPDATED
        return 0 if before is False else frames.LEFT

    async def _next(self, position: int) -> list[Change]:
        """The next changes; none when it is time for a checkpoint, or to end."""
        hub = self._core.hub
        if hub.revision <= position:
            await hub.wait(position, max(0.0, self._sent + CHECKPOINT_SECONDS - self._monotonic()))
        return await self._read(position) if hub.revision > position else []

    async def _read(self, position: int) -> list[Change]:
        changes = await self._core.hub.read(position, BATCH)
        if changes is None:
            raise _expired()
        return changes

    async def _send(self, pieces: list[bytes], position: int) -> None:
        """Send changes, or a checkpoint when nothing was sent for long."""
        now = self._monotonic()
        if pieces or now - self._sent >= CHECKPOINT_SECONDS:
            self._sent = now
            await self._write(frames.response(pieces, self._token(position)))

    async def _close(self, position: int) -> None:
        await self._write(frames.response([], self._token(position), closing=True))

    @property
    def _over(self) -> bool:
        return self._core.hub.closing or self._monotonic() >= self._ends

    def _token(self, position: int) -> str:
        return tokens.watch_token(self._core.store.store_id, position)


def _read_scope(request: pb.WatchRequest) -> Scope:
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    wanted = set(request.kinds)
    if not wanted <= set(_ALL_KINDS):
        out.append(Violation("kinds", "expected values of ResourceKind"))
    if request.mode not in pb.WatchMode.values():
        out.append(Violation("mode", "expected a value of WatchMode"))
    if request.filter.strip() and len(wanted) != 1:
        out.append(Violation("filter", "expected together with exactly one kind"))
    elif request.filter.strip() and not wanted <= _TABLES.keys():
        out.append(Violation("filter", "holds, instances and pools cannot be filtered"))
    validate.refuse(out)
    kinds = tuple(kind for kind in _ALL_KINDS if not wanted or kind in wanted)
    found = parse_filter(request.filter, _TABLES[kinds[0]]) if request.filter.strip() else None
    return Scope(namespace, kinds, found, None if found is None else compile_predicate(found))


def _expired() -> ApiError:
    message = (
        "the resume token is damaged, of another database, or older than the kept changes; "
        "watch again without a token"
    )
    return ApiError(Refusal("WATCH_TOKEN_EXPIRED", message))
