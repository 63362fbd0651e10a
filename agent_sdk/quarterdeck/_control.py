"""The control thread: the process's one event loop for gRPC.

grpc.aio may live on one loop of a process only, and an agent's leases must be renewed
however long its handlers block their own loop. So all calls of the SDK, of clients as well as
of agents, are made by one daemon thread, started at first use.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_STOP_SECONDS = 5.0


class Control:
    """A thread with an event loop, and ways to hand it work."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.has_called = False
        """True once gRPC was started, which no process survives that is forked from this one."""
        self.loop = _new_loop()
        self.at_stop: dict[object, Callable[[], Coroutine[Any, Any, None]]] = {}
        """What is to be closed on the control thread before it ends."""
        self._thread = threading.Thread(target=self._main, name="quarterdeck-control", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False after a stop, and in a child that was forked from this process."""
        return self.pid == os.getpid() and self._thread.is_alive() and not self.loop.is_closed()

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run `work` on the control thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the control thread and wait for it.

        Raises:
            RuntimeError: Called on the control thread itself, which would wait for ever.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a blocking call was made on the control thread")
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C while waiting: nobody wants the answer any more.
            future.cancel()
            raise

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the control thread and await it on the caller's loop."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(self.start(work))

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` on the control thread; without effect once it has stopped."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)

    def stop(self) -> None:
        """Cancel what runs, end the thread. Called when the interpreter exits."""
        if self.alive:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_STOP_SECONDS)

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            closing = [close() for close in self.at_stop.values()]
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(asyncio.gather(*closing, return_exceptions=True))
        finally:
            self.loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed: a fifth to a third more calls per second."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_guard = threading.Lock()
_current: Control | None = None


def _renew_guard() -> None:
    global _guard
    _guard = threading.Lock()


# Another thread may have held it as this process was forked.
os.register_at_fork(after_in_child=_renew_guard)


def control() -> Control:
    """The control thread of this process, started when there is none.

    Raises:
        RuntimeError: This process was forked from one that had used gRPC.
    """
    global _current
    with _guard:
        if _current is None or not _current.alive:
            if _current is not None and _current.pid != os.getpid() and _current.has_called:
                raise RuntimeError(
                    "quarterdeck was used before this process was forked, and gRPC does not "
                    "survive a fork: make the first call after the fork, or start processes "
                    "with multiprocessing's 'spawn'"
                )
            _current = Control()
            atexit.register(_current.stop)
        return _current
