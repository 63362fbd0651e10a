"""WatchService over a real channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quarterdeck.v1 import task_pb2
from quarterdeck.v1 import task_service_pb2 as tasks
from quarterdeck.v1 import watch_service_pb2 as pb
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.rpc import watch

from .api import Api, refused, spec
from .conftest import Server

TASK, QUEUE = pb.RESOURCE_KIND_TASK, pb.RESOURCE_KIND_QUEUE
SNAPSHOT, CREATED, UPDATED = (
    pb.CHANGE_TYPE_SNAPSHOT,
    pb.CHANGE_TYPE_CREATED,
    pb.CHANGE_TYPE_UPDATED,
)
LEFT, DELETED = pb.CHANGE_TYPE_LEFT, pb.CHANGE_TYPE_DELETED


class Watcher:
    """Reads a watch."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.token = ""

    async def response(self) -> pb.WatchResponse:
        """The next response."""
        async with asyncio.timeout(20):
            response = await self.call.read()
        assert isinstance(response, pb.WatchResponse), response
        self.token = response.resume_token or self.token
        return response

    async def snapshot(self) -> list[pb.Change]:
        """The current state, up to its mark."""
        changes: list[pb.Change] = []
        while True:
            response = await self.response()
            changes += response.changes
            if response.snapshot_complete:
                return changes

    async def until(self, enough: Callable[[list[pb.Change]], bool]) -> list[pb.Change]:
        """Changes, until there are enough."""
        changes: list[pb.Change] = []
        while not enough(changes):
            changes += (await self.response()).changes
        return changes


@asynccontextmanager
async def watching(api: Api, **request: Any) -> AsyncIterator[Watcher]:
    """A watch of tasks unless told otherwise."""
    call = api.watches.Watch(pb.WatchRequest(**{"kinds": [TASK], **request}))
    try:
        yield Watcher(call)
    finally:
        call.cancel()


def states(changes: list[pb.Change]) -> list[int]:
    """The states that tasks went through."""
    return [change.task.state for change in changes]


async def run_one(api: Api) -> str:
    """One task from submit to its end: three changes."""
    (task_id,) = await api.submit()
    task = await api.claim_one()
    await api.report(task, succeeded={})
    return task_id


async def test_the_state_comes_first_and_then_every_change_in_order(api: Api) -> None:
    before = await run_one(api)
    async with watching(api) as watcher:
        (snapshot,) = await watcher.snapshot()
        assert (snapshot.type, snapshot.task.id, snapshot.revision) == (SNAPSHOT, before, 0)
        after = await run_one(api)
        changes = await watcher.until(lambda seen: len(seen) == 3)
    assert {change.task.id for change in changes} == {after}
    assert [change.type for change in changes] == [CREATED, UPDATED, UPDATED]
    assert states(changes) == [
        task_pb2.TASK_STATE_READY,
        task_pb2.TASK_STATE_RUNNING,
        task_pb2.TASK_STATE_SUCCEEDED,
    ]
    revisions = [change.revision for change in changes]
    assert revisions == sorted(set(revisions))
    assert changes[-1].task == (await api.get(after)).task


async def test_every_kind_is_watched_by_default(api: Api) -> None:
    await run_one(api)
    async with watching(api, kinds=[]) as watcher:
        kinds = {change.WhichOneof("resource") for change in await watcher.snapshot()}
    assert kinds == {"task", "agent", "queue"}


async def test_a_token_continues_where_the_watch_ended_also_over_a_restart(
    make_server: Callable[..., Server],
) -> None:
    first = await make_server().start()
    api = first.api
    async with watching(api) as watcher:
        await watcher.snapshot()
        seen_before = await run_one(api)
        await watcher.until(lambda seen: len(seen) == 3)
        token = watcher.token
    missed = await run_one(api)
    await first.stop()
    second = await make_server().start()
    try:
        async with watching(second.api, resume_token=token) as watcher:
            changes = await watcher.until(lambda seen: len(seen) == 3)
        assert {change.task.id for change in changes} == {missed} != {seen_before}
    finally:
        await second.stop()


