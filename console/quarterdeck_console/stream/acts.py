"""What the operator does to the fleet, and what became of it."""

from __future__ import annotations

import getpass
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc

from quarterdeck.v1 import (
    fleet_service_pb2,
    schedule_service_pb2,
    task_pb2,
    task_service_pb2,
)
from quarterdeck_console.model.rows import seconds
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.stream.channel import CALL_TIMEOUT, Link
from quarterdeck_console.stream.errors import Refusal, refusal, refusal_of

BATCH = 5_000
"""Tasks in one batched call; the server's limit."""


@dataclass(slots=True)
class Outcome:
    """What became of an act on some resources.

    Attributes:
        verb: What was done, in the past: `cancelled`.
        done: How many it was done to.
        refused: How many were refused, by reason.
        sentence: The server's words for the first refusal.
        made: Ids of what was created.
    """

    verb: str
    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    sentence: str = ""
    made: list[str] = field(default_factory=list)

    def refuse(self, why: Refusal, items: int = 1) -> None:
        """Counts a refusal."""
        self.refused[why.reason] += items
        self.sentence = self.sentence or why.message

    @property
    def text(self) -> str:
        """Such as `12 cancelled, 1 refused: WRONG_STATE`."""
        parts = [f"{self.done:,} {self.verb}"] if self.done or not self.refused else []
        if self.refused:
            reasons = ", ".join(
                reason if len(self.refused) == 1 else f"{reason} {number}"
                for reason, number in self.refused.most_common()
            )
            parts.append(f"{self.refused.total():,} refused: {reasons}")
        return ", ".join(parts)


_Result: TypeAlias = (
    task_service_pb2.SubmitResult | task_service_pb2.CancelResult | task_service_pb2.RetryResult
)


def actor() -> str:
    """Who sits here, for the audit."""
    try:
        return f"{sanitize(getpass.getuser(), 64)} (console)"
    except (OSError, KeyError):
        return "console"


class Acts:
    """Acts through one link: what became of each item is the answer, a refusal is never raised."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def cancel(self, task_ids: Sequence[str], reason: str) -> Outcome:
        """Requests that tasks be cancelled."""

        async def call(ids: Sequence[str]) -> Iterable[_Result]:
            request = task_service_pb2.CancelTasksRequest(
                namespace=self._link.namespace,
                task_ids=ids,
                reason=reason,
                actor=actor(),
                request_id=uuid.uuid4().hex,
            )
            return (await self._link.tasks.CancelTasks(request, timeout=CALL_TIMEOUT)).results

        return await _batched("cancelled", task_ids, call)

    async def retry(self, task_ids: Sequence[str]) -> Outcome:
        """Puts ended tasks back in their queue."""

        async def call(ids: Sequence[str]) -> Iterable[_Result]:
            request = task_service_pb2.RetryTasksRequest(
                namespace=self._link.namespace, task_ids=ids, request_id=uuid.uuid4().hex
            )
            return (await self._link.tasks.RetryTasks(request, timeout=CALL_TIMEOUT)).results

        return await _batched("retried", task_ids, call)

    async def submit(self, spec: task_pb2.TaskSpec) -> Outcome:
        """Submits one task."""
        outcome = Outcome("submitted")
        request = task_service_pb2.SubmitRequest(
            namespace=self._link.namespace, tasks=[spec], request_id=uuid.uuid4().hex
        )
        try:
            answer = await self._link.tasks.Submit(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error))
            return outcome
        for result in answer.results:
            _count(outcome, result)
            outcome.made.append(sanitize(result.task_id))
        return outcome

    async def pause_queues(self, queues: Sequence[str], paused: bool) -> Outcome:
        """Stops queues from handing out tasks, or lets them again."""

        async def call(queue: str) -> None:
            await self._link.fleet.UpdateQueue(
                fleet_service_pb2.UpdateQueueRequest(
                    namespace=self._link.namespace, queue=queue, paused=paused, note=actor()
                ),
                timeout=CALL_TIMEOUT,
            )

        return await _each("paused" if paused else "resumed", queues, call)

    async def pause_schedules(self, schedules: Sequence[str], paused: bool) -> Outcome:
        """Stops schedules from creating tasks, or lets them again."""

        async def call(schedule: str) -> None:
            if paused:
                await self._link.schedules.PauseSchedule(
                    schedule_service_pb2.PauseScheduleRequest(
                        namespace=self._link.namespace, schedule_id=schedule, note=actor()
                    ),
                    timeout=CALL_TIMEOUT,
                )
            else:
                await self._link.schedules.ResumeSchedule(
                    schedule_service_pb2.ResumeScheduleRequest(
                        namespace=self._link.namespace, schedule_id=schedule
                    ),
                    timeout=CALL_TIMEOUT,
                )

        return await _each("paused" if paused else "resumed", schedules, call)

    async def trigger(self, schedules: Sequence[str]) -> Outcome:
        """Creates one task of each schedule now."""
        made: list[str] = []

        async def call(schedule: str) -> None:
            request = schedule_service_pb2.TriggerScheduleRequest(
                namespace=self._link.namespace, schedule_id=schedule, request_id=uuid.uuid4().hex
            )
            answer = await self._link.schedules.TriggerSchedule(request, timeout=CALL_TIMEOUT)
            made.append(sanitize(answer.task_id))

        outcome = await _each("triggered", schedules, call)
        outcome.made = made
        return outcome

    async def drain(self, agents: Sequence[str]) -> Outcome:
        """Tells agents to finish what they have and to claim no more."""

        async def call(agent: str) -> None:
            await self._link.fleet.DrainAgent(
                fleet_service_pb2.DrainAgentRequest(namespace=self._link.namespace, agent_id=agent),
                timeout=CALL_TIMEOUT,
            )

        return await _each("draining", agents, call)

    async def preview(self, schedule: str, count: int) -> list[float]:
        """The next instants of a schedule; empty when the server cannot say."""
        request = schedule_service_pb2.PreviewScheduleRequest(
            namespace=self._link.namespace, schedule_id=schedule, count=count
        )
        try:
            answer = await self._link.schedules.PreviewSchedule(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError:
            return []
        return [seconds(instant) for instant in answer.times]


def _count(outcome: Outcome, result: _Result) -> None:
    if result.HasField("error"):
        outcome.refuse(refusal_of(result.error))
    else:
        outcome.done += 1


async def _batched(
    verb: str,
    items: Sequence[str],
    call: Callable[[Sequence[str]], Awaitable[Iterable[_Result]]],
) -> Outcome:
    outcome = Outcome(verb)
    for at in range(0, len(items), BATCH):
        batch = items[at : at + BATCH]
        try:
            for result in await call(batch):
                _count(outcome, result)
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error), len(batch))
    return outcome


async def _each(verb: str, items: Sequence[str], call: Callable[[str], Awaitable[None]]) -> Outcome:
    outcome = Outcome(verb)
    for item in items:
        try:
            await call(item)
            outcome.done += 1
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error))
    return outcome
