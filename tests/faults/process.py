"""A real server process that tests kill, stop and start again on the same data and the same address."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from ..rpc.api import Api


class ServerProcess:
    """One server on one data directory, through all its lives."""

    def __init__(self, data: Path, *flags: str, lease: str = "1s") -> None:
        self.data = data
        self.address = "127.0.0.1:0"
        self._flags = (*flags, "--lease-duration", lease, "--log-format", "json")
        self._process: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None
        self.events: list[dict[str, Any]] = []
        self._heard = asyncio.Condition()

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self._process is not None
        return self._process.pid

    async def start(self, *wrapper: str) -> ServerProcess:
        """Start, and return once it listens."""
        command = [
            *wrapper, sys.executable, "-m", "quarterdeck_server",
            "--listen", self.address, "--data", str(self.data), *self._flags,
        ]  # fmt: skip
        self.events.clear()
        self._process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, **QUIET}
        )
        self._drain = asyncio.create_task(self._read(self._process))
        self.address = (await self.heard("listening"))["address"]
        return self

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            event = _event(line)
            async with self._heard:
                self.events.append(event)
                self._heard.notify_all()
        async with self._heard:
            self.events.append({"event": "ended"})
            self._heard.notify_all()

    async def heard(self, event: str) -> dict[str, Any]:
        """Wait until the server has logged an event."""

        def found() -> dict[str, Any] | None:
            return next((x for x in self.events if x.get("event") in (event, "ended")), None)

        async with self._heard:
            await self._heard.wait_for(found)
        first = found()
        assert first is not None and first["event"] == event, self.events
        return first

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        assert self._process is not None and self._drain is not None
        code = await self._process.wait()
        await self._drain
        return code

    async def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def close(self) -> None:
        """Make sure that nothing is left."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    def api(self) -> Api:
        """Stubs on a connection of its own, which comes back fast."""
        options: Sequence[tuple[str, int]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 100),
        ]
        return Api(grpc.aio.insecure_channel(self.address, options=options))


QUIET = {"GRPC_VERBOSITY": "NONE"}


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"event": line.decode(errors="replace")}
    return event if isinstance(event, dict) else {"event": event}