async def test_a_list_and_a_watch_from_its_token_miss_nothing(api: Api) -> None:
    await run_one(api)
    page = await api.tasks.ListTasks(tasks.ListTasksRequest())
    later = await run_one(api)
    async with watching(api, resume_token=page.watch_token) as watcher:
        changes = await watcher.until(lambda seen: len(seen) == 3)
    assert {change.task.id for change in changes} == {later}


async def test_without_a_snapshot_only_what_is_new_is_sent(api: Api) -> None:
    await run_one(api)
    async with watching(api, skip_snapshot=True) as watcher:
        await api.settle()
        task_id = await run_one(api)
        changes = await watcher.until(lambda seen: len(seen) == 3)
    assert {change.task.id for change in changes} == {task_id}


async def test_a_resource_that_stops_to_match_is_sent_once_more(api: Api) -> None:
    async with watching(api, filter="state:ready") as watcher:
        await watcher.snapshot()
        await run_one(api)
        last = await run_one(api)
        changes = await watcher.until(lambda seen: len(seen) == 4)
    assert [change.type for change in changes] == [CREATED, LEFT, CREATED, LEFT]
    assert changes[-1].task.id == last
    assert changes[-1].task.state == task_pb2.TASK_STATE_RUNNING


async def test_what_newly_matches_a_filter_is_new_to_its_watcher(api: Api) -> None:
    async with watching(api, filter="state:succeeded") as watcher:
        await watcher.snapshot()
        task_id = await run_one(api)
        (change,) = await watcher.until(lambda seen: len(seen) == 1)
    assert (change.type, change.task.id) == (CREATED, task_id)


async def test_a_watch_sees_its_own_tenant_only(api: Api) -> None:
    await api.submit(namespace="tenant")
    async with watching(api, namespace="other") as watcher:
        assert await watcher.snapshot() == []
        await api.submit(namespace="tenant")
        (mine,) = await api.submit(namespace="other")
        (change,) = await watcher.until(lambda seen: len(seen) == 1)
    assert change.task.id == mine


async def test_latest_sends_each_resource_once_per_response(api: Api) -> None:
    async with watching(api, mode=pb.WATCH_MODE_LATEST, kinds=[TASK, QUEUE]) as watcher:
        await watcher.snapshot()
        ids = [await run_one(api) for _ in range(30)]
        last: dict[str, int] = {}
        responses = 0
        while set(last) != set(ids) or set(last.values()) != {task_pb2.TASK_STATE_SUCCEEDED}:
            response = await watcher.response()
            responses += 1
            names = [change.task.id or change.queue.name for change in response.changes]
            assert len(names) == len(set(names))
            last |= {c.task.id: c.task.state for c in response.changes if c.task.id}
    assert responses < 30


async def test_a_response_of_mode_latest_is_never_sent_sooner_than_20_a_second(api: Api) -> None:
    loop = asyncio.get_running_loop()
    async with watching(api, mode=pb.WATCH_MODE_LATEST) as watcher:
        await watcher.snapshot()
        times = []
        for _ in range(5):
            await api.submit()
            await watcher.response()
            times.append(loop.time())
    assert times[-1] - times[0] >= 4 * watch.FRAME_SECONDS * 0.9


