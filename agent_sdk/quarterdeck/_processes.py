"""Handlers with `isolation="process"`: each task has a child process to itself while it runs.

Children are spawned, not forked (a fork after gRPC's start is not safe), and kept for the next
task, because starting an interpreter takes longer than most tasks. A child that was interrupted
is not used again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from quarterdeck import _outcome
from quarterdeck._child import CHILD_NAME, Job, child_main
from quarterdeck._handlers import Finished
from quarterdeck._lease import Lease
from quarterdeck.v1.payload_pb2 import Failure

_spawn = multiprocessing.get_context("spawn")
_JOIN_SECONDS = 2.0


class Child:
    """A child process and the pipe to it."""

    def __init__(self) -> None:
        ours, theirs = _spawn.Pipe()
        self.pipe: Connection[Any, Any] = ours
        self.process: SpawnProcess = _spawn.Process(
            target=child_main, args=(theirs,), name=CHILD_NAME, daemon=True
        )
        self.process.start()
        # Now the child alone holds its end, and its death is an end of file here.
        theirs.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and to all that it started."""
        pid = self.process.pid
        if pid is None or self.process.exitcode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                # It has not made its own process group yet.
                os.kill(pid, number)

    def close(self) -> None:
        """Kill the child and reap it."""
        self.signal(signal.SIGKILL)
        self.process.join(_JOIN_SECONDS)
        with contextlib.suppress(OSError):
            self.pipe.close()


class ProcessRunner:
    """Runs handlers in child processes. Thread-safe.

    Args:
        agent_id: The agent, for the run's metadata.
    """

    def __init__(self, agent_id: str) -> None:
        self._agent_id = agent_id
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._closed = False

    def run(self, lease: Lease, finished: Finished) -> None:
        """Run one task to its end; the body of a thread."""
        lease.started = True
        try:
            if lease.cause is not None:
                lease.report = _outcome.interrupted(lease, "")
            else:
                lease.report = _outcome.success(lease, self._work(lease))
        except BaseException as raised:
            lease.report = _outcome.error(lease, raised)
        lease.finished = True
        finished([lease])

    def close(self) -> None:
        """Kill all children; the handlers that they run end as interrupted."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for child in idle:
            child.close()
        for child in busy:
            # Reaped by the thread that talks to it.
            child.signal(signal.SIGKILL)

    def _work(self, lease: Lease) -> bytes:
        child = self._take()
        reusable = False
        killer = threading.Timer(lease.grace(), child.signal, (signal.SIGKILL,))
        killer.daemon = True

        def stop() -> None:
            child.signal(signal.SIGTERM)
            with contextlib.suppress(RuntimeError):  # stopped twice
                killer.start()

        lease.stop_child = stop
        try:
            if lease.cause is not None:
                # The interrupt came before there was a child to stop.
                stop()
            child.pipe.send(_job(lease, self._agent_id))
            data = _converse(child, lease)
            reusable = lease.cause is None
            return data
        except _outcome.RemoteError:
            reusable = lease.cause is None
            raise
        except (EOFError, OSError) as broken:
            child.process.join(_JOIN_SECONDS)
            raise _outcome.RemoteError(_death(child.process.exitcode)) from broken
        finally:
            lease.stop_child = None
            killer.cancel()
            self._put_back(child, reusable)

    def _take(self) -> Child:
        with self._lock:
            if self._closed:
                raise _outcome.RemoteError(Failure(type="Stopped", message="the agent stops"))
            child = self._idle.pop() if self._idle else None
            if child is not None:
                self._busy.add(child)
                return child
        child = Child()
        with self._lock:
            self._busy.add(child)
            if self._closed:
                child.signal(signal.SIGKILL)
        return child

    def _put_back(self, child: Child, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(child)
            if reusable and not self._closed:
                self._idle.append(child)
                return
        child.close()


def _job(lease: Lease, agent_id: str) -> Job:
    claimed = lease.claimed
    run = lease.make_run(agent_id)
    metadata = run.metadata
    function: Callable[..., Any] = lease.handler.function
    try:
        pickled = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError) as error:
        problem = Failure(type="DefinitionError", message=str(error), non_retryable=True)
        raise _outcome.RemoteError(problem) from error
    return Job(
        pickled, claimed.task_id, claimed.attempt, run.deadline, metadata, claimed.input.data
    )


def _converse(child: Child, lease: Lease) -> bytes:
    """Take what the child says until it says how its handler ended."""
    while True:
        kind, *values = child.pipe.recv()
        if kind == "log":
            lease.log(*values)
        elif kind == "progress":
            lease.progress(*values)
        elif kind == "result":
            return bytes(values[0])
        else:
            failure, delay = values
            raise _outcome.RemoteError(Failure.FromString(failure), delay)


def _death(exitcode: int | None) -> Failure:
    if exitcode is not None and exitcode < 0:
        try:
            how = f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            how = f"killed by signal {-exitcode}"
    else:
        how = f"exit code {exitcode}"
    return Failure(type="ProcessDied", message=f"the handler's process ended: {how}")
