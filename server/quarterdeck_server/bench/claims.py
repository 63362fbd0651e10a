"""Claims from a million ready tasks in a thousand queues, with group keys and limits."""

from __future__ import annotations

import asyncio
import time

from google.protobuf.duration_pb2 import Duration
from grpc import aio

from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import (
    AttemptReport,
    ClaimRequest,
    ClaimResponse,
    ReportRequest,
    Succeeded,
)
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck_server.bench.backlog import queue_name
from quarterdeck_server.bench.errors import BenchError
from quarterdeck_server.bench.figures import Figures, percentiles, rate
from quarterdeck_server.bench.jobs import NAMESPACE, TASK, Job, told_to_begin
from quarterdeck_server.bench.lab import Lab
from quarterdeck_server.bench.processes import prepare

_CALL_SECONDS = 30.0
_QUEUES_OF_AN_AGENT = 4
_TASKS_OF_A_CLAIM = 4
_CLAIMS_PER_SECOND = 100


async def claims_1m(lab: Lab) -> Figures:
    """1,000,000 ready tasks, 1,000 queues, 10,000 group keys, limits on all: how long a claim waits for its tasks."""
    if lab.options.server:
        raise BenchError("claims_1m starts a server of its own: leave --server out")
    tasks, queues = lab.options.count(1_000_000), lab.options.count(1_000)
    await prepare("backlog", lab.folder / "data", tasks, queues, lab.options.count(10_000))
    start = time.monotonic()
    await lab.start()
    listening = time.monotonic() - start
    load = await lab.load("claimants", tasks=queues, limit=lab.options.seconds(20.0))
    figures: Figures = {"backlog": tasks, "listening_seconds": round(listening, 3)}
    async with lab.metered(figures):
        figures |= await load.run()
    return figures


async def run_claimants(job: Job) -> Figures:
    """An agent for every few queues, of which there are `job.tasks`; each claims, reports and waits a while."""
    times: list[float] = []
    given = 0
    agents = max(1, job.tasks // _QUEUES_OF_AN_AGENT)
    async with aio.insecure_channel(job.address) as channel:
        stub = AgentServiceStub(channel)

        async def claimant(number: int, start: float) -> None:
            nonlocal given
            first = number * _QUEUES_OF_AN_AGENT
            request = ClaimRequest(
                namespace=NAMESPACE,
                agent=AgentInfo(
                    agent_id=f"claimant-{number}", name="bench", slots=_TASKS_OF_A_CLAIM
                ),
                queues=[
                    queue_name(n) for n in range(first, min(first + _QUEUES_OF_AN_AGENT, job.tasks))
                ],
                names=[TASK],
                max_tasks=_TASKS_OF_A_CLAIM,
                wait=Duration(seconds=5),
            )
            due = start + number / _CLAIMS_PER_SECOND
            while due - start < job.limit:
                await asyncio.sleep(due - time.perf_counter())
                before = time.perf_counter()
                claimed = await stub.Claim(request, timeout=_CALL_SECONDS)
                times.append(time.perf_counter() - before)
                given += len(claimed.tasks)
                await stub.Report(_report(request.agent.agent_id, claimed), timeout=_CALL_SECONDS)
                due += agents / _CLAIMS_PER_SECOND

        await told_to_begin()
        start = time.perf_counter()
        await asyncio.gather(*(claimant(number, start) for number in range(agents)))
        return (
            rate(given, time.perf_counter() - start) | percentiles(times) | {"claims": len(times)}
        )


def _report(agent_id: str, claimed: ClaimResponse) -> ReportRequest:
    reports = [
        AttemptReport(task_id=task.task_id, lease_token=task.lease_token, succeeded=Succeeded())
        for task in claimed.tasks
    ]
    return ReportRequest(namespace=NAMESPACE, agent_id=agent_id, reports=reports)
