"""What the methods of both clients stand on: how a call is made and waited for.

The methods of the blocking client are generated from those of the asynchronous one
(`make client`), so that they cannot differ; only this differs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from quarterdeck._act import Act, AsyncAct
from quarterdeck._calls import Call, Page
from quarterdeck._core import Core
from quarterdeck._errors import ApiError
from quarterdeck._operating import Outcome, Rerun
from quarterdeck._watch import AsyncWatch, Watch
from quarterdeck.v1.task_service_pb2 import ActOnTasksRequest
from quarterdeck.v1.watch_service_pb2 import WatchRequest

T = TypeVar("T")

Ids = list[str] | tuple[str, ...]
"""Ids of many tasks. No Sequence: a text is one of texts."""

PAGE = 500
"""Items of one page of a list."""


class Methods:
    """Calls are made by the control thread while the caller's thread waits."""

    _core: Core
    _namespace: str

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._core.control.run(work)

    def _do(self, call: Call[T]) -> T:
        return self._core.control.run(self._core.do(call))

    def _pages(self, page: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        token = ""
        while True:
            got = self._do(page(token))
            yield from got.items
            token = got.next_token
            if not token:
                return

    def _act(self, request: ActOnTasksRequest) -> Act:
        return Act(self._core, request)

    def _watch(self, request: WatchRequest) -> Watch:
        return Watch(self._core, request)


class AsyncMethods:
    """Calls are made by the control thread while the caller's task waits."""

    _core: Core
    _namespace: str

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._core.control.call(work)

    async def _do(self, call: Call[T]) -> T:
        return await self._core.control.call(self._core.do(call))

    async def _pages(self, page: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            got = await self._do(page(token))
            for item in got.items:
                yield item
            token = got.next_token
            if not token:
                return

    def _act(self, request: ActOnTasksRequest) -> AsyncAct:
        return AsyncAct(self._core, request)

    def _watch(self, request: WatchRequest) -> AsyncWatch:
        return AsyncWatch(self._core, request)


def ids(task_ids: str | Ids) -> Ids:
    """One id or many as many."""
    return [task_ids] if isinstance(task_ids, str) else task_ids


def rerun_of(task_ids: str | Ids, reruns: Sequence[Rerun]) -> Rerun | Sequence[Rerun]:
    """What became of one task that was to be run again, or of each of many.

    Raises:
        ApiError: The one task was refused.
    """
    if not isinstance(task_ids, str):
        return reruns
    if reruns[0].error is not None:
        raise reruns[0].error
    return reruns[0]


def outcome(task_ids: str | Ids, states: Sequence[str | ApiError]) -> str | Sequence[Outcome]:
    """What became of one task, or of each of many.

    Raises:
        ApiError: The one task was refused.
    """
    if isinstance(task_ids, str):
        if isinstance(states[0], ApiError):
            raise states[0]
        return states[0]
    return [
        Outcome(task_id, "", state) if isinstance(state, ApiError) else Outcome(task_id, state)
        for task_id, state in zip(task_ids, states, strict=True)
    ]
