"""What a handler is told while it runs: to stop, or to stand still. Thread-safe."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Generator
from concurrent.futures import Future

# Reentrant, because a signal handler may fire while its thread is about to wait.
_waiting = threading.RLock()


class CancelFlag:
    """Tells a handler that it should stop.

    An async handler gets a `CancelledError` besides. A sync handler looks here between its
    steps, and returns or raises; one that saw the flag and returns nothing has given in.

    Attributes:
        reason: Why, in the words of who asked; empty before.
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

    def __bool__(self) -> bool:
        return self.is_set()

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


class PauseSwitch:
    """Whether a handler is to stand still, and who waits until it may go on."""

    __slots__ = ("_ended", "_set", "_waiters", "left", "since")

    def __init__(self) -> None:
        self._set = False
        self._ended = False
        self._waiters: list[Future[None]] = []
        self.since = 0.0
        """When the handler began to stand still, by the monotonic clock; 0 while it does not."""
        self.left: float | None = None
        """Seconds of the attempt's time that are left then; None without a limit."""

    def is_set(self) -> bool:
        """True while the handler is to stand still."""
        return self._set

    def set(self) -> None:
        """Have the handler stand still."""
        with _waiting:
            self._set = not self._ended

    def clear(self, *, for_ever: bool = False) -> None:
        """Let the handler go on; `for_ever` because it is to stop."""
        with _waiting:
            self._set = False
            self.since = 0.0
            self._ended = self._ended or for_ever
            waiters, self._waiters = self._waiters, []
        for future in waiters:
            future.set_result(None)

    def wait(self) -> Future[None] | None:
        """What is done once the handler may go on; None when it need not wait."""
        future = promise()
        with _waiting:
            if not self._set:
                return None
            self._waiters.append(future)
        return future


def promise() -> Future[None]:
    """A future that its maker resolves, whoever gives up waiting for it."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


class Nothing:
    """What has happened already, for those who await it."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def on_loop() -> bool:
    """Whether the caller is a coroutine, or was called by one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def wait_here(future: Future[None]) -> Awaitable[None]:
    """Wait for `future`: in a thread at once, on an event loop when the answer is awaited."""
    if on_loop():
        return asyncio.wrap_future(future)
    future.result()
    return Nothing()
