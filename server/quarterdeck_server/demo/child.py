"""The demo's own server: a child process that is started again when it dies, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from quarterdeck_server.demo.agent import SLOTS
from quarterdeck_server.demo.guard import MARK
from quarterdeck_server.demo.work import QUEUE

LEASE_SECONDS = 10.0
"""Short, so that the tasks of an agent that was killed are soon with another."""

_MOST_DEATHS = 5
_DEATHS_WINDOW = 30.0
_STOP_SECONDS = 20.0
_TAIL = 2000


class ServerDiedError(Exception):
    """The server ends again and again; the message has the end of its log."""


class DataFolderError(Exception):
    """The demo's folder cannot be written to."""


class LocalServer:
    """A server on a free port of this machine, with a pool of the demo's agents.

    Args:
        data: The demo's folder; the server's data is in `server` under it, its log in `server.log`.
        agents: Agent processes at most.
    """

    def __init__(self, data: Path, agents: int) -> None:
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        self.pid = 0
        self.mark = uuid.uuid4().hex
        self.log = data / "server.log"
        self._data = data
        self._config = data / f"server-{port}.toml"
        self._agents = agents
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._failure: ServerDiedError | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="demo-server", daemon=True)

    def start(self) -> None:
        """Starts it, without waiting for it to answer.

        Raises:
            DataFolderError: the demo's folder cannot be made, or not be written to.
        """
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            (self._data / ".gitignore").write_text("*\n", encoding="utf-8")
            self._config.write_text(self._settings(), encoding="utf-8")
        except OSError as error:
            problem = f"cannot keep data in {self._data}: {error.strerror}"
            raise DataFolderError(f"{problem}; give another folder with --data") from error
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck_server.demo.guard", self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
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
        """Ends the server and everything that it started, what an earlier death of it left included."""
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
        if self._guard is not None:
            self._guard.communicate()
        # Where nothing could be written there is nothing to take away.
        with contextlib.suppress(OSError):
            self._config.unlink(missing_ok=True)

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
                # Longer than the schedule's interval, so that not every run starts an agent.
                "idle_timeout = 30",
                'launcher = "process"',
                f"argv = [{', '.join(map(_toml, argv))}]",
                f"env = {{ {MARK} = {_toml(self.mark)} }}",
                "",
            ]
        )

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the demo, which then stops the server.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "quarterdeck_server", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(os.environ) | {MARK: self.mark},
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
                    f"the server ended {len(deaths)} times, lastly with {code}:\n{self._tail()}"
                )
                return
            if self._stopping.wait(0.2 * len(deaths)):
                return
            self._spawn()

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
        return ""


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
