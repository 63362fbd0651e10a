"""What callers read when nobody answers: what happened, where, what to do now, and nothing of gRPC's own words."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

import quarterdeck
from quarterdeck._submitter import Group
from quarterdeck.v1 import task_pb2

from .fake import FakeServer

NOWHERE = "127.0.0.1:9"


async def test_an_absent_server_is_named_with_what_to_do(fake: FakeServer) -> None:
    async with quarterdeck.AsyncClient(NOWHERE, timeout=0.3) as client:
        with pytest.raises(quarterdeck.UnavailableError) as caught:
            await client.submit("a")
    assert str(caught.value) == (
        f"the server at {NOWHERE} cannot be reached: start one there (`quarterdeck server`), or "
        "name another (the argument `address`, or QUARTERDECK_SERVER)"
    )
    assert caught.value.code == "UNAVAILABLE"
    assert "ipv4" in caught.value.details or "connect" in caught.value.details


async def test_a_server_that_is_too_slow_is_named(fake: FakeServer) -> None:
    fake.failures["Submit"] = [(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")] * 99
    async with quarterdeck.AsyncClient(fake.address, timeout=0.3) as client:
        with pytest.raises(quarterdeck.UnavailableError) as caught:
            await client.submit("a")
    assert str(caught.value).startswith(f"the server at {fake.address} did not answer in time")
    assert caught.value.details == "Deadline Exceeded"


def complaints(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """What a loop would print from now on."""
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    return found


async def ends_of_submits(address: str, until: Callable[[], Awaitable[Any]]) -> None:
    """Close a client in the midst of its submits, and look at what those who wait are told."""
    client = quarterdeck.AsyncClient(address, timeout=20)
    loop = client._core.control.loop
    found = complaints(loop)
    try:
        work = [asyncio.create_task(client.submit("a")) for _ in range(3)]
        await until()
        await client.close()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*work, return_exceptions=True)
        await client._core.control.call(asyncio.sleep(0))
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    for end in ends:
        assert isinstance(end, quarterdeck.UnavailableError), repr(end)
        assert end.code == "CANCELLED"
        assert str(end).startswith(f"the client of {address} was closed before")
    assert found == []


async def test_submits_whose_call_has_not_begun_when_their_client_is_closed_are_told(
    fake: FakeServer,
) -> None:
    """One call more than are under way at once, so that one waits in line."""
    client = quarterdeck.AsyncClient(fake.address, timeout=20)
    told: list[Any] = []

    async def add_and_close() -> None:
        await client._core.link()
        submitter = client._core.submitter
        assert submitter is not None
        for _ in range(3):
            submitter.add(Group([task_pb2.TaskSpec(name="a")], told.append))
        sending = list(submitter._sending)
        await client._core.close()
        await asyncio.gather(*sending, return_exceptions=True)

    await client._core.control.call(add_and_close())
    assert [error.code for error in told] == ["CANCELLED"] * 3
    assert fake.submits == []


async def test_submits_that_are_repeated_while_their_client_is_closed_end_with_a_clear_error(
    fake: FakeServer,
) -> None:
    fake.failures["Submit"] = [(grpc.StatusCode.UNAVAILABLE, "away")] * 1_000
    await ends_of_submits(fake.address, lambda: fake.until(lambda: fake.submits))


async def test_submits_that_are_under_way_while_their_client_is_closed_end_with_a_clear_error() -> (
    None
):
    connected = asyncio.Event()
    held: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await ends_of_submits(f"127.0.0.1:{port}", connected.wait)
    for writer in held:
        writer.close()
