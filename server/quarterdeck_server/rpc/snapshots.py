"""The current state, page by page: short reads, so that a large fleet neither holds a
transaction nor fills memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.filters import Filter
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.frames import snapshot_piece
from quarterdeck_server.store.base import Page, Store

PAGE: Final = 500

_Read = Callable[["list[Any] | None"], Awaitable[Page[Any]]]


async def snapshot(
    core: Core, namespace: str, kinds: Iterable[int], filter: Filter | None
) -> AsyncIterator[list[bytes]]:
    """The resources of these kinds as pieces of a WatchResponse, so many at a time as one
    response takes."""
    for kind in kinds:
        async for rows in _rows(core, namespace, kind, filter):
            pieces, size = [], 0
            for row in rows:
                piece = snapshot_piece(kind, row)
                pieces.append(piece)
                size += len(piece)
                if size > validate.MAX_ANSWER:
                    yield pieces
                    pieces, size = [], 0
            if pieces:
                yield pieces


async def _rows(
    core: Core, namespace: str, kind: int, filter: Filter | None
) -> AsyncIterator[list[Any]]:
    if kind == log.POOL:
        yield list(await core.store.list_pools(namespace))
    elif kind == log.INSTANCE:
        yield list(await core.store.list_instances(namespace))
    else:
        read = _reader(core.store, namespace, kind, filter, core.clock.now())
        after: list[Any] | None = None
        while True:
            page = await read(after)
            yield page.rows
            after = page.next_key
            if after is None:
                return


def _reader(store: Store, namespace: str, kind: int, filter: Filter | None, now: int) -> _Read:
    if kind == log.TASK:
        return lambda after: store.list_tasks(
            namespace, filter, "create_time", True, PAGE, after, now
        )
    if kind == log.HOLD:
        return lambda after: store.list_holds(namespace, PAGE, after)
    lists: dict[int, Any] = {
        log.AGENT: store.list_agents,
        log.QUEUE: store.list_queues,
        log.SCHEDULE: store.list_schedules,
    }
    read = lists[kind]
    return lambda after: read(namespace, filter, PAGE, after, now)
