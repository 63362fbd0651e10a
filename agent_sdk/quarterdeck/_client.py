"""The blocking client, for scripts and threads."""

from __future__ import annotations

from typing import Any, Unpack

from quarterdeck._core import Core, one_submit
from quarterdeck._fleet import FleetMethods
from quarterdeck._schedules import ScheduleMethods
from quarterdeck._specs import TaskOptions, task_spec
from quarterdeck._tasks import TaskMethods


class Client(TaskMethods, ScheduleMethods, FleetMethods):
    """Submits work and looks after it; every method blocks until the server has answered.

    Thread-safe. Opens its connection at the first call; all clients of a process share it.
    While the server is away a call is repeated for `timeout` seconds, safely: whatever
    creates something carries a request id.

    Args:
        address: `host:port` of the server; by default `QUARTERDECK_SERVER` of the environment,
            else `127.0.0.1:7400`.
        namespace: Tenant; by default `QUARTERDECK_NAMESPACE`, else `default`.
        timeout: Seconds that a call may take, its repetitions included.
    """

    def __init__(
        self, address: str | None = None, namespace: str | None = None, *, timeout: float = 30.0
    ) -> None:
        self._core = Core(address, namespace, timeout)
        self._namespace = self._core.namespace

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The server's address."""
        return self._core.address

    def close(self) -> None:
        """Let go of the connection; a later call opens it again.

        Calls that wait for an answer end with an `UnavailableError`, watches and acts end.
        """
        self._core.control.run(self._core.close())

    def submit(self, name: str, input: Any = None, **options: Unpack[TaskOptions]) -> str:
        """Submit a task; it is on the server's disk when this returns.

        Args:
            name: What is to be done.
            input: The handler's input: JSON types, dataclasses, pydantic models.
            options: How it is to be run, see `TaskOptions`.

        Returns:
            The task's id.

        Raises:
            PayloadError: The input has no JSON form.
            ApiError: The server refused it, or stayed away.
        """
        return one_submit(task_spec(name, input, options), self._core).result()
