"""How long a cancel by filter takes to reach all agents, and until all is proven stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1.task_pb2 import TASK_STATE_CANCELLED, Task, TaskSpec, Timeouts
from quarterdeck.v1.task_service_pb2 import (
    ActOnTasksRequest,
    CancelAct,
    ListTasksRequest,
    SubmitRequest,
)
from quarterdeck.v1.task_service_pb2_grpc import TaskServiceStub
from quarterdeck_server.bench.errors import BenchError
from quarterdeck_server.bench.figures import Figures
from quarterdeck_server.bench.held import STUBBORN
from quarterdeck_server.bench.jobs import NAMESPACE, TASK
from quarterdeck_server.bench.lab import Lab

if TYPE_CHECKING:
    from quarterdeck.v1.task_service_pb2_grpc import TaskServiceAsyncStub

_TASKS = 10_000
_SLOTS = 100
_STUBBORN_EVERY = 100
"""Of so many tasks one does not stop."""
_GRACE_SECONDS = 3
_BULK = 1_000
_CALL_SECONDS = 120.0


async def cancel_10000(lab: Lab) -> Figures:
    """10,000 running tasks on 100 agents, cancelled by one filter; one in a hundred does not stop by itself."""
    tasks = lab.options.count(_TASKS)
    slots = min(_SLOTS, tasks)
    agents = -(-tasks // slots)
    tasks = agents * slots
    await lab.start()
    async with grpc.aio.insecure_channel(lab.address) as channel:
        stub = TaskServiceStub(channel)
        await _submit(stub, lab.queue, tasks)
        holders = await lab.load(
            "held", agents=agents, slots=slots, connections=min(10, agents), beat=10.0
        )
        holders.go()
        figures: Figures = {}
        async with lab.metered(figures):
            start = time.monotonic()
            await _cancel(stub, lab.queue, tasks)
            acted = time.monotonic()
            told = await holders.answer()
            end = time.monotonic()
        escalated = await _escalated(stub, lab.queue, tasks)
    if told["cancels"] != tasks or told["lost"] != escalated:
        raise BenchError(f"{tasks} tasks were cancelled, {escalated} escalated; agents saw {told}")
    return {
        "tasks": tasks,
        "agents": agents,
        "acted_p100_ms": _ms(acted - start),
        "delivered_p100_ms": _ms(told["delivered"] - start),
        "stopped_p100_ms": _ms(told["stopped"] - start),
        "escalated": escalated,
        "escalated_p100_ms": _ms(end - start),
    } | figures


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


async def _submit(stub: TaskServiceAsyncStub, queue: str, tasks: int) -> None:
    timeouts = Timeouts(cancel_grace=Duration(seconds=_GRACE_SECONDS))
    specs = [
        TaskSpec(
            name=TASK if number % _STUBBORN_EVERY else STUBBORN, queue=queue, timeouts=timeouts
        )
        for number in range(tasks)
    ]
    for start in range(0, tasks, _BULK):
        request = SubmitRequest(namespace=NAMESPACE, tasks=specs[start : start + _BULK])
        await stub.Submit(request, timeout=_CALL_SECONDS)


async def _cancel(stub: TaskServiceAsyncStub, queue: str, tasks: int) -> None:
    request = ActOnTasksRequest(
        namespace=NAMESPACE,
        filter=f"queue:{queue} state:running",
        max_count=tasks,
        reason="bench",
        actor="bench",
        cancel=CancelAct(),
    )
    answers = [answer async for answer in stub.ActOnTasks(request, timeout=_CALL_SECONDS)]
    if not answers[-1].complete or answers[-1].done != tasks:
        raise BenchError(f"{tasks} tasks should have been cancelled: {answers[-1]}")


async def _escalated(stub: TaskServiceAsyncStub, queue: str, tasks: int) -> int:
    """Check that every task has the proof of its cancel; return of how many it is the escalation."""
    found: list[Task] = []
    request = ListTasksRequest(namespace=NAMESPACE, filter=f"queue:{queue}", page_size=1_000)
    while True:
        page = await stub.ListTasks(request, timeout=_CALL_SECONDS)
        found += page.tasks
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    unproven = [task.id for task in found if not _proven(task)]
    if unproven or len(found) != tasks:
        raise BenchError(f"{len(unproven)} of {len(found)} tasks are not proven to have stopped")
    return _count_escalated(found)


def _proven(task: Task) -> bool:
    proof = task.cancellation
    return task.state == TASK_STATE_CANCELLED and (
        proof.HasField("stop_time") or proof.HasField("escalate_time")
    )


def _count_escalated(tasks: Sequence[Task]) -> int:
    return sum(task.cancellation.HasField("escalate_time") for task in tasks)
