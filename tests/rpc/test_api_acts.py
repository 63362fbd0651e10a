"""ActOnTasks over a real channel: exactly what was listed is hit, page by page, with one entry in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.v1 import task_pb2
from quarterdeck_server.engine.commands import Cancel, Command, Prune
from quarterdeck_server.rpc import acts
from quarterdeck_server.store.base import StoreUnavailable

from .api import Api, Error, fleet_pb, refused, spec, tasks_pb
from .conftest import Server

CANCELLED = task_pb2.TASK_STATE_CANCELLED
READY = task_pb2.TASK_STATE_READY


async def act(api: Api, filter: str = "id:*", **request: Any) -> list[Any]:
    """All responses of an act, a cancel unless told otherwise."""
    if not request.keys() & {"cancel", "retry", "update", "pause", "resume"}:
        request["cancel"] = {}
    request = {"filter": filter, "max_count": 1000, **request}
    return [answer async for answer in api.tasks.ActOnTasks(tasks_pb.ActOnTasksRequest(**request))]


async def act_refused(api: Api, filter: str = "id:*", **request: Any) -> Error:
    """The error of an act that must be refused."""
    return await refused(act(api, filter, **request))


async def states(api: Api, ids: list[str]) -> list[int]:
    """The states of tasks."""
    return [(await api.get(task_id)).task.state for task_id in ids]


async def entries(api: Api) -> list[Any]:
    """The audit log, the newest first."""
    return list((await api.fleet.ListAuditEntries(fleet_pb.ListAuditEntriesRequest())).entries)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks a page."""
    monkeypatch.setattr(acts, "PAGE", 2)


@pytest.mark.usefixtures("small_pages")
async def test_an_act_goes_page_by_page_and_leaves_one_entry(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(5)), spec(name="other"))
    answers = await act(api, "name:work", actor="ann", reason="wrong input")
    audit_id = answers[0].audit_id
    assert [(a.matched, a.done, a.refused, a.complete) for a in answers] == [
        (5, 0, 0, False),
        (5, 2, 0, False),
        (5, 4, 0, False),
        (5, 5, 0, True),
    ]
    assert {a.audit_id for a in answers} == {audit_id} and audit_id.startswith("audit_")
    assert await states(api, ids) == [CANCELLED] * 5 + [READY]
    (entry,) = await entries(api)
    assert (entry.id, entry.actor, entry.reason) == (audit_id, "ann", "wrong input")
    assert (entry.action, entry.filter, entry.target) == ("CancelTasks", "name:work", "")
    assert (entry.matched, entry.done) == (5, 5)
    cancel = (await api.get(ids[0])).task.cancellation
    assert (cancel.actor, cancel.reason) == ("ann", "wrong input")


async def test_what_matches_nothing_is_complete_at_once(api: Api) -> None:
    (answer,) = await act(api, "name:nobody")
    assert (answer.matched, answer.complete) == (0, True)


async def test_a_dry_run_counts_and_leaves_no_trace(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(3)))
    (answer,) = await act(api, dry_run=True, max_count=1)
    assert (answer.matched, answer.done, answer.complete, answer.audit_id) == (3, 0, True, "")
    assert await states(api, ids) == [READY] * 3
    assert await entries(api) == []


async def test_nothing_is_done_when_more_match_than_was_expected(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(3)))
    error = await act_refused(api, max_count=2)
    assert (error.code, error.reason) == (8, "LIMIT_EXCEEDED")
    assert error.metadata == {"limit": "2", "matched": "3"}
    assert await states(api, ids) == [READY] * 3
    assert await entries(api) == []


async def test_the_dead_letters_are_redriven(api: Api) -> None:
    ids = await api.submit(*(spec(retry={"max_attempts": 1}) for _ in range(3)))
    for task in (await api.claim()).tasks:
        await api.report(task, failed={"failure": {"type": "Boom", "message": "x"}})
    await api.submit()
    answers = await act(api, "state:failed error:Boom", retry={})
    assert (answers[-1].matched, answers[-1].done) == (3, 3)
    assert await states(api, ids) == [READY] * 3
    assert (await entries(api))[0].action == "RetryTasks"


async def test_refusals_are_counted_and_the_first_ten_of_a_page_are_told(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(13)))
    listed = await api.tasks.ListTasks(tasks_pb.ListTasksRequest(filter="state:ready"))
    for task in (await api.claim(max_tasks=12)).tasks[:12]:
        await api.report(task, succeeded={})
    for task in (await api.claim(max_tasks=2, wait={})).tasks:
        await api.report(task, succeeded={})
    answers = await act(api, "state:ready", watch_token=listed.watch_token)
    assert (answers[-1].matched, answers[-1].done, answers[-1].refused) == (13, 0, 13)
    errors = [Error(status) for status in answers[-1].errors]
    assert len(errors) == 10 and {error.reason for error in errors} == {"WRONG_STATE"}
    assert [error.metadata["task_id"] for error in errors] == ids[:10]
    assert (await entries(api))[0].done == 0


async def test_a_count_can_be_acted_on_too(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(2)))
    count = await api.tasks.CountTasks(tasks_pb.CountTasksRequest(filter="state:ready"))
    everything = await api.tasks.CountTasks(tasks_pb.CountTasksRequest())
    await api.submit()
    for token in (count.watch_token, everything.watch_token):
        (answer,) = await act(api, "state:ready", watch_token=token, dry_run=True)
        assert answer.matched == count.total == len(ids)


