"""Submitting tasks: concurrent submits become few and large calls."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quarterdeck._errors import ApiError
from quarterdeck._link import MAX_BATCH_BYTES, Link, invoke
from quarterdeck._status import closed_error
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck.v1.task_service_pb2 import SubmitRequest, SubmitResult

MOST_SPECS = 1_000
_IN_FLIGHT = 2


@dataclass(slots=True)
class Group:
    """Specs that came together, and who waits for their results.

    Attributes:
        specs: At most `MOST_SPECS`; none may name another as `#n`.
        deliver: Takes the results in the order of the specs, or what went wrong with all.
            Called on the control thread.
    """

    specs: list[TaskSpec]
    deliver: Callable[[Sequence[SubmitResult] | BaseException], None]


class Submitter:
    """Sends groups, at most two calls at a time. Lives on the control thread.

    While calls are under way the next groups gather, so there is no delay when few tasks are
    submitted and hardly a call when many are. Each call has a request id, so that repeating
    it after a lost answer submits nothing twice.
    """

    def __init__(self, link: Link, namespace: str, within: float) -> None:
        self._link = link
        self._namespace = namespace
        self._within = within
        self._queue: deque[Group] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, group: Group) -> None:
        """Submit a group."""
        self._queue.append(group)
        self._pump()

    def close(self) -> None:
        """Tell all who wait that the client was closed: a channel that closes does not end its calls."""
        self._closed = True
        while self._queue:
            self._queue.popleft().deliver(closed_error(self._link.address))
        loop = asyncio.get_running_loop()
        for task in self._sending:
            # Not at once: a task that is cancelled before it began would tell nobody.
            loop.call_soon(task.cancel)

    def _pump(self) -> None:
        while self._queue and len(self._sending) < _IN_FLIGHT:
            task = asyncio.get_running_loop().create_task(self._send(self._take()))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._pump()

    def _take(self) -> list[Group]:
        groups: list[Group] = []
        count = size = 0
        while self._queue:
            specs = self._queue[0].specs
            count += len(specs)
            size += sum(len(spec.input.data) for spec in specs)
            if groups and (count > MOST_SPECS or size > MAX_BATCH_BYTES):
                break
            groups.append(self._queue.popleft())
        return groups

    async def _send(self, groups: list[Group]) -> None:
        request = SubmitRequest(namespace=self._namespace, request_id=uuid.uuid4().hex)
        for group in groups:
            request.tasks.extend(group.specs)
        try:
            link = self._link
            response = await invoke(link.submit, request, address=link.address, within=self._within)
        except BaseException as error:
            problem = closed_error(self._link.address) if self._closed else error
            for group in groups:
                group.deliver(problem)
            if not isinstance(problem, ApiError):
                raise
            return
        results = response.results
        start = 0
        for group in groups:
            end = start + len(group.specs)
            group.deliver(results if len(groups) == 1 else results[start:end])
            start = end
