"""Clients that use limits, keys, holds, batches and acts by filter, and go on whatever happens to the server."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import grpc

from quarterdeck.v1 import agent_service_pb2, hold_pb2, task_pb2

from ..rpc.api import Api, agent, agents_pb, fleet_pb, spec, tasks_pb
from .load import RETRY, UNKNOWN
from .process import ServerProcess

LIMIT, LIMIT_PER_KEY = 4, 1
UNITS, BURST = 100, 5
"""Of the queue with a rate, a second."""
QUEUES = ("limited", "rated", "keyed", "crowded")
_AFTER = task_pb2.UNIQUE_POLICY_AFTER_EXISTING
_REPLACE = task_pb2.UNIQUE_POLICY_REPLACE_PENDING
_EXISTING = task_pb2.UNIQUE_POLICY_RETURN_EXISTING


async def set_limits(api: Api) -> None:
    """Give the queues their limits."""
    rate = {"units": UNITS, "burst": BURST}
    for queue, limits in (
        (
            "limited",
            {"concurrency": {"limit": LIMIT}, "concurrency_per_key": {"limit": LIMIT_PER_KEY}},
        ),
        ("rated", {"rate": rate}),
        ("crowded", {"concurrency": {"limit": 2, "overflow": 3}}),
    ):
        await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue=queue, limits=limits))


def _specs(chance: random.Random) -> Iterator[task_pb2.TaskSpec]:
    """Tasks of every kind, without end."""
    for number in count():
        key = f"k{chance.randrange(4)}"
        policy = chance.choice((_AFTER, _REPLACE, _EXISTING))
        yield spec("limited", queue="limited", group_key=key, retry=RETRY)
        yield spec("rated", queue="rated", group_key=key, retry=RETRY)
        unique = {"key": key, "policy": policy}
        yield spec("unique", queue="keyed", unique=unique, labels={"key": key}, retry=RETRY)
        yield spec("calm", queue="keyed", debounce={"key": key, "delay": {"nanos": 20_000_000}})
        yield spec("crowded", queue="crowded", retry=RETRY)
        yield spec("batched", queue="batched", group_key=key, retry=RETRY)
        yield spec(
            "picky",
            queue="keyed",
            affinity={"preferred": {"n": str(number % 9)}, "patience": {"nanos": 50_000_000}},
            retry=RETRY,
        )


class MixedLoad:
    """Submitters, agents, a batch consumer and an operator."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._clients: list[asyncio.Task[None]] = []
        self._agents: list[asyncio.Task[None]] = []
        self._acts = 0
        self._moved = asyncio.Condition()
        self.submitted: set[str] = set()

    def start(self) -> None:
        """Begin."""
        self._clients = [
            asyncio.create_task(self._with_api(work))
            for work in (self._submit, self._submit, self._operate)
        ]
        self._agents = [asyncio.create_task(self._with_api(self._agent(f"a{n}"))) for n in range(3)]
        batch = {"queues": ["batched"], "batch": {"size": 3, "linger": {"nanos": 50_000_000}}}
        self._agents.append(asyncio.create_task(self._with_api(self._agent("b", **batch))))

    async def stop_asking(self) -> None:
        """End the submitters and the operator; the agents go on."""
        await _end(self._clients)

    async def stop(self) -> None:
        """End the agents."""
        await _end(self._agents)

    async def answered(self, more: int) -> None:
        """Wait until so many more calls were answered."""
        until = self._acts + more
        async with self._moved:
            await self._moved.wait_for(lambda: self._acts >= until)

    async def _with_api(self, work: Callable[[Api], Awaitable[None]]) -> None:
        api = self._server.api()
        try:
            while True:
                with _outages():
                    await work(api)
                    async with self._moved:
                        self._acts += 1
                        self._moved.notify_all()
                    continue
                await asyncio.sleep(0.02)
        finally:
            await api.channel.close()

    async def _submit(self, api: Api) -> None:
        specs = _specs(self._chance)
        items = [next(specs) for _ in range(self._chance.randrange(7, 15))]
        answer = await api.tasks.Submit(tasks_pb.SubmitRequest(tasks=items), timeout=5)
        self.submitted.update(x.task_id for x in answer.results if not x.HasField("error"))
        await asyncio.sleep(0.005)

    def _agent(self, name: str, **request: Any) -> Callable[[Api], Awaitable[None]]:
        claim = agents_pb.ClaimRequest(
            **{
                "agent": agent(name, labels={"n": name[-1]}),
                "queues": QUEUES,
                "max_tasks": 3,
                "wait": {"nanos": 300_000_000},
                **request,
            }
        )

        async def work(api: Api) -> None:
            given = await api.agents.Claim(claim, timeout=5)
            if given.tasks:
                reports = [self._report(task) for task in given.tasks]
                sent = agents_pb.ReportRequest(agent_id=name, reports=reports)
                await api.agents.Report(sent, timeout=5)

        return work

    def _report(self, task: Any) -> agent_service_pb2.AttemptReport:
        outcome: dict[str, Any] = {"succeeded": {}}
        if self._chance.random() < 0.1:
            outcome = {
                "failed": {
                    "failure": {"type": "Unlucky"},
                    "retry_delay": {"nanos": 10_000_000},
                }
            }
        pb: Any = agent_service_pb2
        return pb.AttemptReport(  # type: ignore[no-any-return]
            task_id=task.task_id, lease_token=task.lease_token, **outcome
        )

    async def _operate(self, api: Api) -> None:
        match self._chance.randrange(8):
            case 0:
                await api.fleet.Freeze(fleet_pb.FreezeRequest(actor="op"), timeout=5)
            case 1:
                await api.fleet.PutHold(
                    fleet_pb.PutHoldRequest(kind=hold_pb2.HOLD_KIND_TASK_NAME, subject="limited")
                )
            case 2:
                paused = fleet_pb.UpdateQueueRequest(queue="rated", paused=True)
                await api.fleet.UpdateQueue(paused, timeout=5)
            case 3:
                await self._act(api, "name:batched state:ready", cancel={})
            case 4:
                await self._act(api, "name:limited state:ready", update={"priority": 7})
            case 5:
                await self._act(api, "name:picky state:ready", update={"queue": "limited"})
            case 6:
                await self._act(api, "name:rated state:running", pause={})
            case 7:
                await self._rerun(api)
        await asyncio.sleep(0.02)
        await release_all(api)

    async def _act(self, api: Api, text: str, **act: Any) -> None:
        request = tasks_pb.ActOnTasksRequest(filter=text, max_count=100_000, actor="op", **act)
        async for _ in api.tasks.ActOnTasks(request, timeout=5):
            pass

    async def _rerun(self, api: Api) -> None:
        ended = tasks_pb.ListTasksRequest(filter="name:unique state:cancelled", page_size=3)
        found = await api.tasks.ListTasks(ended, timeout=5)
        ids = [task.id for task in found.tasks]
        if ids:
            request = tasks_pb.RerunTasksRequest(task_ids=ids, with_dependents=True)
            await api.tasks.RerunTasks(request, timeout=5)


async def release_all(api: Api) -> None:
    """Let everything go on."""
    await api.fleet.Thaw(fleet_pb.ThawRequest(), timeout=5)
    await api.fleet.UpdateQueue(fleet_pb.UpdateQueueRequest(queue="rated", paused=False), timeout=5)
    held = await api.fleet.ListHolds(fleet_pb.ListHoldsRequest(), timeout=5)
    for hold in held.holds:
        request = fleet_pb.ReleaseHoldRequest(kind=hold.kind, subject=hold.subject)
        await api.fleet.ReleaseHold(request, timeout=5)
    paused = tasks_pb.ActOnTasksRequest(filter="state:running", max_count=1000, resume={})
    async for _ in api.tasks.ActOnTasks(paused, timeout=5):
        pass


@contextlib.contextmanager
def _outages() -> Iterator[None]:
    """Pass over what a killed server does to a call."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        gone = "HOLD_NOT_FOUND" in str(error.trailing_metadata()) or "not held" in str(error)
        assert error.code() in UNKNOWN or gone, error


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(done, Exception):
            raise done