async def test_a_task_that_is_gone_is_refused(api: Api, server: Server) -> None:
    (task_id,) = await api.submit()
    listed = await api.tasks.ListTasks(tasks_pb.ListTasksRequest())
    await api.report(await api.claim_one(), succeeded={})
    later = server.core.clock.now() + 1_000_000
    await server.core.execute(Prune(later, later, 0, 1_000_000))
    answers = await act(api, "state:ready", watch_token=listed.watch_token)
    (error,) = (Error(status) for status in answers[-1].errors)
    assert (error.reason, error.metadata["task_id"]) == ("TASK_NOT_FOUND", task_id)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"filter": " "}, "filter"),
        ({"max_count": 0}, "max_count"),
        ({"max_count": 1_000_001}, "max_count"),
        ({"actor": "x" * 257}, "actor"),
        ({"reason": "x" * 1025}, "reason"),
        ({"cancel": None}, "act"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, request_: dict[str, Any], field: str) -> None:
    request = {"filter": "id:*", "max_count": 1, "cancel": {}, **request_}
    call = api.tasks.ActOnTasks(tasks_pb.ActOnTasksRequest(**request))
    error = await refused(call.read())
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", [field])


async def test_a_filter_that_cannot_be_is_refused(api: Api) -> None:
    assert (await act_refused(api, "state:redy")).reason == "INVALID_FILTER"
    assert (await act_refused(api, "queue:none")).reason == "QUEUE_NOT_FOUND"


class Interrupted:
    """An act that goes on only until its second page."""

    def __init__(self, server: Server, break_off: Callable[[], Any]) -> None:
        self._execute = server.core.execute
        self._break_off = break_off
        self.pages = 0
        server.core.execute = self.execute

    async def execute(self, command: Command) -> Any:
        """Carry out one page, then let something happen."""
        if not isinstance(command, Cancel):
            return await self._execute(command)
        self.pages += 1
        if self.pages == 2:
            self._break_off()
        return await self._execute(command)


@pytest.mark.usefixtures("small_pages")
async def test_a_page_that_cannot_be_written_ends_the_act_and_what_was_done_stays(
    server: Server, api: Api
) -> None:
    ids = await api.submit(*(spec() for _ in range(5)))

    def break_off() -> None:
        raise StoreUnavailable("the disk is full")

    Interrupted(server, break_off)
    call = api.tasks.ActOnTasks(tasks_pb.ActOnTasksRequest(filter="id:*", max_count=9, cancel={}))
    answers = [await call.read(), await call.read()]
    error = await refused(call.read())
    assert (error.reason, answers[-1].done) == ("STORE_UNAVAILABLE", 2)
    assert error.retry_seconds > 0
    assert "2 of 5 were done" in error.message and answers[0].audit_id in error.message
    assert await states(api, ids) == [CANCELLED] * 2 + [READY] * 3
    (entry,) = await entries(api)
    assert (entry.matched, entry.done) == (5, 2)


@pytest.mark.usefixtures("small_pages")
async def test_a_stopping_server_ends_an_act_between_two_pages(server: Server, api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(5)))
    Interrupted(server, server.core.drain)
    call = api.tasks.ActOnTasks(tasks_pb.ActOnTasksRequest(filter="id:*", max_count=9, cancel={}))
    answers = [await call.read() for _ in range(3)]
    error = await refused(call.read())
    assert (error.reason, answers[-1].done) == ("DRAINING", 4)
    assert await states(api, ids) == [CANCELLED] * 4 + [READY]
    assert [(entry.matched, entry.done) for entry in await entries(api)] == [(5, 4)]


@pytest.mark.usefixtures("small_pages")
async def test_a_caller_that_goes_away_ends_the_act_after_the_page(
    server: Server, api: Api
) -> None:
    ids = await api.submit(*(spec() for _ in range(9)))
    gone, noticed = asyncio.Event(), asyncio.Event()
    execute = server.core.execute
    pages: list[Command] = []

    async def held(command: Command) -> Any:
        if isinstance(command, Cancel):
            pages.append(command)
            if len(pages) == 2:
                gone.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    # What was handed over is carried out.
                    await execute(command)
                    noticed.set()
                    raise
        return await execute(command)

    server.core.execute = held
    call = api.tasks.ActOnTasks(tasks_pb.ActOnTasksRequest(filter="id:*", max_count=9, cancel={}))
    await call.read()
    await gone.wait()
    call.cancel()
    await noticed.wait()
    await api.settle()
    assert len(pages) == 2
    assert await states(api, ids) == [CANCELLED] * 4 + [READY] * 5
    assert [(entry.matched, entry.done) for entry in await entries(api)] == [(9, 4)]


async def test_what_matches_is_changed_paused_and_let_go_on(api: Api) -> None:
    ids = await api.submit(*(spec() for _ in range(3)))
    answers = await act(api, "state:ready", update={"priority": 9})
    assert answers[-1].done == 3 and (await api.get(ids[0])).task.priority == 9
    await api.claim(max_tasks=2)
    assert (await act(api, pause={}))[-1].done == 2
    assert (await act(api, pause={}))[-1].refused == 1, "one does not run"
    paused = [(await api.get(task_id)).task.HasField("pause") for task_id in ids]
    assert sorted(paused) == [False, True, True]
    assert (await act(api, "state:running", resume={}))[-1].done == 2
    actions = [entry.action for entry in await entries(api)]
    assert actions == ["ResumeTasks", "PauseTasks", "PauseTasks", "UpdateTasks"]
