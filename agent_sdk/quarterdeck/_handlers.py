"""Running handlers: async ones on the agent's loop, sync ones in threads."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable

from quarterdeck import _outcome
from quarterdeck._batches import Batch
from quarterdeck._cleanup import clean_up, clean_up_on_loop
from quarterdeck._lease import Cause, Lease

Finished = Callable[[list[Lease]], None]
"""Takes leases whose handlers have ended, `report` set; called from any thread."""

_IDLE_SECONDS = 10.0


def _is_closed(task: asyncio.Task[None] | None, raised: BaseException) -> bool:
    """Whether a coroutine is thrown away with its loop, rather than that its handler raised GeneratorExit itself."""
    if not isinstance(raised, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not task
    except RuntimeError:  # no loop runs
        return True


class LoopRunner:
    """Runs async handlers on one event loop. All methods are called on that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, agent_id: str, finished: Finished) -> None:
        self.loop = loop
        self._agent_id = agent_id
        self._finished = finished
        self._done: list[Lease] = []

    def start(self, leases: list[Lease]) -> None:
        """Start a handler for every lease: one hop for all that a Claim brought."""
        for lease in leases:
            lease.task = self.loop.create_task(self._handle(lease))

    def cancel(self, lease: Lease, told: Callable[[Lease], None]) -> None:
        """Interrupt a handler; `told` is called with the lease then."""
        task, leases = lease.task, [lease]
        if lease.batch is not None:
            task, leases = lease.batch.task, lease.batch.leases
        # One that has not begun looks at its cause first; of a batch all must be told to stop.
        running = lease.started and not lease.finished and all(x.cause is not None for x in leases)
        cleaning = any(x.cleaning and x.cause is not Cause.LOST for x in leases)
        if task is not None and running and not cleaning:
            task.cancel(lease.cancelled.reason)
        told(lease)

    def start_batch(self, batch: Batch) -> None:
        """Start a handler for several leases."""
        batch.task = self.loop.create_task(self._handle_batch(batch))

    async def _handle(self, lease: Lease) -> None:
        lease.started = True
        began = False
        try:
            if lease.cause is not None:
                lease.report = _outcome.interrupted(lease, "")
            else:
                run = lease.make_run(self._agent_id)
                arguments = lease.handler.arguments(run, lease.claimed.input.data)
                began = True
                value = await lease.handler.function(*arguments)
                lease.report = _outcome.result(lease, value)
        except BaseException as raised:
            if _is_closed(lease.task, raised):
                raise
            # A handler's SystemExit ends its attempt, not the agent.
            lease.report = _outcome.error(lease, raised)
        if began and lease.handler.cleanup is not None:
            await clean_up_on_loop(lease)
        lease.end()
        self._ended(lease)

    async def _handle_batch(self, batch: Batch) -> None:
        for lease in batch.leases:
            lease.started = True
        try:
            arguments = batch.arguments(self._agent_id)
            if arguments is not None:
                batch.returned(await batch.handler.function(*arguments))
        except BaseException as raised:
            if _is_closed(batch.task, raised):
                raise
            batch.raised(raised)
        if batch.handler.cleanup is not None:
            await asyncio.gather(*map(clean_up_on_loop, batch.working))
        batch.end()
        batch.task = None
        for lease in batch.leases:
            self._ended(lease)

    def _ended(self, lease: Lease) -> None:
        self._done.append(lease)
        if len(self._done) == 1:
            # Whatever ends in this turn of the loop goes over in one hop.
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        done, self._done = self._done, []
        self._finished(done)


class ThreadRunner:
    """Runs functions in daemon threads, which are kept a while for the next.

    Not a ThreadPoolExecutor: the interpreter waits for its threads at exit, so that one
    handler that never returns would keep an agent from stopping.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[[], None]) -> None:
        """Run `function` in a thread of its own; it must not raise."""
        with self._lock:
            spare = self._idle > 0
            if spare:
                self._idle -= 1
        if spare:
            self._work.put(function)
        else:
            threading.Thread(
                target=self._main, args=(function,), name="quarterdeck-handler", daemon=True
            ).start()

    def _main(self, function: Callable[[], None]) -> None:
        while True:
            function()
            with self._lock:
                self._idle += 1
            try:
                function = self._work.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                # Somebody counted on this thread just now: its work is on the way.
                function = self._work.get()


def run_in_thread(lease: Lease, agent_id: str, finished: Finished) -> None:
    """Run a sync handler; the body of a thread."""
    lease.started = True
    began = False
    try:
        if lease.cause is not None:
            lease.report = _outcome.interrupted(lease, "")
        else:
            run = lease.make_run(agent_id)
            arguments = lease.handler.arguments(run, lease.claimed.input.data)
            began = True
            lease.report = _outcome.result(lease, lease.handler.function(*arguments))
    except BaseException as raised:
        lease.report = _outcome.error(lease, raised)
    if began:
        clean_up(lease)
    lease.end()
    finished([lease])


def run_batch_in_thread(batch: Batch, agent_id: str, finished: Finished) -> None:
    """Run a sync handler that takes several tasks; the body of a thread."""
    for lease in batch.leases:
        lease.started = True
    try:
        arguments = batch.arguments(agent_id)
        if arguments is not None:
            batch.returned(batch.handler.function(*arguments))
    except BaseException as raised:
        batch.raised(raised)
    for lease in batch.working:
        clean_up(lease)
    batch.end()
    finished(list(batch.leases))
