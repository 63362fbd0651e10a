"""The demo's own server: a child process that is started again when it dies, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from quarterdeck_server.demo.agent import SLOTS
from quarterdeck_server.demo.work import QUEUE
from quarterdeck_server.pools import proctable

MARK = "QUARTERDECK_DEMO"
"""Environment variable by which everything that a demo started is found again."""

LEASE_SECONDS = 10.0
"""Short, so that the tasks of an agent that was killed are soon with another."""

_MOST_DEATHS = 5
_DEATHS_WINDOW = 30.0
_STOP_SECONDS = 20.0
_SWEEP_SECONDS = 5.0
_TAIL = 2000


class ServerDiedError(Exception):
    """The server ends again and again; the message has the end of its log."""


class LocalServer:
    """A server on a free port of this machine, with a pool of the demo's agents.

    Args:
        data: The demo's folder; the server's data is in `server` under it, its log in `server.log`.
        agents: Agent processes at most.
    """

    def __init__(self, data: Path, agents: int) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        self.pid = 0
        self.log = data / "server.log"
        self._data = data
        self._agents = agents
        self._mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: ServerDiedError | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="demo-server", daemon=True)

    def start(self) -> None:
        """Starts it, without waiting for it to answer."""
        self._data.mkdir(parents=True, exist_ok=True)
        config = self._data / "server.toml"
        config.write_text(self._settings(), encoding="utf-8")
        self._spawn()
        self._keeper.start()

    def check(self) -> None:
        """Does nothing while the server is kept running.

        Raises:
            ServerDiedError: it was given up.
        """
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends the server and everything that it started."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._keeper.is_alive():
            self._keeper.join()
        self._sweep()

    def _settings(self) -> str:
        agent = "quarterdeck_server.demo.agent:agent"
        argv = [sys.executable, "-m", "quarterdeck.cli", "agent", "run", agent]
        return "\n".join(
            [
                f"listen = {_toml(self.address)}",
                f"data_dir = {_toml(str((self._data / 'server').resolve()))}",
                f"lease_duration = {LEASE_SECONDS}",
                "",
                "[[pools]]",
                'name = "demo"',
                f"queue = {_toml(QUEUE)}",
                "min = 0",
                f"max = {self._agents}",
                f"slots = {SLOTS}",
                "idle_timeout = 10",
                'launcher = "process"',
                f"argv = [{', '.join(map(_toml, argv))}]",
                f"env = {{ {MARK} = {_toml(self._mark)} }}",
                "",
            ]
        )

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "quarterdeck_server"]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the demo, which then stops the server.
            self._process = subprocess.Popen(
                [*command, "--config", str(self._data / "server.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(os.environ) | {MARK: self._mark},
            )
        self.pid = self._process.pid

    def _keep(self) -> None:
        """Starts the server again whenever it dies, unless it does so again and again."""
        deaths: list[float] = []
        while True:
            assert self._process is not None
            code = self._process.wait()
            if self._stopping.is_set():
                return
            now = time.monotonic()
            deaths = [death for death in deaths if death > now - _DEATHS_WINDOW] + [now]
            if len(deaths) >= _MOST_DEATHS:
                self._failure = ServerDiedError(
                    f"the server ended {len(deaths)} times, the last time with {code}:\n{self._tail()}"
                )
                return
            if self._stopping.wait(0.2 * len(deaths)):
                return
            self._spawn()

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
        return ""

    def _sweep(self) -> None:
        """Ends what the server left behind, as one does that was killed."""
        end = time.monotonic() + _SWEEP_SECONDS
        for number in (signal.SIGTERM, signal.SIGKILL):
            while left := proctable.with_variable(MARK, self._mark):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                if number == signal.SIGTERM and time.monotonic() > end:
                    break
                time.sleep(0.05)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that would change the settings of the demo's server."""
    return {name: value for name, value in environ.items() if not name.startswith("QUARTERDECK_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _toml(text: str) -> str:
    # A JSON string is a TOML one, but for the character that only TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
