"""Whatever happened since a list was shown, an act with its token hits the tasks that were on it and no others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from quarterdeck_server.config import Settings
from quarterdeck_server.engine.commands import Cancel, Command, Prune
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.rpc.tokens import read_watch_token, watch_token
from quarterdeck_server.runtime import hub
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.sqlite import SqliteStore

from .api import Api, agents_pb, refused, spec, tasks_pb
from .conftest import Server

FILTERS = (
    "id:*",
    "state:ready",
    "state:running,cancelled name:a",
    "!state:ended",
    "state:failed,succeeded",
    "age<10s state:ready",
    "end_time>now-5s",
)
STEPS = st.lists(
    st.tuples(st.sampled_from("ssccrfkytpy"), st.integers(0, 5)), min_size=1, max_size=14
)


class Desk:
    """A namespace to which things happen, and what acts in it were about."""

    def __init__(self, server: Server, clock: ManualClock, api: Api, namespace: str) -> None:
        self.server, self.clock, self.api = server, clock, api
        self.own = {"namespace": namespace}
        self.ids: list[str] = []
        self.leased: list[Any] = []

    async def step(self, what: str, which: int) -> None:
        """Let one thing happen."""
        chosen = self.ids[which % len(self.ids) :][:2] if self.ids else []
        named = {"task_ids": chosen, **self.own}
        match what:
            case "s":
                specs = (spec(name, retry={"max_attempts": 1}) for name in "ab")
                self.ids += await self.api.submit(*specs, **self.own)
            case "c":
                claimed = await self.api.claim(max_tasks=which or 1, wait={}, **self.own)
                self.leased += claimed.tasks
            case "r" | "f" if self.leased:
                await self.report(self.leased.pop(), failed=what == "f")
            case "k" if chosen:
                await self.api.tasks.CancelTasks(tasks_pb.CancelTasksRequest(**named))
            case "y" if chosen:
                await self.api.tasks.RetryTasks(tasks_pb.RetryTasksRequest(**named))
            case "t":
                self.clock.jump(3 * which)
            case "p":
                later = self.clock.now() + 1
                await self.server.core.execute(Prune(later, later, 0, 1_000_000))

    async def report(self, task: Any, *, failed: bool) -> None:
        """Report an attempt, which may have lost its lease."""
        outcome: Any = {"failed": {"failure": {"type": "E"}}} if failed else {"succeeded": {}}
        report = {"task_id": task.task_id, "lease_token": task.lease_token, **outcome}
        request = agents_pb.ReportRequest(agent_id="agent-1", reports=[report], **self.own)
        await self.api.agents.Report(request)

    async def listed(self, filter: str) -> Any:
        """What an operator sees."""
        request = tasks_pb.ListTasksRequest(filter=filter, order_by="create_time", **self.own)
        return await self.api.tasks.ListTasks(request)

    async def act(self, filter: str, token: str) -> list[str]:
        """Cancel what was listed; return what that was about."""
        hit: list[str] = []
        execute = self.server.core.execute

        async def noted(command: Command) -> Any:
            if isinstance(command, Cancel):
                hit.extend(map(encode_task_id, command.task_ids))
            return await execute(command)

        request = tasks_pb.ActOnTasksRequest(
            filter=filter, max_count=1000, watch_token=token, cancel={}, **self.own
        )
        self.server.core.execute = noted
        try:
            answers = [answer async for answer in self.api.tasks.ActOnTasks(request)]
        finally:
            self.server.core.execute = execute
        assert answers[-1].complete and answers[-1].matched == len(hit)
        assert answers[-1].done + answers[-1].refused == len(hit)
        return hit


@pytest.fixture
def clock() -> ManualClock:
    """The server's."""
    return ManualClock()


@pytest.fixture
async def server(settings: Settings, clock: ManualClock) -> AsyncIterator[Server]:
    """A running server whose wall clock is set by hand."""
    running = Server(settings)
    running.core = Core(settings, SqliteStore(settings.data_dir), clock)
    try:
        yield await running.start()
    finally:
        await running.stop()


_namespaces = count()


@hypothesis.settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(earlier=[("t", 2)], later=[("s", 0), ("t", 5)], filter="age<10s state:ready")
@given(earlier=STEPS, later=STEPS, filter=st.sampled_from(FILTERS))
async def test_an_act_hits_exactly_what_was_listed(
    server: Server,
    api: Api,
    clock: ManualClock,
    earlier: list[tuple[str, int]],
    later: list[tuple[str, int]],
    filter: str,
) -> None:
    desk = Desk(server, clock, api, f"n{next(_namespaces)}")
    for step in [("s", 0), *earlier]:
        await desk.step(*step)
    listed = await desk.listed(filter)
    for step in later:
        await desk.step(*step)
    assert await desk.act(filter, listed.watch_token) == [task.id for task in listed.tasks]


async def test_a_list_that_memory_does_not_reach_back_to_is_too_old(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RING", 4)
    await api.submit()
    listed = await api.tasks.ListTasks(tasks_pb.ListTasksRequest())
    for _ in range(6):
        await api.submit()
    error = await refused(_read_act(api, listed.watch_token))
    assert (error.code, error.reason) == (10, "LIST_TOO_OLD")


async def test_a_list_of_the_last_revision_outlives_a_restart_and_an_older_one_does_not(
    server: Server, api: Api
) -> None:
    await api.submit()
    older = (await api.tasks.ListTasks(tasks_pb.ListTasksRequest())).watch_token
    await api.submit()
    last = (await api.tasks.ListTasks(tasks_pb.ListTasksRequest())).watch_token
    again = Server(server.settings)
    await server.stop()
    try:
        await again.start()
        assert (await refused(_read_act(again.api, older))).reason == "LIST_TOO_OLD"
        (answer,) = await _read_act(again.api, last)
        assert answer.matched == 2
    finally:
        await again.stop()


async def test_a_token_that_is_damaged_of_another_database_or_of_the_future_is_too_old(
    server: Server, api: Api
) -> None:
    await api.submit()
    own = server.core.store.store_id
    for token in (watch_token("another", 1), watch_token(own, 10**9), "x", watch_token(own, 1)[1:]):
        assert (await refused(_read_act(api, token))).reason == "LIST_TOO_OLD"


async def test_a_watch_can_be_acted_on(server: Server, api: Api) -> None:
    # Its tokens have no time of their own.
    await api.submit()
    listed = await api.tasks.ListTasks(tasks_pb.ListTasksRequest())
    position = read_watch_token(listed.watch_token)
    assert position is not None and position.time is not None
    await api.submit()
    token = watch_token(position.store_id, position.revision)
    (answer,) = await _read_act(api, token)
    assert answer.matched == 1


async def _read_act(api: Api, token: str) -> list[Any]:
    request = tasks_pb.ActOnTasksRequest(
        filter="age<1h", max_count=9, watch_token=token, cancel={}, dry_run=True
    )
    return [answer async for answer in api.tasks.ActOnTasks(request)]
