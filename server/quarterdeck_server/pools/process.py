"""The launcher `process`: instances are child processes of the server, each in its own session.

Python's `subprocess` starts them, without `preexec_fn`, for a fork under gRPC may kill the child
(https://github.com/grpc/grpc/issues/43055). Their end is watched here and not by asyncio's child
watcher: the rest of a process group can be killed safely only while its leader is not reaped, and
an adopted process is watched in the same way although it is nobody's child here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping

from quarterdeck_server.logs import Log
from quarterdeck_server.pools import proctable
from quarterdeck_server.pools.launcher import Ended, LaunchError, Order
from quarterdeck_server.pools.output import Output, open_pipe, reopen

INSTANCE_VARIABLE = "QUARTERDECK_INSTANCE_ID"

_INHERITED = frozenset({"PATH", "HOME", "LANG", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR"})
_POLL_INTERVAL = 0.1

_log = Log(__name__)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that instances get to see; secrets are not in it."""
    return {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith("LC_")
    }


class ProcessHandle:
    """A running process, ours or adopted, and its process group.

    Must be made on the event loop. `process` is None for an adopted one.
    """

    def __init__(
        self,
        instance_id: str,
        pid: int,
        process_start: int | None,
        process: subprocess.Popen[bytes] | None,
        output_fd: int | None,
        pidfd: int | None,
    ) -> None:
        self.pid: int | None = pid
        self.process_start = process_start
        self._pid = pid
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ended] = self._loop.create_future()
        self._output: Output | None = None
        if output_fd is not None:
            self._output = Output(
                output_fd, lambda line: _log.debug("output", instance=instance_id, line=line)
            )
        self._pidfd = pidfd
        if pidfd is not None:
            self._loop.add_reader(pidfd, self._on_end)
        else:
            self._loop.call_later(_POLL_INTERVAL, self._poll)

    def stop(self) -> None:
        """Ask it to end: SIGTERM to the process group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force: SIGKILL to the process group."""
        self._signal(signal.SIGKILL)

    async def wait(self) -> Ended:
        """Wait until it has ended and nothing of it is left."""
        return await asyncio.shield(self._ended)

    def _signal(self, number: signal.Signals) -> None:
        seen = proctable.look(self._pid)
        if self._ended.done() or (seen is not None and not self._is(seen)):
            return
        # macOS has no permission to signal a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _is(self, seen: proctable.Seen) -> bool:
        return self.process_start in (seen.start, None)

    def _poll(self) -> None:
        seen = proctable.look(self._pid)
        if seen is None or seen.ended or not self._is(seen):
            self._on_end()
        else:
            self._loop.call_later(_POLL_INTERVAL, self._poll)

    def _on_end(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        # Before it is reaped, for after that the id of the group may be given to another.
        self.kill()
        how = self._reap()
        if self._output is not None:
            self._output.close()
        self._ended.set_result(Ended(how, self._output.text if self._output is not None else ""))

    def _reap(self) -> str:
        if self._process is not None:
            return _how(self._process.wait())
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            return "ended"  # only its parent learns how
        return _how(os.waitstatus_to_exitcode(status)) if pid else "ended"


class ProcessLauncher:
    """Starts instances as processes, and finds those of an earlier server again.

    Args:
        environ: The server's environment, of which instances inherit a part.
        use_pidfd: Be told by the kernel when a process ends, where it can; otherwise look every
            100 ms.
    """

    def __init__(self, environ: Mapping[str, str], use_pidfd: bool = True) -> None:
        self._environ = inherited(environ)
        self._use_pidfd = use_pidfd

    async def start(self, order: Order) -> ProcessHandle:
        """Start an instance.

        Raises:
            LaunchError: the program or its folder cannot be used.
        """
        try:
            read_end, write_end = open_pipe()
        except OSError as error:
            raise LaunchError(f"cannot start: {error.strerror}") from error
        try:
            process = self._spawn(order, write_end)
        except (OSError, ValueError) as error:
            os.close(read_end)
            reason = str(error)
            raise LaunchError(f"cannot start {order.argv[0]!r}: {reason}") from error
        finally:
            os.close(write_end)
        seen = proctable.look(process.pid)
        return ProcessHandle(
            order.instance_id,
            process.pid,
            seen.start if seen is not None else None,
            process,
            read_end,
            self._open_pidfd(process.pid),
        )

    async def adopt(
        self, instance_id: str, pid: int | None, process_start: int | None
    ) -> ProcessHandle | None:
        """Take over a process that an earlier server started; None when it has ended.

        A process whose id was never written down is found by its environment. What is left of
        an instance whose first process has ended is killed.
        """
        if pid is None or process_start is None:
            pid = next(iter(proctable.with_variable(INSTANCE_VARIABLE, instance_id)), None)
        # The descriptor before the look: what is then seen is what the descriptor stands for.
        pidfd = None if pid is None else self._open_pidfd(pid)
        seen = None if pid is None else proctable.look(pid)
        if (
            pid is None
            or seen is None
            or seen.ended
            or process_start not in (seen.start, None)
            or seen.session not in (pid, None)
        ):
            if pidfd is not None:
                os.close(pidfd)
            _kill_rest(instance_id)
            return None
        return ProcessHandle(instance_id, pid, seen.start, None, reopen(pid), pidfd)

    def _spawn(self, order: Order, output: int) -> subprocess.Popen[bytes]:
        # Holds the loop until the program is loaded, about a millisecond. In return there is no
        # moment in which a cancelled caller could lose a child.
        return subprocess.Popen(
            order.argv,
            env=self._environ | dict(order.env) | {INSTANCE_VARIABLE: order.instance_id},
            cwd=order.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _open_pidfd(self, pid: int) -> int | None:
        if not self._use_pidfd or not hasattr(os, "pidfd_open"):
            return None
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None  # ended, or a kernel or sandbox without it


def _kill_rest(instance_id: str) -> None:
    for pid in proctable.with_variable(INSTANCE_VARIABLE, instance_id):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit {code}"
