"""The processes of a measurement: the server, and those that put load on it. Each is ended by its own id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quarterdeck_server.bench.errors import BenchError

_START_SECONDS = 120.0
_STOP_SECONDS = 20.0
_PREPARE_SECONDS = 600.0
_KEPT_LINES = 20
_SILENCE_SECONDS = 600.0
"""Longer than any scenario takes; a load process that says nothing for so long hangs."""


def clean_environment() -> dict[str, str]:
    """This process' variables without those of Quarterdeck: what is measured must not depend on them."""
    return {name: text for name, text in os.environ.items() if not name.startswith("QUARTERDECK_")}


class ServerProcess:
    """A server of our own on a free port.

    Args:
        data: Its data directory.
        environment: More variables, such as those of `slow_disk`.
    """

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self._data = data
        self._environment = {**clean_environment(), **environment}
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._address: asyncio.Future[str] | None = None
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> str:
        """Start it and return its address once it listens.

        Raises:
            BenchError: It ended, or did not listen in time.
        """
        command = ["-m", "quarterdeck_server", "--listen", "127.0.0.1:0", "--data", str(self._data)]
        self._address = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            *("--log-format", "json"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            env=self._environment,
        )
        self._reader = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(self._address, _START_SECONDS)
        except TimeoutError:
            raise BenchError(f"the server does not listen after {_START_SECONDS:g} s") from None

    async def _read(self) -> None:
        """Find the address in the log, and keep its last lines for an error's message."""
        assert self._process is not None and self._address is not None
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode(errors="replace").strip()
            self._lines.append(line)
            if not self._address.done() and '"listening"' in line:
                self._address.set_result(json.loads(line)["address"])
        if not self._address.done():
            said = "\n".join(self._lines)
            self._address.set_exception(BenchError(f"the server ended at once:\n{said}"))

    async def stop(self) -> None:
        """End it; by force when it takes too long."""
        if self._process is not None:
            await end(self._process)
        if self._reader is not None:
            await self._reader


class LoadProcess:
    """A process that runs one role of `loads` or `swarm`; it speaks lines of JSON.

    It says `{"ready": true}`, starts when told to, and says what came out. It ends by itself when this process does.

    Args:
        role: What it runs.
        job: The role's parameters.
        log: Where its stderr goes.
    """

    def __init__(self, role: str, job: Mapping[str, Any], log: Path) -> None:
        self._role = role
        self._job = job
        self._log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and return when it is ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "quarterdeck_server.bench.loads", self._role, json.dumps(self._job)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=clean_environment(),
            )
        await self.answer()

    def go(self) -> None:
        """Have it begin."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def answer(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            BenchError: It ended or hangs.
        """
        assert self._process is not None and self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _SILENCE_SECONDS)
        except TimeoutError:
            raise BenchError(f"the load process {self._role} hangs") from None
        if not line:
            said = self._log.read_text(errors="replace").strip()[-2000:]
            raise BenchError(f"the load process {self._role} ended without a result:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def run(self) -> dict[str, Any]:
        """Have it begin, and wait for what comes out."""
        self.go()
        return await self.answer()

    async def finish(self) -> dict[str, Any]:
        """Have an agent stop in good order, and return what it says at its end."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        return await self.answer()

    async def stop(self) -> None:
        """End it; by force when it takes too long."""
        if self._process is not None:
            await end(self._process)


async def prepare(module: str, *arguments: object) -> str:
    """Run a module of the bench that writes what a server is to find when it starts.

    Returns:
        What it printed.

    Raises:
        BenchError: It failed; the message has the end of what it said.
        TimeoutError: It took longer than ten minutes.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"quarterdeck_server.bench.{module}", *map(str, arguments)),
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment(),
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), _PREPARE_SECONDS)
    finally:
        if process.returncode is None:
            await end(process)
    if process.returncode != 0:
        raise BenchError(f"the {module} could not be written: {errors.decode()[-2000:]}")
    return out.decode().strip()


async def end(process: Process) -> None:
    """End a process with SIGTERM, or with SIGKILL when it does not obey."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
