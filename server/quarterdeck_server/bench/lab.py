"""What one measurement needs: a fresh server or a given one, load processes, a scoreboard. All of it ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import quarterdeck
from quarterdeck_server.bench import usage
from quarterdeck_server.bench.board import Board
from quarterdeck_server.bench.errors import BenchError
from quarterdeck_server.bench.figures import Figures
from quarterdeck_server.bench.jobs import NAMESPACE
from quarterdeck_server.bench.processes import LoadProcess, ServerProcess

_LOOK_SECONDS = 0.002
_AGENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        scale: Factor of all sizes and times; 1 is what the documentation speaks of.
        server: A running server to measure; empty starts fresh ones.
        environment: More variables for the servers that are started.
    """

    scale: float = 1.0
    server: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def count(self, number: int) -> int:
        """A number of tasks or agents, to scale."""
        return max(1, round(number * self.scale))

    def seconds(self, length: float) -> float:
        """A time limit, to scale; a larger scale makes no measurement longer."""
        return max(0.5, length * min(1.0, self.scale))


class Lab:
    """The surroundings of one scenario.

    Args:
        options: What the user asked for.
        folder: For data, logs and the scoreboard; empty.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.address = options.server
        self.queue = f"bench-{secrets.token_hex(4)}"
        self.board = Board.create(folder / "board")
        self._server: ServerProcess | None = None
        self._loads: list[LoadProcess] = []
        self._client: quarterdeck.AsyncClient | None = None

    @property
    def client(self) -> quarterdeck.AsyncClient:
        """For what the scenario itself asks of the server."""
        assert self._client is not None
        return self._client

    async def start(self) -> None:
        """Start the server, if none was given, and connect.

        Raises:
            BenchError: The server does not start.
        """
        if not self.address:
            self._server = ServerProcess(self.folder / "data", self.options.environment)
            self.address = await self._server.start()
        self._client = quarterdeck.AsyncClient(self.address, NAMESPACE)

    async def load(self, role: str, **job: Any) -> LoadProcess:
        """Start a load process and return when it is ready."""
        number = len(self._loads)
        job = {"address": self.address, "queue": self.queue, **job}
        process = LoadProcess(role, job, self.folder / f"{role}-{number}.log")
        self._loads.append(process)
        await process.start()
        return process

    async def agents(self, count: int, role: str = "agent", **job: Any) -> list[LoadProcess]:
        """Start agent processes, and return when the server knows them all."""
        board = str(self.folder / "board")
        started = [await self.load(role, board=board, place=place, **job) for place in range(count)]
        end = time.monotonic() + _AGENT_SECONDS
        while True:
            known = [agent async for agent in self.client.agents("state:active")]
            if sum(self.queue in agent.queues for agent in known) == count:
                return started
            if time.monotonic() > end:
                raise BenchError("the agents do not reach the server")
            await asyncio.sleep(0.05)

    async def fill(self, tasks: int) -> None:
        """Submit tasks in bulk."""
        process = await self.load("submit_bulk", tasks=tasks, limit=600.0, parallel=2)
        await process.run()
        await process.stop()

    async def all_done(self, tasks: int, within: float) -> float:
        """Wait until agents have handled so many tasks and the server has their reports.

        Returns:
            The moment, in seconds of the monotonic clock.

        Raises:
            BenchError: They have not by then, or a task ended otherwise.
        """
        end = time.monotonic() + within
        while self.board.done < tasks:
            if time.monotonic() > end:
                raise BenchError(f"{self.board.done} of {tasks} tasks are done in {within:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
        waits = (self.client.wait(task_id, within) for task_id in self.board.last_ids())
        await asyncio.gather(*waits)
        while True:
            moment = time.monotonic()
            counts = await self.client.count(f"queue:{self.queue}")
            if counts.get("succeeded") == tasks:
                return moment
            if moment > end or not counts.get("running"):
                raise BenchError(f"{tasks} tasks should have succeeded; it is {counts}")

    @contextlib.asynccontextmanager
    async def metered(self, figures: Figures) -> AsyncIterator[None]:
        """Add to `figures` what the server costs meanwhile; nothing for a given server.

        When they then have a number of `tasks`, also what one of them costs the server and the load processes.
        """
        loads = [process.pid for process in self._loads if process.running]
        pids = loads if self._server is None else [self._server.pid, *loads]
        before = [usage.sample(pid) for pid in pids]
        yield
        after = [usage.sample(pid) for pid in pids]
        if self._server is None:
            return
        tasks = figures.get("tasks")
        figures |= usage.used(before[0], after[0])
        if tasks:
            figures |= usage.per_task("server", before[:1], after[:1], tasks)
            figures |= usage.per_task("load", before[1:], after[1:], tasks)

    async def stop(self) -> None:
        """End everything that was started here."""
        await asyncio.gather(*(process.stop() for process in self._loads))
        if self._client is not None:
            await self._client.close()
        if self._server is not None:
            await self._server.stop()
        self.board.close()
