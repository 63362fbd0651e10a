"""The server's options, each by what it does: gRPC ignores silently what it does not know."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from quarterdeck.v1 import system_service_pb2
from quarterdeck_server.config import Settings
from quarterdeck_server.rpc import options, server, watch
from quarterdeck_server.rpc.server import BindError, start_rpc

from .api import Api, agent, agents_pb, payload, refused, spec, tasks_pb, watch_pb
from .conftest import Server


def with_options(monkeypatch: pytest.MonkeyPatch, **changes: int) -> None:
    """Change the values of options, in milliseconds, under the names that the server uses."""
    real = options.server_options

    def changed(settings: Settings) -> list[tuple[str, int]]:
        found = dict(real(settings))
        for name, value in changes.items():
            (full,) = [key for key in found if key.endswith("." + name)]
            found[full] = value
        return list(found.items())

    monkeypatch.setattr(server, "server_options", changed)


async def open_watch(api: Api) -> Any:
    """A watch with nothing to say, past its start."""
    call = api.watches.Watch(watch_pb.WatchRequest(namespace="empty"))
    assert (await call.read()).snapshot_complete
    return call


async def test_a_second_server_cannot_share_the_port(server: Server) -> None:
    with pytest.raises(BindError, match="is another server running"):
        await start_rpc(server.core, server.address)


async def test_a_port_that_anybody_has_is_refused_with_the_reason(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BindError, match=f"cannot listen on {address}: Address already in use"):
            await start_rpc(server.core, address)


async def test_a_request_may_be_several_times_the_largest_payload(api: Api) -> None:
    large = payload(b"x" * 5 * 2**20)
    response = await api.tasks.Submit(tasks_pb.SubmitRequest(tasks=[spec(input=large)]))
    assert response.results[0].HasField("error")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.tasks.Submit(tasks_pb.SubmitRequest(tasks=[spec(input=large)] * 4))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_client_that_pings_as_often_as_is_allowed_keeps_its_watch(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client's pings against the server's least interval: were the option's name wrong, the
    # least would be gRPC's own five minutes, and the third ping would end the connection.
    with_options(monkeypatch, min_ping_interval_without_data_ms=50, max_ping_strikes=1)
    running = await make_server().start()
    try:
        pinging = (
            ("grpc.keepalive_time_ms", 100),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.keepalive_permit_without_calls", 1),
        )
        call = await open_watch(Api(running.channel(*pinging)))
        reading = asyncio.ensure_future(call.read())
        # Time for a dozen pings.
        done, _ = await asyncio.wait([reading], timeout=1.5)
        assert not done
        call.cancel()
    finally:
        await running.stop()


async def test_a_client_that_pings_too_often_is_sent_away(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_options(monkeypatch, min_ping_interval_without_data_ms=60_000, max_ping_strikes=1)
    running = await make_server().start()
    try:
        pinging = (("grpc.keepalive_time_ms", 100), ("grpc.http2.max_pings_without_data", 0))
        call = await open_watch(Api(running.channel(*pinging)))
        with pytest.raises(grpc.aio.AioRpcError, match="Too many pings"):
            async with asyncio.timeout(20):
                await call.read()
    finally:
        await running.stop()


class DeafProxy:
    """Passes bytes between a client and a server until it is told to go deaf."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._deaf = False
        self._writers: list[asyncio.StreamWriter] = []
        self.closed_by_server = asyncio.Event()

    async def start(self) -> str:
        """Listen; return the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def go_deaf(self) -> None:
        """Swallow everything from now on, as a network does that lost its way."""
        self._deaf = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        forward = asyncio.create_task(self._pass(reader, back))
        await self._pass(there, writer)
        self.closed_by_server.set()
        forward.cancel()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self._deaf:
                writer.write(data)

    async def stop(self) -> None:
        """Close everything."""
        self._server.close()
        for writer in self._writers:
            writer.close()


async def test_the_server_notices_a_client_that_vanished(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_options(monkeypatch, keepalive_time_ms=200, keepalive_timeout_ms=200, ping_timeout_ms=200)
    running = await make_server().start()
    proxy = DeafProxy(running.address)
    running.address = await proxy.start()
    try:
        call = await open_watch(running.api)
        proxy.go_deaf()
        async with asyncio.timeout(20):
            await proxy.closed_by_server.wait()
        call.cancel()
    finally:
        await running.stop()
        await proxy.stop()


async def test_an_old_connection_is_told_to_go_and_a_watch_on_it_ends(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_options(monkeypatch, max_connection_age_ms=200, max_connection_age_grace_ms=200)
    running = await make_server().start()
    try:
        call = await open_watch(running.api)
        error = None
        async with asyncio.timeout(20):
            try:
                await call.read()
            except grpc.aio.AioRpcError as caught:
                error = caught
        assert error is not None
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await running.stop()


async def test_a_watch_ends_itself_with_a_token_before_its_connection_does(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_CONNECTION_AGE", 0.1)
    monkeypatch.setattr(watch, "CHECKPOINT_SECONDS", 0.1)
    call = server.api.watches.Watch(watch_pb.WatchRequest(skip_snapshot=True))
    responses = [response async for response in call]
    assert responses[-1].closing
    assert responses[-1].resume_token


async def test_more_streams_than_the_limit_wait_in_the_client(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_options(monkeypatch, max_concurrent_streams=2)
    running = await make_server().start()
    try:
        api = running.api
        calls = [await open_watch(api) for _ in range(2)]
        claim = agents_pb.ClaimRequest(agent=agent())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.agents.Claim(claim, timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        calls[0].cancel()
        await api.agents.Claim(claim, timeout=10)
        calls[1].cancel()
    finally:
        await running.stop()


async def test_metadata_over_the_limit_is_refused(api: Api) -> None:
    long = (("x-long", "v" * 40_000),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.system.GetServerInfo(system_service_pb2.GetServerInfoRequest(), metadata=long)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_error_with_the_longest_texts_reaches_a_client_with_its_details(api: Api) -> None:
    bad = {f"{n:03}" + "ü" * 120: "ü" * 300 for n in range(64)}
    error = await refused(api.claim(agent=agent("?" * 5000, name="n" * 5000, labels=bad)))
    assert error.reason == "INVALID_FIELD"
    assert len(error.fields) > 2
