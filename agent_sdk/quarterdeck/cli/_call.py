"""Calls of the server, with every way they fail turned into a message and an exit code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar, cast

import click
import grpc
from grpc import aio

from quarterdeck._errors import ApiError, UnavailableError
from quarterdeck._status import error_from_rpc, error_from_status
from quarterdeck._text import sanitize
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Settings
from quarterdeck.v1.fleet_service_pb2_grpc import FleetServiceStub
from quarterdeck.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from quarterdeck.v1.status_pb2 import Status
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck.v1.watch_service_pb2_grpc import WatchServiceStub

CALL_TIMEOUT = 30.0
"""Seconds that a call may take beyond what it was asked to wait."""

PATIENCE = 60.0
"""Seconds that long work goes on asking for a server that has gone away."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0

_EXIT_CODES = {
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "UNAVAILABLE": ExitCode.UNREACHABLE,
    "DEADLINE_EXCEEDED": ExitCode.TIMEOUT,
    "CANCELLED": ExitCode.INTERRUPTED,
}

Request = TypeVar("Request")
Response = TypeVar("Response")


class CallError(CommandError):
    """The server refused a call or one item of a batch, or could not be reached.

    Attributes:
        error: The error as the SDK reads it.
    """

    def __init__(self, error: ApiError, hint: str = "") -> None:
        self.error = error
        text = str(error) or error.code.lower().replace("_", " ")
        fields = [f"{field}: {problem}" for field, problem in error.fields.items()]
        lines = [text, *(line for line in fields if line not in text)]
        if error.reason:
            lines[0] += f" ({error.reason})"
        message = "\n  ".join(map(sanitize, lines))
        super().__init__(message, _EXIT_CODES.get(error.code, ExitCode.REFUSED), hint)


def item_error(status: Status) -> CallError:
    """Why one item of a batch was refused."""
    return CallError(error_from_status(status))


class Connection:
    """A channel to one server and one tenant. Opens nothing before the first call.

    Args:
        settings: The server's address and the tenant.
        sleep: Waits so many seconds; replaced in tests.
        clock: Monotonic seconds; replaced in tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = settings.server
        self.namespace = settings.namespace
        self.sleep = sleep
        self.clock = clock
        self.answered = False

    @cached_property
    def _channel(self) -> grpc.Channel:
        # The server bounds its own answers; a page of tasks with many labels is over grpc's 4 MiB.
        channel = grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_reconnect_backoff_ms", 2000),
            ],
        )
        if context := click.get_current_context(silent=True):
            # An open channel would keep a stopping server waiting for its clients.
            context.call_on_close(channel.close)
        return channel

    @cached_property
    def tasks(self) -> TaskServiceStub:
        """Calls about tasks."""
        return TaskServiceStub(self._channel)

    @cached_property
    def schedules(self) -> ScheduleServiceStub:
        """Calls about schedules."""
        return ScheduleServiceStub(self._channel)

    @cached_property
    def fleet(self) -> FleetServiceStub:
        """Calls about agents, queues and pools."""
        return FleetServiceStub(self._channel)

    @cached_property
    def watches(self) -> WatchServiceStub:
        """Streams of changes."""
        return WatchServiceStub(self._channel)

    @cached_property
    def system(self) -> SystemServiceStub:
        """Calls about the server itself."""
        return SystemServiceStub(self._channel)

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float = CALL_TIMEOUT,
        patience: float = 0.0,
    ) -> Response:
        """One call and its answer.

        Args:
            method: A method of one of the stubs.
            request: What it is asked.
            timeout: Seconds that one try may take.
            patience: As in `retry`; only for calls that may be repeated.

        Raises:
            CallError: refused, not reachable, or not answered in time.
        """
        retry = self.retry(patience)
        while True:
            try:
                response = method(request, timeout=timeout)
            except grpc.RpcError as error:
                retry.pause(self.decode(error))
            else:
                retry.succeeded()
                return response

    def retry(self, patience: float = PATIENCE) -> Retry:
        """Decides about another try after a failure.

        Args:
            patience: Seconds that a server which was there before is asked again. One that never
                answered this connection is not waited for: its address is likely wrong.
        """
        return Retry(self, patience)

    def decode(self, error: grpc.RpcError) -> CallError:
        """What a failed call says."""
        decoded = error_from_rpc(cast("aio.AioRpcError", error), self.address)
        if decoded.code == "UNAVAILABLE" and not decoded.reason:
            nobody = UnavailableError(f"no server answers at {self.address}", code=decoded.code)
            return CallError(nobody, "start one: quarterdeck server, or name one: --server")
        if decoded.code == "UNIMPLEMENTED":
            return CallError(decoded, "the server may be older than this command line: info says")
        return CallError(decoded)


class Retry:
    """Tries of one piece of work, with growing pauses between them."""

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._give_up: float | None = None
        self._pause = _FIRST_PAUSE

    def succeeded(self) -> None:
        """Notes that the server answered: the next failure starts a new absence."""
        self._connection.answered = True
        self._give_up = None
        self._pause = _FIRST_PAUSE

    def pause(self, failure: CallError) -> None:
        """Waits for the next try.

        Raises:
            CallError: the failure, when another try cannot help or the patience is over.
        """
        now = self._connection.clock()
        first = self._give_up is None
        if self._give_up is None:
            self._give_up = now + self._patience
        hopeless = failure.error.code != "UNAVAILABLE" or not self._connection.answered
        if hopeless or now >= self._give_up:
            raise failure
        if first:
            click.echo(f"{failure.message}; waiting for it", err=True)
        self._connection.sleep(max(self._pause, failure.error.retry_delay or 0.0))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


def request_id() -> str:
    """An id under which a call may be repeated without being done twice."""
    return str(uuid.uuid4())
