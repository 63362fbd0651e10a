"""What a handler is given: the attempt that it is working on."""

from __future__ import annotations

import datetime as dt
import logging
import reprlib
from collections.abc import Awaitable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from quarterdeck._codec import decoder, encode
from quarterdeck._flags import CancelFlag, Nothing, PauseSwitch, on_loop, wait_here

T = TypeVar("T")

_ROOT_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))


class Sink(Protocol):
    """Where log lines, progress and details go; called from any thread."""

    def log(self, level: str, text: str, stream: str = "log") -> None:
        """Take one line, or several with line breaks between."""

    def progress(self, message: str, done: float, total: float) -> None:
        """Take the newest progress."""

    def save(self, data: bytes) -> Future[None]:
        """Take what the next attempt is to be given; the future is done once it is safe."""

    def standing(self) -> None:
        """The handler begins to stand still. Called from the thread that waits."""


class RunLog:
    """The log of one attempt; lines are shipped to the server while it runs.

    The methods format like `logging` does: `run.log.info("read %d files", n)`. A line whose
    arguments do not fit ends no handler: it is written with them behind it.
    """

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, message: object, *args: object) -> None:
        """Write a line of level `debug`."""
        self._sink.log("debug", _line(message, args))

    def info(self, message: object, *args: object) -> None:
        """Write a line of level `info`."""
        self._sink.log("info", _line(message, args))

    def warning(self, message: object, *args: object) -> None:
        """Write a line of level `warning`."""
        self._sink.log("warning", _line(message, args))

    def error(self, message: object, *args: object) -> None:
        """Write a line of level `error`."""
        self._sink.log("error", _line(message, args))

    def handler(self) -> logging.Handler:
        """A handler that ships the records of a `logging` logger in this log."""
        return _SinkHandler(self._sink)


def _line(message: object, args: tuple[object, ...]) -> str:
    try:
        text = str(message)
    except Exception:
        text = reprlib.repr(message)
    if not args:
        return text
    values = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else args
    try:
        return text % values
    except Exception:
        # Not the plain repr(), which may raise as well.
        return f"{text} {reprlib.repr(args)}"


class _SinkHandler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in _ROOT_LEVELS if record.levelno >= least), "debug")
        try:
            self._sink.log(level, self.format(record))
        except Exception:
            self.handleError(record)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about the task of an attempt.

    Attributes:
        name: What is to be done.
        queue: The line that the task came from.
        labels: As submitted.
        max_attempts: Attempts that the task may use in all.
        parent_id: The task that submitted it; empty for none.
        agent_id: The agent that runs it.
    """

    name: str
    queue: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 1
    parent_id: str = ""
    agent_id: str = ""


class Run:
    """One attempt at a task, in the hands of its handler.

    Attributes:
        id: The task's id, such as `task_06f2…`.
        attempt: Number of this attempt, from 1.
        deadline: When the attempt will be timed out; None without a limit. A pause moves it.
        input: The input as the handler gets it.
        cancelled: Set when the handler should stop.
        metadata: What else is known about the task.
    """

    __slots__ = (
        *("_pause", "_saved", "_sink", "attempt", "cancelled"),
        *("deadline", "id", "input", "metadata"),
    )

    def __init__(
        self,
        sink: Sink,
        *,
        id: str,
        attempt: int,
        metadata: Metadata,
        deadline: dt.datetime | None = None,
        input: Any = None,
        cancelled: CancelFlag | None = None,
        pause: PauseSwitch | None = None,
        saved: bytes | None = None,
    ) -> None:
        self._sink = sink
        self._pause = pause or PauseSwitch()
        self._saved = saved
        self.id = id
        self.attempt = attempt
        self.deadline = deadline
        self.input = input
        self.cancelled = CancelFlag() if cancelled is None else cancelled
        self.metadata = metadata

    @property
    def log(self) -> RunLog:
        """The attempt's log, readable by operators while the attempt runs."""
        return RunLog(self._sink)

    def progress(self, message: str = "", done: float = 0, total: float = 0) -> None:
        """Say how far the work has come; also the proof that it moves (`stall_timeout`).

        Cheap: only the newest is sent, at most twice a second, and the last one with the report.

        Args:
            message: What is being done now; 256 characters are kept.
            done: Units done.
            total: Units in all; 0 when not known.
        """
        self._sink.progress(message, done, total)

    def save(self, value: object) -> Awaitable[None]:
        """Save where the work stands, for the attempt after this one.

        Each value takes the place of the one before. A sync handler waits in the call, an async
        one awaits it: once it is over the server has the value on disk, whatever becomes of this
        agent. A retry by an operator begins without it.

        Args:
            value: Anything that a result may be.

        Raises:
            PayloadError: The value has no JSON form.
            InvalidArgumentError: It is larger than the server takes; what was saved before stays.
            asyncio.CancelledError: The lease was lost: another attempt may be under way.
        """
        data = encode(value)

        def keep(done: Future[None]) -> None:
            if done.exception() is None:
                self._saved = data

        saved = self._sink.save(data)
        saved.add_done_callback(keep)
        waiting = wait_here(saved)
        if saved.done():
            # Who waits in a thread may be told before the callback.
            keep(saved)
        return waiting

    @overload
    def saved(self) -> Any: ...

    @overload
    def saved(self, type: type[T]) -> T | None: ...

    def saved(self, type: Any = Any) -> Any:
        """What was saved last, by this attempt or by one before it; None when nothing was.

        Args:
            type: What it is decoded to, as inputs are; plain JSON by default.

        Raises:
            PayloadError: It does not fit the type.
        """
        return None if self._saved is None else decoder(type)(self._saved)

    @property
    def paused(self) -> bool:
        """True while an operator wants the handler to stand still; see `checkpoint`."""
        return self._pause.is_set()

    def checkpoint(self) -> Awaitable[None]:
        """Stand still here while the task is paused; a place where the handler may stop, too.

        A sync handler waits in the call, an async one awaits it. Without a pause both go on at
        once. While the handler stands here the time limits of the attempt stand still as well.
        A handler with `isolation="process"` is paused wherever it is and needs no checkpoints.

        Raises:
            asyncio.CancelledError: The handler should stop.
        """
        self.cancelled.raise_if_set()
        if not self._pause.is_set():
            return Nothing()
        if on_loop():
            return self._stand()
        while (future := self._wait()) is not None:
            future.result()
            self.cancelled.raise_if_set()
        return Nothing()

    def _wait(self) -> Future[None] | None:
        future = self._pause.wait()
        if future is not None:
            self._sink.standing()
        return future

    async def _stand(self) -> None:
        while (future := self._wait()) is not None:
            await wait_here(future)
            self.cancelled.raise_if_set()
