"""Handlers with `isolation="process"`: each task has a child process to itself while it runs.

Children are spawned, not forked (a fork after gRPC's start is not safe), and kept for the next
task, because starting an interpreter takes longer than most tasks. A child that was interrupted
is not used again.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from quarterdeck import _outcome
from quarterdeck._child import CHILD_NAME, Job, Saved, child_main
from quarterdeck._cleanup import clean_up
from quarterdeck._handlers import Finished
from quarterdeck._lease import Lease
from quarterdeck.v1.payload_pb2 import Failure

logger = logging.getLogger("quarterdeck")

_spawn = multiprocessing.get_context("spawn")
_JOIN_SECONDS = 2.0
_GUARD = 'read _; kill -s KILL -- "-$1"'
"""Kills a process group at the end of its input: a child that stands still does not see that its agent is gone."""


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
        self._sending = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None

    def send(self, message: Job | Saved) -> None:
        """Tell the child something. For any thread."""
        with self._sending:
            self.pipe.send(message)

    def answer(self, saved: Future[None]) -> None:
        """Tell the child that details are safe, or why not."""
        with contextlib.suppress(OSError):  # it has ended
            self.send(Saved(saved.exception()))

    def hold(self) -> bool:
        """Stop the child, and all that it started, where they are; False when that cannot be done safely."""
        if self._guard is None:
            command = ["/bin/sh", "-c", _GUARD, "guard", str(self.process.pid)]
            try:
                self._guard = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                logger.exception("process %s cannot be paused", self.process.pid)
                return False
        self.signal(signal.SIGSTOP)
        return True

    def go_on(self) -> None:
        """Let the child go on."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.communicate()
            self.signal(signal.SIGCONT)

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
        self.go_on()
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
        # Here, for the child may be dead.
        clean_up(lease)
        lease.end()
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
        reins = _Reins(child, lease)
        try:
            child.send(_job(lease, self._agent_id))
            reins.take()
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
            reins.let_go()
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


class _Reins:
    """Stops, holds and lets go on the child of one lease, for as long as it works for that."""

    def __init__(self, child: Child, lease: Lease) -> None:
        self._child = child
        self._lease = lease
        self._lock = threading.Lock()
        self._over = False
        # A clean-up needs its share of the time.
        seconds = lease.grace() / (2 if lease.handler.cleanup is not None else 1)
        self._killer = threading.Timer(seconds, child.signal, (signal.SIGKILL,))
        self._killer.daemon = True

    def take(self) -> None:
        """Begin, with what was asked for before there was a child."""
        lease = self._lease
        lease.stop_child, lease.hold_child = self._stop, self._hold
        if lease.cause is not None:
            self._stop()
        elif lease.pause.is_set():
            self._hold(True)

    def _stop(self) -> None:
        with self._lock:
            if self._over:
                return
            self._child.signal(signal.SIGTERM)
            # One that stands still sees it first when it goes on.
            self._child.go_on()
            with contextlib.suppress(RuntimeError):  # stopped twice
                self._killer.start()

    def _hold(self, on: bool) -> None:
        with self._lock:
            if self._over:
                return
            if not on:
                self._child.go_on()
            elif self._lease.cause is None and self._child.hold():
                self._lease.listeners.standing(self._lease)

    def let_go(self) -> None:
        """The child has nothing to do with the lease any more."""
        with self._lock:
            self._over = True
            self._lease.stop_child = self._lease.hold_child = None
            self._killer.cancel()
            self._child.go_on()


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
        pickled,
        claimed.task_id,
        claimed.attempt,
        run.deadline,
        metadata,
        claimed.input.data,
        claimed.details.data if claimed.HasField("details") else None,
    )


def _converse(child: Child, lease: Lease) -> bytes:
    """Take what the child says until it says how its handler ended."""
    while True:
        kind, *values = child.pipe.recv()
        if kind == "log":
            lease.log(*values)
        elif kind == "progress":
            lease.progress(*values)
        elif kind == "save":
            lease.save(*values).add_done_callback(child.answer)
        elif kind == "result":
            return bytes(values[0])
        else:
            failure, wishes = values
            raise _outcome.RemoteError(Failure.FromString(failure), wishes)


def _death(exitcode: int | None) -> Failure:
    if exitcode is not None and exitcode < 0:
        try:
            how = f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            how = f"killed by signal {-exitcode}"
    else:
        how = f"exit code {exitcode}"
    return Failure(type="ProcessDied", message=f"the handler's process ended: {how}")
