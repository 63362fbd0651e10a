"""What both clients do on the control thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from quarterdeck import _calls
from quarterdeck._calls import Call
from quarterdeck._codec import decoder
from quarterdeck._control import Control, control
from quarterdeck._convert import enum_reader, from_message
from quarterdeck._environment import resolve_address, resolve_namespace
from quarterdeck._errors import ApiError, TaskFailedError, WaitTimeoutError
from quarterdeck._link import MAX_BATCH_BYTES, Link, invoke
from quarterdeck._models import Task
from quarterdeck._status import closed_error, error_from_status
from quarterdeck._submitter import MOST_SPECS, Group, Submitter
from quarterdeck.v1.task_pb2 import TaskSpec, TaskState
from quarterdeck.v1.task_service_pb2 import SubmitRequest, WaitTaskResponse

T = TypeVar("T")

POLL_SECONDS = 20.0
_SPARE_SECONDS = 2.0
_state = enum_reader(TaskState.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of one item of `submit_many`.

    Attributes:
        task_id: The task's id, when it was accepted or existed.
        existed: True when no task was created: one with the same idempotency, unique, debounce or
            throttle key is the answer.
        error: Why the item was not accepted; its neighbours are not affected.
    """

    task_id: str
    existed: bool = False
    error: ApiError | None = None


class Closable(Protocol):
    """What a client opened and does not outlive it: a watch, an act."""

    async def close(self) -> None:
        """End it; who waits for its next item is told that there is none."""


class Core:
    """A client's link, and the calls that are more than one RPC.

    Args:
        address: `host:port`, or None for the environment's or the default.
        namespace: Tenant, or None for the environment's or `default`.
        within: Seconds that a call may take in all, its repetitions included.
    """

    def __init__(self, address: str | None, namespace: str | None, within: float) -> None:
        self.address = resolve_address(address)
        self.namespace = resolve_namespace(namespace)
        self._within = within
        self._control: Control | None = None
        self._link: Link | None = None
        self.submitter: Submitter | None = None
        self._calls: set[asyncio.Future[Any]] = set()
        self.opened: weakref.WeakSet[Closable] = weakref.WeakSet()
        """Ended by `close`. Used on the control thread."""

    @property
    def control(self) -> Control:
        """The control thread, from the first call on; a client made before a fork has its own in each process.

        Raises:
            RuntimeError: This process was forked from one that had used gRPC.
        """
        if self._control is None or not self._control.alive:
            self._control, self._link, self.submitter = control(), None, None
        return self._control

    async def link(self) -> Link:
        """The channels, opened at first use."""
        if self._link is None:
            self._link = await Link.open(self.address)
            self.submitter = Submitter(self._link, self.namespace, self._within)
        return self._link

    async def close(self) -> None:
        """End what is under way, and let go of the channels, which other clients may go on using."""
        link, submitter = self._link, self.submitter
        self._link = self.submitter = None
        if submitter is not None:
            submitter.close()
        for opened in list(self.opened):
            await opened.close()
        for call in self._calls:
            call.cancel()
        if link is not None:
            await link.close()

    async def do(self, call: Call[T], within: float | None = None) -> T:
        """Make one call; `within` replaces the client's own limit."""
        link = self._link or await self.link()
        method = getattr(getattr(link, call.service), call.method)
        limit = self._within if within is None else within
        return call.read(await self._invoke(method, call.request, limit + call.wait))

    async def _invoke(self, method: Callable[..., Any], request: Any, within: float) -> Any:
        """Make a call; a `close` meanwhile ends it, which is told apart from a caller that goes away.

        Raises:
            ApiError: As `invoke`.
        """
        call = asyncio.ensure_future(invoke(method, request, address=self.address, within=within))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            return await call
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise closed_error(self.address) from None

    async def add(self, group: Group) -> None:
        """Submit a group, when there may be no link yet."""
        try:
            await self.link()
        except BaseException as error:
            group.deliver(error)
            raise
        assert self.submitter is not None
        self.submitter.add(group)

    def send(self, group: Group) -> None:
        """Submit a group. For any thread."""
        control = self.control
        submitter = self.submitter
        if submitter is not None:
            control.loop.call_soon_threadsafe(submitter.add, group)
        else:
            control.start(self.add(group))

    async def wait(self, task_id: str, seconds: float | None) -> WaitTaskResponse:
        """Poll until the task has ended.

        Raises:
            WaitTimeoutError: `seconds` were over before.
            UnavailableError: The server was away all the time.
        """
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while True:
            left = POLL_SECONDS if end is None else min(POLL_SECONDS, max(0.0, end - loop.time()))
            # With a server that is away, not much longer than the caller wants to wait.
            spare = self._within if end is None else min(self._within, _SPARE_SECONDS)
            response = await self.do(_calls.wait(self.namespace, task_id, left), spare)
            if response.ended:
                return response
            if end is not None and loop.time() >= end:
                raise WaitTimeoutError(f"{task_id} has not ended within {seconds:g} s")

    async def submit_many(self, specs: Sequence[TaskSpec]) -> list[Submitted]:
        """Submit in as many calls as it takes.

        Raises:
            ApiError: The first call failed. When a later one does, the items that were not
                acknowledged have the error, so that the caller learns of the others.
        """
        link = await self.link()
        done: list[Submitted] = []
        while len(done) < len(specs):
            request = self._next_many(specs, done)
            try:
                response = await self._invoke(link.tasks.Submit, request, self._within)
            except ApiError as error:
                if not done:
                    raise
                return done + [Submitted("", error=error)] * (len(specs) - len(done))
            for result in response.results:
                refused = error_from_status(result.error) if result.HasField("error") else None
                done.append(Submitted(result.task_id, result.existed, refused))
        return done

    def _next_many(self, specs: Sequence[TaskSpec], done: Sequence[Submitted]) -> SubmitRequest:
        """The request for as many of the specs that are not done as one call takes."""
        start = len(done)
        request = SubmitRequest(namespace=self.namespace, request_id=_calls._new_id())
        size = 0
        for spec in specs[start : start + MOST_SPECS]:
            size += len(spec.input.data)
            if request.tasks and size > MAX_BATCH_BYTES:
                break
            _resolve(spec, start, done)
            request.tasks.append(spec)
        return request


