"""A real server in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from quarterdeck._agent import Agent
from quarterdeck._client import Client
from quarterdeck._serve import serve_async

_STOP_SECONDS = 20.0
_KEPT_LOG_LINES = 50


class Server:
    """A running server.

    Args:
        data: Its data directory; what a `restart` finds again.
        settings: More settings, such as `{"lease_duration": "2s"}`.
        port: Its port; a free one by default.
        start_timeout: Seconds until it must be ready.
    """

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        start_timeout: float = 30.0,
    ) -> None:
        self._data = data
        self._settings = dict(settings or {})
        self._port = port
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self.address = ""
        """`host:port`, once it was started; the same after a restart."""
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A client of this server."""
        if self._client is None:
            self._client = Client(self.address)
        return self._client

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            RuntimeError: It ended, or was not ready in time; with the end of its log.
        """
        arguments = ["--listen", f"127.0.0.1:{self._port}", "--data", str(self._data)]
        # Settings of the developer's own server are none of this one's business.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QUARTERDECK_")}
        environment |= {f"QUARTERDECK_{k.upper()}": v for k, v in self._settings.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck_server", *arguments, "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            text=True,
            errors="replace",
        )
        assert self._process.stderr is not None
        listening: SimpleQueue[str] = SimpleQueue()
        threading.Thread(
            target=self._read, args=(self._process.stderr, listening.put), daemon=True
        ).start()
        try:
            self.address = listening.get(timeout=self._start_timeout)
        except Empty:
            self.address = ""
        if not self.address:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self._log))
        self._port = int(self.address.rpartition(":")[2])

    def stop(self) -> int:
        """Stop it in good order and return its exit code."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def running(self, agent: Agent, *, grace: float = 5.0) -> Iterator[None]:
        """Run `agent` against this server for the length of a `with` block.

        Its async handlers run on a loop in a thread of their own.

        Args:
            agent: The agent.
            grace: Seconds that running handlers have to finish at the end of the block.
        """
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def work() -> None:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await serve_async(agent, self.address, grace=grace, stop=stop)

        with ThreadPoolExecutor(1, "quarterdeck-agent") as thread:
            done = thread.submit(asyncio.run, work())
            loop, stop = started.result()
            try:
                yield
            finally:
                with contextlib.suppress(RuntimeError):  # it has ended already
                    loop.call_soon_threadsafe(stop.set)
                done.result()

    def _read(self, stream: IO[str], listening: Callable[[str], None]) -> None:
        """Drain the log, so that the server never blocks on it, and find its address."""
        with contextlib.closing(stream):
            for line in stream:
                self._log = [*self._log[1 - _KEPT_LOG_LINES :], line]
                if '"listening"' in line:
                    event: dict[str, Any] = {}
                    with contextlib.suppress(ValueError):
                        event = json.loads(line)
                    if event.get("event") == "listening":
                        listening(str(event["address"]))
        listening("")


@contextlib.contextmanager
def start_server(data: Path, **settings: str) -> Iterator[Server]:
    """A server for the length of a `with` block.

    Args:
        data: Its data directory.
        settings: As in its settings file, such as `lease_duration="2s"`.
    """
    server = Server(data, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
