"""A run without a server, which keeps what its handler says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from quarterdeck._codec import decoder, encode
from quarterdeck._flags import promise
from quarterdeck._run import Metadata, Run


class LoggedLine(NamedTuple):
    """One call of a `run.log` method."""

    level: str
    text: str


class Reported(NamedTuple):
    """One call of `run.progress`."""

    message: str
    done: float
    total: float


class _Recorder:
    def __init__(self) -> None:
        self.lines: list[LoggedLine] = []
        self.progress_calls: list[Reported] = []
        self.saves: list[bytes] = []

    def log(self, level: str, text: str, stream: str = "log") -> None:
        self.lines.append(LoggedLine(level, text))

    def progress(self, message: str, done: float, total: float) -> None:
        self.progress_calls.append(Reported(message, done, total))

    def save(self, data: bytes) -> Future[None]:
        self.saves.append(data)
        saved = promise()
        saved.set_result(None)
        return saved

    def standing(self) -> None:
        """Nobody is told."""


class FakeRun(Run):
    """A `Run` to call a handler with in a unit test.

    Args:
        input: What `run.input` gives.
        id: The task's id.
        attempt: Number of the attempt.
        deadline: When the attempt would be timed out.
        name: The task's name.
        queue: The line it came from.
        labels: Its labels.
        max_attempts: Attempts that it may use in all.
        saved: What an earlier attempt saved; None for nothing.
    """

    def __init__(
        self,
        input: Any = None,
        *,
        id: str = "task_0000000000001",
        attempt: int = 1,
        deadline: dt.datetime | None = None,
        name: str = "task",
        queue: str = "default",
        labels: Mapping[str, str] | None = None,
        max_attempts: int = 3,
        saved: Any = None,
    ) -> None:
        self._recorder = _Recorder()
        super().__init__(
            self._recorder,
            id=id,
            attempt=attempt,
            metadata=Metadata(name, queue, dict(labels or {}), max_attempts),
            deadline=deadline,
            input=input,
            saved=None if saved is None else encode(saved),
        )

    @property
    def lines(self) -> list[LoggedLine]:
        """What was logged."""
        return self._recorder.lines

    @property
    def progress_calls(self) -> list[Reported]:
        """The progress that was reported."""
        return self._recorder.progress_calls

    @property
    def saves(self) -> list[Any]:
        """What was saved, as plain JSON, the newest last."""
        return [decoder(Any)(data) for data in self._recorder.saves]

    def cancel(self, reason: str = "") -> None:
        """Set `run.cancelled`, as a cancel does. A task that awaits is cancelled by its own means."""
        self.cancelled._fire(reason)
        self._pause.clear(for_ever=True)

    def pause(self) -> None:
        """Have the handler stand still at its next checkpoint. For any thread."""
        self._pause.set()

    def resume(self) -> None:
        """Let the handler go on. For any thread."""
        self._pause.clear()
