"""Agents in one process that hold many tasks and let them be cancelled: raw calls, as in `swarm`.

What they are told to stop they acknowledge with a heartbeat and report as stopped, as the SDK does; tasks of the name
STUBBORN they go on with, as a handler does that does not listen.
"""

from __future__ import annotations

import asyncio
import os
import time

from google.protobuf.duration_pb2 import Duration
from grpc import aio

from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import (
    DIRECTIVE_CANCEL,
    DIRECTIVE_LOST,
    AttemptReport,
    Cancelled,
    ClaimedTask,
    ClaimRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    LeaseBeat,
    ReportRequest,
)
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck_server.bench.figures import Figures
from quarterdeck_server.bench.jobs import NAMESPACE, TASK, Job, told_to_begin

STUBBORN = "stubborn"
"""The name of tasks that do not stop."""

_CLAIM_SECONDS = 5.0
_CALL_SECONDS = 60.0
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


class Told:
    """When the agents heard what, by the monotonic clock; the last of all."""

    def __init__(self) -> None:
        self.cancels = 0
        self.delivered = 0.0
        self.stopped = 0.0
        self.lost = 0

    def figures(self) -> Figures:
        """As the answer of a load process."""
        return {
            "cancels": self.cancels,
            "delivered": self.delivered,
            "stopped": self.stopped,
            "lost": self.lost,
        }


class Holder:
    """One agent."""

    def __init__(self, channel: aio.Channel, job: Job, name: str, told: Told) -> None:
        self._stub = AgentServiceStub(channel)
        self._job = job
        self._info = AgentInfo(agent_id=name, name="bench", slots=job.slots)
        self._told = told
        self._held: dict[str, ClaimedTask] = {}

    async def fill(self) -> None:
        """Claim until every slot holds a task."""
        while (room := self._job.slots - len(self._held)) > 0:
            request = ClaimRequest(
                namespace=NAMESPACE,
                agent=self._info,
                queues=[self._job.queue],
                names=[TASK, STUBBORN],
                max_tasks=room,
                wait=_duration(_CLAIM_SECONDS),
            )
            response = await self._stub.Claim(request, timeout=_CALL_SECONDS)
            self._held.update((task.task_id, task) for task in response.tasks)

    async def hold(self) -> None:
        """Keep a heartbeat waiting until nothing is held any more."""
        while self._held:
            response = await self._beat(wait=self._job.beat)
            stop = self._hear(response)
            if stop:
                await self._beat(acknowledged=stop)
                await self._report(stop)

    async def _beat(
        self, *, wait: float = 0.0, acknowledged: list[ClaimedTask] | None = None
    ) -> HeartbeatResponse:
        """Renew all leases, or only acknowledge cancels."""
        tasks = self._held.values() if acknowledged is None else acknowledged
        request = HeartbeatRequest(
            namespace=NAMESPACE,
            agent=self._info,
            leases=[
                LeaseBeat(
                    task_id=task.task_id,
                    lease_token=task.lease_token,
                    cancel_acknowledged=acknowledged is not None,
                )
                for task in tasks
            ],
            wait=_duration(wait),
        )
        return await self._stub.Heartbeat(request, timeout=_CALL_SECONDS)

    def _hear(self, response: HeartbeatResponse) -> list[ClaimedTask]:
        """Note what a heartbeat brought; return the tasks that are to stop and do."""
        told, stop = self._told, []
        for directive in response.directives:
            task = self._held.get(directive.task_id)
            if task is None:
                continue
            if directive.directive == DIRECTIVE_CANCEL:
                told.cancels += 1
                told.delivered = time.monotonic()
                if task.name != STUBBORN:
                    stop.append(self._held.pop(task.task_id))
            elif directive.directive == DIRECTIVE_LOST:
                told.lost += 1
                del self._held[task.task_id]
        return stop

    async def _report(self, stopped: list[ClaimedTask]) -> None:
        reports = [
            AttemptReport(task_id=task.task_id, lease_token=task.lease_token, cancelled=Cancelled())
            for task in stopped
        ]
        request = ReportRequest(namespace=NAMESPACE, agent_id=self._info.agent_id, reports=reports)
        await self._stub.Report(request, timeout=_CALL_SECONDS)
        self._told.stopped = time.monotonic()


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration


async def run_held(job: Job) -> Figures:
    """Take all the tasks, say so, and hold them until they are cancelled."""
    run = os.urandom(4).hex()
    channels = [aio.insecure_channel(job.address, options=_OPTIONS) for _ in range(job.connections)]
    told = Told()
    agents = [
        Holder(channels[number % len(channels)], job, f"bench-{run}-{number}", told)
        for number in range(job.agents)
    ]
    try:
        await asyncio.gather(*(agent.fill() for agent in agents))
        holding = asyncio.gather(*(agent.hold() for agent in agents))
        await told_to_begin()
        await holding
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
    return told.figures()
