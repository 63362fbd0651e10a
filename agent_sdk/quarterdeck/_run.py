"""What a handler is given: the attempt that it is working on."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_ROOT_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
# Reentrant, because a signal handler may fire while its thread is about to wait.
_waiting = threading.RLock()


class Sink(Protocol):
    """Where log lines and progress go; called from any thread."""

    def log(self, level: str, text: str, stream: str = "log") -> None:
        """Take one line, or several with line breaks between."""

    def progress(self, message: str, done: float, total: float) -> None:
        """Take the newest progress."""


class Cancelled:
    """Tells a handler that it should stop; thread-safe.

    An async handler gets a `CancelledError` besides. A sync handler looks here between its
    steps, and returns or raises; one that saw the flag and returns nothing has given in.
    """

    __slots__ = ("_seen", "_set", "_waiters", "reason")

    def __init__(self) -> None:
        self.reason = ""
        self._set = False
        self._seen = False
        self._waiters: list[threading.Event | asyncio.Event] | None = None

    def is_set(self) -> bool:
        """True once the handler should stop."""
        if self._set:
            self._seen = True
        return self._set

    def raise_if_set(self) -> None:
        """Stop here when the handler should stop.

        Raises:
            asyncio.CancelledError: It should.
        """
        if self.is_set():
            raise asyncio.CancelledError(self.reason)

    async def wait(self) -> None:
        """Wait, in an async handler, until it should stop."""
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        waker = _LoopEvent(loop, event)
        if self._enlist(waker):
            await event.wait()
        self._seen = True

    def sleep(self, seconds: float) -> bool:
        """Sleep, in a sync handler, for `seconds` or until it should stop.

        Returns:
            True when it should stop.
        """
        event = threading.Event()
        if self._enlist(event):
            event.wait(seconds)
        return self.is_set()

    def _enlist(self, event: threading.Event | asyncio.Event) -> bool:
        """Have `event` set with this one; False when it is too late to wait."""
        with _waiting:
            if self._set:
                return False
            self._waiters = [*(self._waiters or ()), event]
            return True

    def _fire(self, reason: str) -> None:
        with _waiting:
            if self._set:
                return
            self.reason = reason
            self._set = True
            waiters, self._waiters = self._waiters, None
        for event in waiters or ():
            event.set()


class _LoopEvent(threading.Event):
    """Sets an event of a loop from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        super().__init__()
        self._loop = loop
        self._event = event

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)


class RunLog:
    """The log of one attempt; lines are shipped to the server while it runs.

    The methods format like `logging` does: `run.log.info("read %d files", n)`.
    """

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, message: object, *args: object) -> None:
        """Write a line of level `debug`."""
        self._sink.log("debug", str(message) % args if args else str(message))

    def info(self, message: object, *args: object) -> None:
        """Write a line of level `info`."""
        self._sink.log("info", str(message) % args if args else str(message))

    def warning(self, message: object, *args: object) -> None:
        """Write a line of level `warning`."""
        self._sink.log("warning", str(message) % args if args else str(message))

    def error(self, message: object, *args: object) -> None:
        """Write a line of level `error`."""
        self._sink.log("error", str(message) % args if args else str(message))

    def handler(self) -> logging.Handler:
        """A handler that ships the records of a `logging` logger in this log."""
        return _SinkHandler(self._sink)


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
        deadline: When the attempt will be timed out; None without a limit.
        input: The input as the handler gets it.
        cancelled: Set when the handler should stop.
        metadata: What else is known about the task.
    """

    __slots__ = ("_sink", "attempt", "cancelled", "deadline", "id", "input", "metadata")

    def __init__(
        self,
        sink: Sink,
        *,
        id: str,
        attempt: int,
        metadata: Metadata,
        deadline: dt.datetime | None = None,
        input: Any = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self._sink = sink
        self.id = id
        self.attempt = attempt
        self.deadline = deadline
        self.input = input
        self.cancelled = cancelled or Cancelled()
        self.metadata = metadata

    @property
    def log(self) -> RunLog:
        """The attempt's log, readable by operators while the attempt runs."""
        return RunLog(self._sink)

    def progress(self, message: str = "", done: float = 0, total: float = 0) -> None:
        """Say how far the work has come; also the proof that it moves (`stall_timeout`).

        Cheap: only the newest is sent, at most twice a second.

        Args:
            message: What is being done now; 256 characters are kept.
            done: Units done.
            total: Units in all; 0 when not known.
        """
        self._sink.progress(message, done, total)
