"""Ten thousand agents in one process, as far as a server can tell: raw calls, because the SDK has one agent a process.

Each does what an idle agent of the SDK does: it keeps one Claim and one Heartbeat waiting at the server. The few tasks
that come are reported at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time

from google.protobuf.duration_pb2 import Duration
from grpc import aio

from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import (
    AttemptReport,
    ClaimedTask,
    ClaimRequest,
    HeartbeatRequest,
    ReportRequest,
    Succeeded,
)
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck_server.bench.figures import Figures, percentiles
from quarterdeck_server.bench.loads import NAMESPACE, TASK, Job, told_to_begin

_CLAIM_SECONDS = 30
_CALL_SECONDS = 60.0
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]
_WARM_UP = 20


class Swarm:
    """The agents, and what they saw."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._run = os.urandom(4).hex()
        self._channels = [
            aio.insecure_channel(job.address, options=_OPTIONS) for _ in range(job.connections)
        ]
        self._stubs = [AgentServiceStub(channel) for channel in self._channels]
        self.times: list[float] = []
        """From submit to claimed, in seconds."""
        self.beats = 0

    async def arrive(self, number: int) -> None:
        """One agent's first heartbeat, at its place in the interval; then it works until cancelled."""
        await asyncio.sleep(number / self._job.agents * min(self._job.beat, self._job.limit))
        stub = self._stubs[number % len(self._stubs)]
        info = AgentInfo(agent_id=f"bench-{self._run}-{number}", name="bench", slots=1)
        request = HeartbeatRequest(namespace=NAMESPACE, agent=info)
        await stub.Heartbeat(request, timeout=_CALL_SECONDS)

    async def beat(self, number: int) -> None:
        """Keep a heartbeat waiting."""
        stub = self._stubs[number % len(self._stubs)]
        info = AgentInfo(agent_id=f"bench-{self._run}-{number}", name="bench", slots=1)
        wait = Duration(nanos=0)
        wait.FromMilliseconds(round(self._job.beat * 1000))
        request = HeartbeatRequest(namespace=NAMESPACE, agent=info, wait=wait)
        while True:
            await stub.Heartbeat(request, timeout=_CALL_SECONDS)
            self.beats += 1

    async def claim(self, number: int) -> None:
        """Keep a claim waiting, and report what it brings."""
        stub = self._stubs[number % len(self._stubs)]
        info = AgentInfo(agent_id=f"bench-{self._run}-{number}", name="bench", slots=1)
        request = ClaimRequest(
            namespace=NAMESPACE,
            agent=info,
            queues=[self._job.queue],
            names=[TASK],
            max_tasks=1,
            wait=Duration(seconds=_CLAIM_SECONDS),
        )
        while True:
            response = await stub.Claim(request, timeout=_CALL_SECONDS)
            now = time.monotonic_ns()
            if response.tasks:
                await stub.Report(self._report(info, response.tasks[0], now), timeout=_CALL_SECONDS)

    def _report(self, info: AgentInfo, task: ClaimedTask, now: int) -> ReportRequest:
        self.times.append((now - json.loads(task.input.data)["sent"]) / 1e9)
        report = AttemptReport(
            task_id=task.task_id, lease_token=task.lease_token, succeeded=Succeeded()
        )
        return ReportRequest(namespace=NAMESPACE, agent_id=info.agent_id, reports=[report])

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


async def run_swarm(job: Job) -> Figures:
    """Bring the agents up, then watch them for the time of the job."""
    swarm = Swarm(job)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(job.agents):
                group.create_task(swarm.arrive(number))
        with contextlib.suppress(TimeoutError):
            async with asyncio.TaskGroup() as group:
                for number in range(job.agents):
                    group.create_task(swarm.beat(number))
                    group.create_task(swarm.claim(number))
                group.create_task(_observe(swarm, job))
        raise AssertionError("the observer ends the group")
    except* _Over as over:
        figures: Figures = over.exceptions[0].args[0]
    finally:
        await swarm.close()
    return figures


class _Over(Exception):
    """Ends the swarm; carries its figures."""


async def _observe(swarm: Swarm, job: Job) -> None:
    await asyncio.sleep(min(job.beat, job.limit))
    await told_to_begin()
    swarm.beats = 0
    swarm.times.clear()
    start = time.monotonic()
    await asyncio.sleep(job.limit)
    seconds = time.monotonic() - start
    figures = percentiles(swarm.times)
    raise _Over(
        {"claims": len(swarm.times), "heartbeats_per_s": round(swarm.beats / seconds, 1)} | figures
    )
