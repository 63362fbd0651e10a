"""How long a server with a history takes to answer again after it was killed."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import ClaimRequest
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck.v1.task_service_pb2 import GetTaskRequest
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck_server.bench.errors import BenchError
from quarterdeck_server.bench.figures import Figures
from quarterdeck_server.bench.jobs import NAMESPACE
from quarterdeck_server.bench.lab import Lab
from quarterdeck_server.bench.processes import prepare

_ANSWER_SECONDS = 120.0


async def restart(lab: Lab) -> Figures:
    """A million finished and 100,000 ready tasks: from the process' start to an answered Claim and GetTask."""
    if lab.options.server:
        raise BenchError("restart starts a server of its own: leave --server out")
    data = lab.folder / "data"
    finished, ready = lab.options.count(1_000_000), lab.options.count(100_000)
    task_id = await prepare("history", data, finished, ready, lab.queue)
    size = sum(path.stat().st_size for path in data.iterdir())
    _forget_cached(data)
    costs: Figures = {}
    start = time.monotonic()
    await lab.start()
    listening = time.monotonic() - start
    async with lab.metered(costs):
        await asyncio.to_thread(_first_answers, lab.address, lab.queue, task_id)
        seconds = time.monotonic() - start
    return {
        "seconds": round(seconds, 3),
        "listening_seconds": round(listening, 3),
        "database_mb": round(size / 2**20, 1),
        "rss_mb": costs.get("rss_mb", 0.0),
    }


def _forget_cached(data: Path) -> None:
    """Have the operating system drop the files from its cache, where it can be asked to: a machine that just booted."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in data.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _first_answers(address: str, queue: str, task_id: str) -> None:
    """Get a ready task and look at a finished one."""
    claim = ClaimRequest(
        namespace=NAMESPACE,
        agent=AgentInfo(agent_id="bench-restart", name="bench", slots=1),
        queues=[queue],
        max_tasks=1,
        wait=Duration(seconds=20),
    )
    get = GetTaskRequest(namespace=NAMESPACE, task_id=task_id)
    with grpc.insecure_channel(address) as channel:
        claims = AgentServiceStub(channel).Claim.future(claim, timeout=_ANSWER_SECONDS)
        TaskServiceStub(channel).GetTask(get, timeout=_ANSWER_SECONDS)
        if not claims.result().tasks:
            raise BenchError("the restarted server gave out none of the ready tasks")
