"""What the operator does to the fleet, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import grpc

from quarterdeck.v1 import fleet_service_pb2 as fleet_pb
from quarterdeck.v1 import schedule_service_pb2
from quarterdeck.v1.hold_pb2 import HoldKind
from quarterdeck.v1.queue_pb2 import ArrivalPolicy, QueueLimits
from quarterdeck_console.model.holds import KINDS
from quarterdeck_console.model.parts import seconds
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.stream.channel import CALL_TIMEOUT, Link
from quarterdeck_console.stream.outcome import Outcome, actor, each
from quarterdeck_console.stream.task_acts import TaskCalls


class Acts(TaskCalls):
    """Acts through one link: what became of each item is the answer, a refusal is never raised."""

    def __init__(self, link: Link) -> None:
        self._link = link

    # Queues.

    async def pause_queues(self, queues: Sequence[str], note: str, *, drop: bool) -> Outcome:
        """Stops queues from handing out tasks; what arrives waits, or is dropped."""
        arrivals = ArrivalPolicy.ARRIVAL_POLICY_DROP if drop else ArrivalPolicy.ARRIVAL_POLICY_QUEUE

        async def call(queue: str) -> None:
            await self._update_queue(queue, note, paused=True, paused_arrivals=arrivals)

        return await each("paused", "queue", queues, call)

    async def resume_queues(self, queues: Sequence[str], reason: str) -> Outcome:
        """Lets queues hand out tasks again."""

        async def call(queue: str) -> None:
            await self._update_queue(queue, reason, paused=False)

        return await each("resumed", "queue", queues, call)

    async def limit_queues(
        self, queues: Sequence[str], limits: QueueLimits, note: str, etags: Mapping[str, str]
    ) -> Outcome:
        """Replaces what may start from queues, unless they are others than those with these etags."""

        async def call(queue: str) -> None:
            await self._update_queue(queue, note, limits=limits, etag=etags[queue])

        return await each("limited", "queue", queues, call)

    async def _update_queue(
        self,
        queue: str,
        note: str,
        *,
        paused: bool | None = None,
        paused_arrivals: ArrivalPolicy.ValueType = ArrivalPolicy.ARRIVAL_POLICY_UNSPECIFIED,
        limits: QueueLimits | None = None,
        etag: str = "",
    ) -> None:
        request = fleet_pb.UpdateQueueRequest(
            namespace=self._link.namespace,
            queue=queue,
            paused=paused,
            reason=note,
            limits=limits,
            paused_arrivals=paused_arrivals,
            etag=etag,
            actor=actor(),
        )
        await self._link.fleet.UpdateQueue(request, timeout=CALL_TIMEOUT)

    # Agents and holds.

    async def drain(self, agents: Sequence[str], reason: str) -> Outcome:
        """Tells agents to finish what they have and to claim no more."""

        async def call(agent: str) -> None:
            request = fleet_pb.DrainAgentRequest(
                namespace=self._link.namespace, agent_id=agent, reason=reason, actor=actor()
            )
            await self._link.fleet.DrainAgent(request, timeout=CALL_TIMEOUT)

        return await each("draining", "agent", agents, call)

    async def freeze(self, reason: str) -> Outcome:
        """Stops all claiming in the namespace."""

        async def call(_: str) -> None:
            request = fleet_pb.FreezeRequest(
                namespace=self._link.namespace, reason=reason, actor=actor()
            )
            await self._link.fleet.Freeze(request, timeout=CALL_TIMEOUT)

        return await each("frozen", "namespace", [self._link.namespace], call)

    async def thaw(self, reason: str) -> Outcome:
        """Ends the freeze."""

        async def call(_: str) -> None:
            request = fleet_pb.ThawRequest(
                namespace=self._link.namespace, reason=reason, actor=actor()
            )
            await self._link.fleet.Thaw(request, timeout=CALL_TIMEOUT)

        return await each("thawed", "namespace", [self._link.namespace], call)

    async def hold(
        self, kind: HoldKind.ValueType, subjects: Sequence[str], reason: str, *, drop: bool = False
    ) -> Outcome:
        """Holds task names, agents or versions of agents."""
        arrivals = (
            ArrivalPolicy.ARRIVAL_POLICY_DROP if drop else ArrivalPolicy.ARRIVAL_POLICY_UNSPECIFIED
        )

        async def call(subject: str) -> None:
            request = fleet_pb.PutHoldRequest(
                namespace=self._link.namespace,
                kind=kind,
                subject=subject,
                reason=reason,
                actor=actor(),
                arrivals=arrivals,
            )
            await self._link.fleet.PutHold(request, timeout=CALL_TIMEOUT)

        return await each("held", KINDS[kind], subjects, call)

    async def release(
        self, holds: Sequence[tuple[HoldKind.ValueType, str]], reason: str
    ) -> Outcome:
        """Ends holds, each given as its kind and subject."""
        by_id = {f"{kind}:{subject}": (kind, subject) for kind, subject in holds}

        async def call(hold: str) -> None:
            kind, subject = by_id[hold]
            if kind == HoldKind.HOLD_KIND_NAMESPACE:
                thaw = fleet_pb.ThawRequest(
                    namespace=self._link.namespace, reason=reason, actor=actor()
                )
                await self._link.fleet.Thaw(thaw, timeout=CALL_TIMEOUT)
                return
            request = fleet_pb.ReleaseHoldRequest(
                namespace=self._link.namespace,
                kind=kind,
                subject=subject,
                reason=reason,
                actor=actor(),
            )
            await self._link.fleet.ReleaseHold(request, timeout=CALL_TIMEOUT)

        return await each("released", "hold", list(by_id), call)

    # Schedules.

    async def pause_schedules(self, schedules: Sequence[str], note: str) -> Outcome:
        """Stops schedules from creating tasks."""

        async def call(schedule: str) -> None:
            request = schedule_service_pb2.PauseScheduleRequest(
                namespace=self._link.namespace, schedule_id=schedule, reason=note, actor=actor()
            )
            await self._link.schedules.PauseSchedule(request, timeout=CALL_TIMEOUT)

        return await each("paused", "schedule", schedules, call)

    async def resume_schedules(self, schedules: Sequence[str], reason: str) -> Outcome:
        """Lets schedules create tasks again."""

        async def call(schedule: str) -> None:
            request = schedule_service_pb2.ResumeScheduleRequest(
                namespace=self._link.namespace, schedule_id=schedule, reason=reason, actor=actor()
            )
            await self._link.schedules.ResumeSchedule(request, timeout=CALL_TIMEOUT)

        return await each("resumed", "schedule", schedules, call)

    async def trigger(self, schedules: Sequence[str]) -> Outcome:
        """Creates one task of each schedule now."""
        made: list[str] = []

        async def call(schedule: str) -> None:
            request = schedule_service_pb2.TriggerScheduleRequest(
                namespace=self._link.namespace,
                schedule_id=schedule,
                request_id=uuid.uuid4().hex,
                actor=actor(),
            )
            answer = await self._link.schedules.TriggerSchedule(request, timeout=CALL_TIMEOUT)
            made.append(sanitize(answer.task_id))

        outcome = await each("triggered", "schedule", schedules, call)
        outcome.made = made
        return outcome

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
