"""Clients that are closed while others wait for their answers, on a real server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Iterator

import pytest

import quarterdeck
from quarterdeck.testing import Server, start_server

CALLS: dict[str, Callable[[quarterdeck.Client, str], object]] = {
    "wait": lambda client, task_id: client.wait(task_id),
    "result": lambda client, task_id: client.result(task_id, timeout=30),
    "logs": lambda client, task_id: list(client.logs(task_id, follow=True)),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[quarterdeck.Client]:
    """A client that shares its connection with another, which stays open."""
    server.client.server_info()
    client = quarterdeck.Client(server.address)
    yield client
    client.close()


def is_under_way(client: quarterdeck.Client) -> bool:
    """Wait until the server has been asked something that it has not answered."""
    until = time.monotonic() + 20

    async def look() -> bool:
        while not client._core._calls and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return bool(client._core._calls)

    return client._core.control.run(look())


@pytest.mark.parametrize("call", CALLS)
def test_who_waits_when_a_client_is_closed_is_told_so(
    client: quarterdeck.Client, server: Server, call: str
) -> None:
    task_id = client.submit("nobody-does-this")
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(CALLS[call], client, task_id)
        assert is_under_way(client)
        client.close()
        with pytest.raises(quarterdeck.UnavailableError, match="was closed before") as caught:
            waiting.result(10)
    assert caught.value.code == "CANCELLED"
    assert server.client.get(task_id).task.state == "ready", "the other client's connection is open"


async def test_a_coroutine_that_waits_is_told_so_and_not_cancelled(server: Server) -> None:
    client = quarterdeck.AsyncClient(server.address)
    task_id = await client.submit("nobody-does-this")
    waiting = asyncio.create_task(client.wait(task_id))
    async with asyncio.timeout(20):
        while not client._core._calls:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(quarterdeck.UnavailableError, match="was closed before"):
            await waiting
    assert not waiting.cancelled()


async def test_a_coroutine_that_is_cancelled_is_cancelled(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        waiting = asyncio.create_task(client.wait(await client.submit("nobody-does-this")))
        async with asyncio.timeout(20):
            while not client._core._calls:
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            while client._core._calls:
                await asyncio.sleep(0.01)


def test_a_watch_ends_with_its_client(client: quarterdeck.Client) -> None:
    task_id = client.submit("nobody-does-this")
    watch = client.watch(["task"], filter=f"id:{task_id}")
    assert next(watch).kind == "task"
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        rest = threads.submit(list, watch)
        client.close()
        assert rest.result(10) == []


def test_a_closed_client_opens_again(client: quarterdeck.Client) -> None:
    client.close()
    task_id = client.submit("nobody-does-this")
    assert client.get(task_id).task.id == task_id
