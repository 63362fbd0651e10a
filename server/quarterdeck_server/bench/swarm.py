"""Ten thousand agents in one process, as far as a server can tell: raw calls, because the SDK has one agent a process.

Each does what an idle agent of the SDK does: it keeps one Claim and one Heartbeat waiting at the server. The few tasks
that come are reported at once. The agents arrive over one heartbeat interval, so that their calls are spread as those
of a real fleet are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration
from grpc import aio

from quarterdeck._streams import Streamed
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
from quarterdeck.v1.stream_service_pb2 import StreamClaimRequest, StreamHeartbeatRequest
from quarterdeck.v1.stream_service_pb2_grpc import StreamServiceStub
from quarterdeck_server.bench.figures import Figures, percentiles
from quarterdeck_server.bench.jobs import NAMESPACE, TASK, Job, told_to_begin

if TYPE_CHECKING:
    from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from quarterdeck.v1.stream_service_pb2_grpc import StreamServiceAsyncStub

_CLAIM_SECONDS = 30.0
_CALL_SECONDS = 60.0
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]
_SPREAD = 0.618
"""Multiples of it, taken modulo 1, lie evenly between 0 and 1."""


class Swarm:
    """The agents, and what they saw."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._run = os.urandom(4).hex()
        self._channels = [
            aio.insecure_channel(job.address, options=_OPTIONS) for _ in range(job.connections)
        ]
        self._stubs = [
            (AgentServiceStub(channel), StreamServiceStub(channel)) for channel in self._channels
        ]
        self._arrived = 0
        self.complete = asyncio.Event()
        """Every agent has arrived."""
        self.times: list[float] = []
        """From submit to claimed, in seconds."""
        self.beats = 0

    async def live(self, number: int) -> None:
        """One agent's life, until cancelled."""
        job = self._job
        await asyncio.sleep(number / job.agents * min(job.beat, job.limit))
        stub, streams = self._stubs[number % len(self._stubs)]
        info = AgentInfo(agent_id=f"bench-{self._run}-{number}", name="bench", slots=1)
        await stub.Heartbeat(
            HeartbeatRequest(namespace=NAMESPACE, agent=info), timeout=_CALL_SECONDS
        )
        self._arrived += 1
        if self._arrived == job.agents:
            self.complete.set()
        first_wait = _CLAIM_SECONDS * (number * _SPREAD % 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(stub, streams, info))
            group.create_task(self._claim(stub, streams, info, first_wait))

    async def _beat(
        self, stub: AgentServiceAsyncStub, streams: StreamServiceAsyncStub, info: AgentInfo
    ) -> None:
        """Keep a heartbeat waiting."""
        beat = Streamed(stub.Heartbeat, streams.StreamHeartbeat, StreamHeartbeatRequest)
        request = HeartbeatRequest(namespace=NAMESPACE, agent=info, wait=_duration(self._job.beat))
        while True:
            await beat(request, timeout=_CALL_SECONDS)
            self.beats += 1

    async def _claim(
        self,
        stub: AgentServiceAsyncStub,
        streams: StreamServiceAsyncStub,
        info: AgentInfo,
        wait: float,
    ) -> None:
        """Keep a claim waiting, and report what it brings."""
        claim = Streamed(stub.Claim, streams.StreamClaim, StreamClaimRequest)
        request = ClaimRequest(
            namespace=NAMESPACE,
            agent=info,
            queues=[self._job.queue],
            names=[TASK],
            max_tasks=1,
            wait=_duration(wait),
        )
        while True:
            response = await claim(request, timeout=_CALL_SECONDS)
            now = time.monotonic_ns()
            for task in response.tasks:
                self.times.append((now - json.loads(task.input.data)["sent"]) / 1e9)
                await stub.Report(_report(info, task), timeout=_CALL_SECONDS)
            request.wait.CopyFrom(_duration(_CLAIM_SECONDS))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration


def _report(info: AgentInfo, task: ClaimedTask) -> ReportRequest:
    report = AttemptReport(
        task_id=task.task_id, lease_token=task.lease_token, succeeded=Succeeded()
    )
    return ReportRequest(namespace=NAMESPACE, agent_id=info.agent_id, reports=[report])


async def run_swarm(job: Job) -> Figures:
    """Bring the agents up, then watch them for the time of the job."""
    # Half a million waiting objects: a full collection would stop all agents for a third of a second, and its time
    # would be measured as the server's.
    gc.disable()
    swarm = Swarm(job)
    lives = asyncio.gather(*(swarm.live(number) for number in range(job.agents)))
    observing = asyncio.ensure_future(_observe(swarm, job))
    try:
        # An agent's life ends by an error only.
        either: list[asyncio.Future[Any]] = [lives, observing]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if lives.done():
            lives.result()
        return observing.result()
    finally:
        observing.cancel()
        lives.cancel()
        await asyncio.gather(observing, lives, return_exceptions=True)
        await swarm.close()


async def _observe(swarm: Swarm, job: Job) -> Figures:
    await swarm.complete.wait()
    # One interval more: all agents are known, and none of their arrivals is measured.
    await asyncio.sleep(min(job.beat, job.limit))
    await told_to_begin()
    swarm.beats = 0
    swarm.times.clear()
    start = time.monotonic()
    await asyncio.sleep(job.limit)
    beats = swarm.beats / (time.monotonic() - start)
    return {"claims": len(swarm.times), "heartbeats_per_s": round(beats, 1)} | percentiles(
        swarm.times
    )
