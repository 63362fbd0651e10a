"""The pretended server's watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from tests.console.calls import Calls
from tests.console.speech import abort, matches

from quarterdeck.v1 import watch_service_pb2

FRAME = 0.05
"""Seconds between two answers of a watch."""

KINDS = {
    "task": watch_service_pb2.RESOURCE_KIND_TASK,
    "agent": watch_service_pb2.RESOURCE_KIND_AGENT,
    "queue": watch_service_pb2.RESOURCE_KIND_QUEUE,
    "schedule": watch_service_pb2.RESOURCE_KIND_SCHEDULE,
    "instance": watch_service_pb2.RESOURCE_KIND_INSTANCE,
    "pool": watch_service_pb2.RESOURCE_KIND_POOL,
    "hold": watch_service_pb2.RESOURCE_KIND_HOLD,
}


class Watcher:
    """One open watch: what changed since its last answer."""

    def __init__(self, kinds: set[int], terms: list[tuple[str, tuple[str, ...]]]) -> None:
        self.kinds = kinds
        self.terms = terms
        self.dirty: dict[tuple[str, str], int] = {}
        self.wake = asyncio.Event()
        self.seen: set[tuple[str, str]] = set()


class WatchCalls(Calls):
    """The RPC of WatchService."""

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note("Watch", request)
        fleet = self._fleet
        terms = await self._terms(request.filter, context)
        watcher = Watcher(set(request.kinds) or set(KINDS.values()), terms)
        kinds = [kind for kind, number in KINDS.items() if number in watcher.kinds]
        if request.resume_token:
            if fleet.expire_tokens:
                fleet.expire_tokens -= 1
                await abort(context, grpc.StatusCode.OUT_OF_RANGE, "WATCH_TOKEN_EXPIRED", "too old")
            since = int(request.resume_token[1:])
            for key, revision in fleet.changed_at.items():
                if revision > since and key[0] in kinds:
                    watcher.dirty[key] = revision
                    watcher.wake.set()
            watcher.seen = {(kind, key) for kind in kinds for key in fleet.items[kind]}
        fleet.watchers.add(watcher)
        try:
            if not request.resume_token:
                yield self._snapshot(watcher, kinds)
            while True:
                await watcher.wake.wait()
                watcher.wake.clear()
                dirty, watcher.dirty = watcher.dirty, {}
                answer = self._answer(watcher, dirty)
                if answer.changes:
                    yield answer
                await asyncio.sleep(FRAME)
        finally:
            fleet.watchers.discard(watcher)
            fleet.left.set()

    def _snapshot(self, watcher: Watcher, kinds: list[str]) -> Any:
        answer = watch_service_pb2.WatchResponse(
            snapshot_complete=True, resume_token=f"r{self._fleet.revision}"
        )
        for kind in kinds:
            for key, item in self._fleet.items[kind].items():
                if matches(kind, item, watcher.terms):
                    watcher.seen.add((kind, key))
                    change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_SNAPSHOT)
                    getattr(change, kind).CopyFrom(item)
        return answer

    def _answer(self, watcher: Watcher, dirty: dict[tuple[str, str], int]) -> Any:
        answer = watch_service_pb2.WatchResponse(resume_token=f"r{self._fleet.revision}")
        for (kind, key), revision in dirty.items():
            item = self._fleet.items[kind].get(key)
            seen = (kind, key) in watcher.seen
            if item is None:
                if not seen:
                    continue
                change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_DELETED)
                _identify(change, kind, key)
                watcher.seen.discard((kind, key))
            elif matches(kind, item, watcher.terms):
                kind_of_change = (
                    watch_service_pb2.CHANGE_TYPE_UPDATED
                    if seen
                    else watch_service_pb2.CHANGE_TYPE_CREATED
                )
                change = answer.changes.add(type=kind_of_change)
                getattr(change, kind).CopyFrom(item)
                watcher.seen.add((kind, key))
            elif seen:
                change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_LEFT)
                getattr(change, kind).CopyFrom(item)
                watcher.seen.discard((kind, key))
            else:
                continue
            change.revision = revision
        return answer


def _identify(change: Any, kind: str, key: str) -> None:
    if kind == "agent":
        change.agent.info.agent_id = key
    elif kind == "hold":
        number, _, change.hold.subject = key.partition(":")
        change.hold.kind = int(number)
    elif kind in ("queue", "pool"):
        getattr(change, kind).name = key
    else:
        getattr(change, kind).id = key
