"""A real server in this process: a store on disk, the runtime, a port, a channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest

from quarterdeck_server.config import Settings
from quarterdeck_server.rpc.server import RpcServer, start_rpc, stop_rpc
from quarterdeck_server.runtime.clock import SystemClock
from quarterdeck_server.runtime.core import Core
from quarterdeck_server.store.sqlite import SqliteStore

from .api import Api


class Server:
    """A server and the channels that tests opened to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.core = Core(settings, SqliteStore(settings.data_dir), SystemClock())
        self.rpc: RpcServer | None = None
        self.address = ""
        self._channels: list[grpc.aio.Channel] = []

    async def start(self) -> Server:
        """Open the store and listen."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        await self.core.start()
        self.rpc, self.address = await start_rpc(self.core, self.settings.listen)
        return self

    def channel(self, *options: tuple[str, int]) -> grpc.aio.Channel:
        """A connection of its own."""
        own = ("grpc.use_local_subchannel_pool", 1)
        channel = grpc.aio.insecure_channel(self.address, options=[own, *options])
        self._channels.append(channel)
        return channel

    @property
    def api(self) -> Api:
        """Stubs on a new connection."""
        return Api(self.channel())

    async def stop(self) -> None:
        """As the application does it: drain, let calls end, close the store."""
        for channel in self._channels:
            await channel.close()
        self.core.drain()
        if self.rpc is not None:
            await stop_rpc(self.rpc, 1.0)
        await self.core.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What a test's server is told."""
    return Settings(listen="127.0.0.1:0", data_dir=tmp_path / "data")


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A running server."""
    running = Server(settings)
    try:
        yield await running.start()
    finally:
        await running.stop()


@pytest.fixture
def api(server: Server) -> Api:
    """Stubs for a running server."""
    return server.api


@pytest.fixture
def make_server(settings: Settings) -> Callable[..., Server]:
    """Makes servers with other settings; the test starts and stops them."""

    def make(**changes: object) -> Server:
        return Server(settings.model_copy(update=changes))

    return make