async def test_a_quiet_watch_is_sent_checkpoints_that_move_its_token(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECKPOINT_SECONDS", 0.05)
    for mode in (pb.WATCH_MODE_EVERY_CHANGE, pb.WATCH_MODE_LATEST):
        async with watching(api, filter="name:nothing", mode=mode) as watcher:
            await watcher.snapshot()
            before = watcher.token
            await api.submit()
            while watcher.token == before:
                response = await watcher.response()
                assert not response.changes


async def test_a_draining_server_ends_watches_with_a_token(server: Server) -> None:
    api = server.api
    calls = [
        api.watches.Watch(pb.WatchRequest(mode=mode, skip_snapshot=True))
        for mode in (pb.WATCH_MODE_EVERY_CHANGE, pb.WATCH_MODE_LATEST)
    ]
    await api.settle()
    server.core.drain()
    for call in calls:
        (response,) = [response async for response in call]
        assert response.closing
        assert response.resume_token


async def test_a_snapshot_that_a_drain_cuts_off_has_no_token(server: Server) -> None:
    api = server.api
    await api.submit()
    server.core.drain()
    responses = [r async for r in api.watches.Watch(pb.WatchRequest(kinds=[TASK]))]
    assert [(r.closing, r.resume_token) for r in responses] == [(True, "")]


async def test_a_watcher_that_falls_behind_is_served_from_the_store(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = server.api
    async with watching(api) as watcher:
        await watcher.snapshot()
        token = watcher.token
    for _ in range(5):
        await run_one(api)
    hub = server.core.hub
    # As after much more: the changes are no longer in memory.
    monkeypatch.setattr(hub, "_base", hub.revision)
    monkeypatch.setattr(hub, "_ring", [])
    async with watching(api, resume_token=token) as watcher:
        changes = await watcher.until(lambda seen: len(seen) == 15)
    assert [change.type for change in changes] == [CREATED, UPDATED, UPDATED] * 5


async def test_what_left_a_filter_while_nobody_watched_is_named_all_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = server.api
    (task_id,) = await api.submit()
    page = await api.tasks.ListTasks(tasks.ListTasksRequest(filter="state:ready"))
    await api.claim_one()
    hub = server.core.hub
    monkeypatch.setattr(hub, "_base", hub.revision)
    monkeypatch.setattr(hub, "_ring", [])
    request = {"filter": "state:ready", "resume_token": page.watch_token}
    async with watching(api, **request) as watcher:
        (change,) = await watcher.until(lambda seen: len(seen) == 1)
    assert change.type == LEFT
    identity = task_pb2.Task(id=task_id, namespace="default", revision=change.task.revision)
    assert change.task == identity


async def test_a_token_of_compacted_changes_has_expired(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = server.api
    page = await api.tasks.ListTasks(tasks.ListTasksRequest())
    await api.submit()

    async def compacted(after: int, limit: int) -> list[Change] | None:
        return None

    monkeypatch.setattr(server.core.hub, "read", compacted)
    call = api.watches.Watch(pb.WatchRequest(resume_token=page.watch_token))
    error = await refused(call.read())
    assert (error.code, error.reason) == (11, "WATCH_TOKEN_EXPIRED")


async def test_a_watch_whose_client_goes_leaves_nothing_behind(server: Server) -> None:
    api = server.api
    async with watching(api) as watcher:
        await watcher.snapshot()
        async with asyncio.timeout(10):
            while not server.core.hub._waiting:
                await api.settle()
    async with asyncio.timeout(10):
        while server.core.hub._waiting:
            await api.settle()


async def test_large_resources_are_sent_in_several_responses(api: Api) -> None:
    labels = {f"{n:03}" + "k" * 100: "v" * 256 for n in range(64)}
    await api.submit(*(spec(labels=labels) for _ in range(400)))
    async with watching(api) as watcher:
        sizes = []
        count = 0
        while True:
            response = await watcher.response()
            sizes.append(response.ByteSize())
            count += len(response.changes)
            if response.snapshot_complete:
                break
    assert count == 400
    assert max(sizes) < 4 * 2**20


async def test_a_filter_that_nothing_matches_is_not_looked_through_more_often(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FRAME_SECONDS", 0.1)
    looks = commits = 0
    read = server.core.hub.read

    async def counted(after: int, limit: int) -> Any:
        nonlocal looks
        looks += 1
        return await read(after, limit)

    monkeypatch.setattr(server.core.hub, "read", counted)
    call = api.watches.Watch(
        pb.WatchRequest(
            mode=pb.WATCH_MODE_LATEST,
            kinds=[pb.RESOURCE_KIND_TASK],
            filter="name:nothing",
            skip_snapshot=True,
        )
    )
    await api.settle()
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 0.6:
        await api.submit()
        commits += 1
    assert looks <= passed / 0.1 + 2 < commits
    call.cancel()
