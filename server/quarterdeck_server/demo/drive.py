"""One run of the demo: what is submitted at its start, and what is known at its end."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import quarterdeck
from quarterdeck_server.demo.child import LocalServer
from quarterdeck_server.demo.repository import Repository
from quarterdeck_server.demo.work import (
    QUEUE,
    REINSPECT,
    RUN_LABEL,
    SURVEY,
    ReinspectOrder,
    Surveyed,
    SurveyOrder,
)

REINSPECT_SECONDS = 15.0
_TICK = 0.2
_CALL_TIMEOUT = 60.0
_SETTLE_SECONDS = 20.0
_ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})


class DemoError(Exception):
    """The run ended without a report."""


@dataclass(frozen=True)
class Tally:
    """What a run came to; also the object that `--json` prints.

    Attributes:
        tasks: How many tasks ended in each state.
        attempts: Attempts of all tasks together.
        retries: Those that were not the first of their task.
        agents_started: Agent processes that the pool started.
        seconds: From the start of the demo to its end.
        report: Path of the report.
    """

    tasks: dict[str, int]
    attempts: int
    retries: int
    agents_started: int
    seconds: float
    report: str

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}


class Drive:
    """A run against a server.

    Args:
        server: The server, started.
        repository: What is looked through.
        report: Where the report goes.
    """

    def __init__(self, server: LocalServer, repository: Repository, report: Path) -> None:
        self.run = f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.report = report.resolve()
        self._server = server
        self._repository = repository
        self._started = time.monotonic()
        self._client = quarterdeck.Client(server.address, timeout=_CALL_TIMEOUT)
        self._survey = ""

    def begin(self) -> None:
        """Waits for the server, clears what an earlier run left, and submits the work of this one.

        Raises:
            ServerDiedError: the server does not come up.
            ApiError: it refuses.
        """
        self._await_server()
        for task in self._client.list(f"label.{RUN_LABEL} state:active"):
            self._cancel(task.id)
        folder = str(self._repository.folder)
        labels = {RUN_LABEL: self.run}
        self._survey = self._client.submit(
            SURVEY,
            SurveyOrder(self.run, folder, str(self.report)),
            queue=QUEUE,
            priority=9,
            labels=labels,
            idempotency_key=f"{SURVEY}:{self.run}",
        )
        self._client.schedule(
            REINSPECT,
            REINSPECT_SECONDS,
            REINSPECT,
            ReinspectOrder(self.run, folder, self._repository.base()),
            queue=QUEUE,
            labels=labels,
        )

    def finish(self, told: Callable[[int, int], None]) -> Tally:
        """Waits for the report.

        Args:
            told: Called now and then with the number of tasks that have ended, and of all.

        Raises:
            DemoError: the survey or the report failed.
            ServerDiedError: the server was given up.
        """
        surveyed = self._ended(self._survey, told)
        report = self._client.result(surveyed.id, Surveyed).report
        self._ended(report, told)
        self._client.delete_schedule(REINSPECT)
        end = time.monotonic() + _SETTLE_SECONDS
        while self._count(told) and time.monotonic() < end:
            time.sleep(_TICK)
        return self.tally()

    def tally(self) -> Tally:
        """What the run has come to so far."""
        states: Counter[str] = Counter()
        attempts = retries = 0
        for task in self._client.list(f"label.{RUN_LABEL}:{self.run}"):
            states[task.state] += 1
            attempts += task.attempt
            retries += max(task.attempt - 1, 0)
        return Tally(
            tasks=dict(sorted(states.items())),
            attempts=attempts,
            retries=retries,
            agents_started=len({agent.info.agent_id for agent in self._agents() if agent.info}),
            seconds=time.monotonic() - self._started,
            report=str(self.report) if self.report.exists() else "",
        )

    def close(self) -> None:
        """Lets go of the connection."""
        self._client.close()

    def _agents(self) -> list[quarterdeck.AgentStatus]:
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=time.monotonic() - self._started)
        return [
            agent
            for agent in self._client.agents("pool:demo")
            if agent.create_time is not None and agent.create_time >= since
        ]

    def _await_server(self) -> None:
        with quarterdeck.Client(self._server.address, timeout=1.0) as probe:
            while True:
                self._server.check()
                try:
                    probe.server_info()
                    return
                except quarterdeck.UnavailableError:
                    time.sleep(_TICK / 4)

    def _cancel(self, task_id: str) -> None:
        try:
            self._client.cancel(task_id, "an earlier run of the demo left it", actor="demo")
        except quarterdeck.ApiError as error:
            if error.reason not in ("WRONG_STATE", "TASK_NOT_FOUND"):
                raise

    def _ended(self, task_id: str, told: Callable[[int, int], None]) -> quarterdeck.Task:
        """A task once it has succeeded."""
        while True:
            self._server.check()
            self._count(told)
            try:
                task = self._client.wait(task_id, timeout=_TICK)
            except (quarterdeck.WaitTimeoutError, quarterdeck.UnavailableError):
                # Not yet, or the server is being started again: `check` says when that is hopeless.
                continue
            if task.state != quarterdeck.TaskState.SUCCEEDED:
                why = (
                    f"{task.failure.type}: {task.failure.message}" if task.failure else task.reason
                )
                raise DemoError(f"the {task.name} {task.state}: {why}")
            return task

    def _count(self, told: Callable[[int, int], None]) -> int:
        """Tells the progress and returns how many tasks have not ended."""
        counts = self._client.count(f"label.{RUN_LABEL}:{self.run} !name:{REINSPECT}")
        total = sum(counts.values())
        ended = sum(count for state, count in counts.items() if state in _ENDED)
        told(ended, total)
        return total - ended