def _resolve(spec: TaskSpec, start: int, done: Sequence[Submitted]) -> None:
    """Have `#n` name item n of all the specs, not of one call."""
    for place, name in enumerate(spec.depends_on):
        if name.startswith("#") and name[1:].isdecimal():
            number = int(name[1:])
            if number < start:
                # A refused item has no id; the server names the empty one as wrong.
                spec.depends_on[place] = done[number].task_id
            else:
                spec.depends_on[place] = f"#{number - start}"


def task_of(response: WaitTaskResponse) -> Task:
    """The task of a wait."""
    return from_message(Task, response.task)


def result_of(response: WaitTaskResponse, kind: Any) -> Any:
    """The result of a task that has ended.

    Raises:
        TaskFailedError: It ended without one.
        PayloadError: The result is no `kind`.
    """
    task = response.task
    if task.state != TaskState.TASK_STATE_SUCCEEDED:
        raise TaskFailedError(
            task.id, _state(task.state), task.reason, task.failure.type, task.failure.message
        )
    return decoder(kind)(response.result.data)


def one_submit(spec: TaskSpec, core: Core) -> concurrent.futures.Future[str]:
    """Submit one task from a thread."""
    future: concurrent.futures.Future[str] = concurrent.futures.Future()

    def deliver(results: Any) -> None:
        if isinstance(results, BaseException):
            future.set_exception(results)
        elif results[0].HasField("error"):
            future.set_exception(error_from_status(results[0].error))
        else:
            future.set_result(results[0].task_id)

    core.send(Group([spec], deliver))
    return future
