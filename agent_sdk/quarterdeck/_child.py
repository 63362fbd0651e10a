"""What runs in a child process of `isolation="process"`: one job after the other."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import pickle
import queue
import signal
import sys
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from quarterdeck import _outcome
from quarterdeck._agent import TaskHandler, read_handler
from quarterdeck._codec import encode
from quarterdeck._errors import PayloadError
from quarterdeck._flags import CancelFlag, promise
from quarterdeck._run import Metadata, Run

CHILD_NAME = "quarterdeck-child"
"""The name of these processes, known in them before they import the main module."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt, as it is sent to a child."""

    function: bytes
    task_id: str
    attempt: int
    deadline: dt.datetime | None
    metadata: Metadata
    input: bytes
    saved: bytes | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """The parent's answer to details: they are safe, or why not."""

    problem: BaseException | None = None


class _PipeSink:
    """Sends log lines, progress and details to the parent; from any thread of the child."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._main = threading.main_thread()
        self.busy = False
        """True while the main thread is in `send`, where no exception may be raised: half a
        message would be the end of the conversation."""
        self.interrupted = False
        """Set to have `send` raise when the message is out."""
        self._order = threading.RLock()
        self._saves: deque[Future[None]] = deque()
        """Who waits for details to be safe, in the order in which they were sent."""

    def send(self, *message: Any) -> None:
        """Send one message.

        Raises:
            asyncio.CancelledError: An interrupt came meanwhile.
        """
        here = threading.current_thread() is self._main
        self.busy = self.busy or here
        with self._lock:
            self._pipe.send(message)
        if here:
            self.busy = False
            if self.interrupted:
                self.interrupted = False
                raise asyncio.CancelledError("cancelled")

    def log(self, level: str, text: str, stream: str = "log") -> None:
        self.send("log", level, text, stream)

    def progress(self, message: str, done: float, total: float) -> None:
        self.send("progress", message, done, total)

    def save(self, data: bytes) -> Future[None]:
        saved = promise()
        with self._order:
            self._saves.append(saved)
            self.send("save", data)
        return saved

    def standing(self) -> None:
        """Nothing to tell: the parent itself stops this process for a pause."""

    def saved(self, answer: Saved) -> None:
        """Take the parent's answer to the oldest details that have none."""
        waiting = self._saves.popleft()
        if answer.problem is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(answer.problem)


class _LineWriter(io.TextIOBase):
    """A `sys.stdout` whose lines become log lines."""

    def __init__(self, sink: _PipeSink, stream: str) -> None:
        self._sink = sink
        self._stream = stream
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._sink.log("info", line, self._stream)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back but the line that has not ended."""

    def finish(self) -> None:
        """Ship a last line without its end."""
        if self._rest:
            self.write("\n")


class _Interrupt:
    """What SIGTERM does: raise in a sync handler, cancel an async one."""

    def __init__(self, sink: _PipeSink) -> None:
        self._sink = sink
        self.cancelled: CancelFlag | None = None
        self.task: asyncio.Task[Any] | None = None
        signal.signal(signal.SIGTERM, self._on_signal)
        # Ctrl-C in a terminal is for the agent, which decides what becomes of its children.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.cancelled is None:
            # No handler is running: the answer is on its way, or there is no job.
            return
        self.cancelled._fire("cancelled")
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)
        elif self._sink.busy:
            self._sink.interrupted = True
        else:
            raise asyncio.CancelledError("cancelled")


def child_main(pipe: Connection[Any, Any]) -> None:
    """Do jobs until the pipe ends; the target of the child process."""
    os.setsid()
    sink = _PipeSink(pipe)
    interrupt = _Interrupt(sink)
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, jobs, sink), daemon=True).start()
    while True:
        job = jobs.get()
        out, err = _LineWriter(sink, "stdout"), _LineWriter(sink, "stderr")
        sys.stdout, sys.stderr = out, err
        try:
            answer = _do(job, sink, interrupt)
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        out.finish()
        err.finish()
        sink.send(*answer)


def _receive(pipe: Connection[Any, Any], jobs: queue.SimpleQueue[Job], sink: _PipeSink) -> None:
    """Take jobs. When the agent is gone, so is this process and all that it started."""
    try:
        while True:
            message = pipe.recv()
            if isinstance(message, Saved):
                sink.saved(message)
            else:
                jobs.put(message)
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)


def _do(job: Job, sink: _PipeSink, interrupt: _Interrupt) -> tuple[Any, ...]:
    cancelled = CancelFlag()
    run = Run(
        sink,
        id=job.task_id,
        attempt=job.attempt,
        deadline=job.deadline,
        metadata=job.metadata,
        cancelled=cancelled,
        saved=job.saved,
    )
    try:
        handler = read_handler(pickle.loads(job.function), job.metadata.name)
        interrupt.cancelled = cancelled
        try:
            return _result(_call(handler, run, job.input, interrupt))
        finally:
            interrupt.cancelled = None
    except BaseException as raised:
        failure = _outcome.failure_of(raised).SerializeToString()
        return "error", failure, _outcome.wishes_of(raised)


def _result(value: Any) -> tuple[Any, ...]:
    try:
        return "result", encode(value)
    except PayloadError as error:
        return "error", _outcome.unencodable(error).SerializeToString(), _outcome.NO_WISHES


def _call(handler: TaskHandler, run: Run, data: bytes, interrupt: _Interrupt) -> Any:
    arguments = handler.arguments(run, data)
    if not handler.is_async:
        return handler.function(*arguments)

    async def call() -> Any:
        interrupt.task = asyncio.current_task()
        try:
            return await handler.function(*arguments)
        finally:
            interrupt.task = None

    return asyncio.run(call())
