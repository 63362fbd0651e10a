"""Acts that end, break off or are refused, against a server in memory."""

from __future__ import annotations

import grpc
import pytest

import quarterdeck
from quarterdeck import AsyncClient
from quarterdeck.v1.task_service_pb2 import ActOnTasksResponse

from .fake import FakeServer, refusal


async def test_an_act_does_nothing_before_it_is_iterated(fake: FakeServer) -> None:
    fake.act_pages = [ActOnTasksResponse(matched=1, done=1, complete=True, audit_id="1")]
    async with AsyncClient(fake.address) as client:
        act = client.act("id:*", "cancel", max_count=1)
        assert (fake.acts, act.progress) == ([], None)
        assert (await act.finish()).audit_id == "1"
    assert len(fake.acts) == 1


async def test_an_act_that_breaks_off_is_not_repeated(fake: FakeServer) -> None:
    fake.act_pages = [ActOnTasksResponse(matched=9, done=5)]
    fake.failures["ActOnTasks"] = [(grpc.StatusCode.UNAVAILABLE, "away")]
    async with AsyncClient(fake.address) as client:
        act = client.act("id:*", "retry", max_count=9)
        with pytest.raises(quarterdeck.UnavailableError):
            await act.finish()
        assert act.progress is not None
        assert (act.progress.done, act.progress.complete) == (5, False)
        assert [progress async for progress in act] == []
    assert len(fake.acts) == 1


async def test_an_act_without_an_end_has_broken_off(fake: FakeServer) -> None:
    fake.act_pages = [ActOnTasksResponse(matched=9, done=5)]
    async with AsyncClient(fake.address) as client:
        with pytest.raises(quarterdeck.UnavailableError, match="broke off"):
            await client.act("id:*", "retry", max_count=9).finish()


async def test_an_act_that_was_closed_is_over(fake: FakeServer) -> None:
    fake.act_pages = [ActOnTasksResponse(matched=9), ActOnTasksResponse(matched=9, complete=True)]
    async with AsyncClient(fake.address) as client:
        async with client.act("id:*", "retry", max_count=9) as act:
            assert (await anext(act)).done == 0
        with pytest.raises(quarterdeck.UnavailableError, match="closed"):
            await act.finish()


async def test_refusals_of_a_page_are_errors(fake: FakeServer) -> None:
    wrong = refusal(9, "WRONG_STATE")
    fake.act_pages = [ActOnTasksResponse(matched=1, refused=1, errors=[wrong], complete=True)]
    async with AsyncClient(fake.address) as client:
        progress = await client.act("id:*", "pause", max_count=1).finish()
    (error,) = progress.errors
    assert isinstance(error, quarterdeck.WrongStateError)


async def test_a_list_that_is_too_old_is_an_error_of_its_own(fake: FakeServer) -> None:
    fake.abort_with["ActOnTasks"] = [refusal(10, "LIST_TOO_OLD")]
    async with AsyncClient(fake.address) as client:
        with pytest.raises(quarterdeck.ListTooOldError):
            await client.act("id:*", "retry", max_count=1, watch_token="old").finish()
