"""A cancel by filter of many running tasks: every agent is told of each of its own, and every task has its proof."""

from __future__ import annotations

import asyncio

from quarterdeck.v1 import task_pb2
from quarterdeck_server.bench.held import STUBBORN, Holder, Told
from quarterdeck_server.bench.jobs import NAMESPACE, TASK, Job

from .api import Api, fleet_pb, spec, tasks_pb
from .conftest import Server

AGENTS, SLOTS = 10, 50
TASKS = AGENTS * SLOTS


async def test_every_agent_is_told_and_every_task_is_stopped_or_escalated(
    server: Server, api: Api
) -> None:
    grace = {"cancel_grace": {"seconds": 2}}
    names = [TASK if number % 50 else STUBBORN for number in range(TASKS)]
    ids = await api.submit(*(spec(name, timeouts=grace) for name in names), namespace=NAMESPACE)
    told = Told()
    job = Job(server.address, "default", slots=SLOTS)
    agents = [Holder(server.channel(), job, f"holder-{n}", told) for n in range(AGENTS)]
    await asyncio.gather(*(agent.fill() for agent in agents))
    holding = asyncio.gather(*(agent.hold() for agent in agents))
    (elsewhere,) = await api.submit()
    request = tasks_pb.ActOnTasksRequest(
        namespace=NAMESPACE,
        filter="state:running",
        max_count=TASKS,
        actor="ann",
        reason="wrong prompt",
        cancel={},
    )
    answers = [answer async for answer in api.tasks.ActOnTasks(request)]
    assert (answers[-1].matched, answers[-1].done, answers[-1].complete) == (TASKS, TASKS, True)
    await holding
    assert (told.cancels, told.lost) == (TASKS, names.count(STUBBORN))
    for name, task_id in zip(names, ids, strict=True):
        task = (await api.get(task_id, namespace=NAMESPACE)).task
        proof = task.cancellation
        assert task.state == task_pb2.TASK_STATE_CANCELLED
        assert (proof.actor, proof.reason) == ("ann", "wrong prompt")
        assert proof.HasField("deliver_time")
        assert proof.HasField("escalate_time") == (name == STUBBORN)
        assert proof.HasField("stop_time") == proof.HasField("acknowledge_time") == (name == TASK)
    assert (await api.get(elsewhere)).task.state == task_pb2.TASK_STATE_READY
    page = fleet_pb.ListAuditEntriesRequest(namespace=NAMESPACE)
    (entry,) = (await api.fleet.ListAuditEntries(page)).entries
    assert (entry.actor, entry.matched, entry.done) == ("ann", TASKS, TASKS)
