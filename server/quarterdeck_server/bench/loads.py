"""What load processes run: `python -m quarterdeck_server.bench.loads ROLE JOB`, with the job as JSON.

They use the SDK as its users do. A role gets ready, says so, begins when a line comes in, and says what came out; an
agent works until its stdin is closed. `processes.LoadProcess` is the other side.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import quarterdeck
from quarterdeck_server.bench.board import Board
from quarterdeck_server.bench.figures import Figures, percentiles, rate
from quarterdeck_server.bench.jobs import NAMESPACE, TASK, Job, say, told_to_begin

_TEXT = "a question of the usual size, with a name or two, and a link to what it is about"
_BULK = 500
_WARM_UP = 20


async def submit_singly(job: Job) -> Figures:
    """One coroutine or many, each awaiting single submits."""
    async with quarterdeck.AsyncClient(job.address, NAMESPACE) as client:
        await client.server_info()
        await told_to_begin()
        left = job.tasks
        times: list[float] = []
        start = time.perf_counter()

        async def submit() -> None:
            nonlocal left
            before = time.perf_counter()
            while left > 0 and before - start < job.limit:
                left -= 1
                await client.submit(TASK, _TEXT, queue=job.queue)
                after = time.perf_counter()
                times.append(after - before)
                before = after

        await asyncio.gather(*(submit() for _ in range(job.parallel)))
        return rate(len(times), time.perf_counter() - start) | percentiles(times)


async def submit_bulk(job: Job) -> Figures:
    """Many tasks in a call, several calls at once."""
    async with quarterdeck.AsyncClient(job.address, NAMESPACE) as client:
        await client.server_info()
        await told_to_begin()
        left = job.tasks
        done = 0
        start = time.perf_counter()

        async def submit() -> None:
            nonlocal left, done
            while left > 0 and time.perf_counter() - start < job.limit:
                count = min(_BULK, left)
                left -= count
                spec = quarterdeck.Spec(TASK, _TEXT, {"queue": job.queue})
                results = await client.submit_many([spec] * count)
                for result in results:
                    if result.error is not None:
                        raise result.error
                done += count

        await asyncio.gather(*(submit() for _ in range(job.parallel)))
        return rate(done, time.perf_counter() - start)


async def submit_paced(job: Job) -> Figures:
    """One task at each tick, however long the one before takes; its input and a label say when it was submitted."""
    async with quarterdeck.AsyncClient(job.address, NAMESPACE) as client:
        await client.server_info()
        await told_to_begin()
        start = time.perf_counter()

        async def submit(number: int) -> None:
            await asyncio.sleep(start + number * job.interval - time.perf_counter())
            task = {"sent": time.monotonic_ns(), "text": _TEXT}
            await client.submit(TASK, task, queue=job.queue)

        await asyncio.gather(*(submit(number) for number in range(job.tasks)))
        return rate(job.tasks, time.perf_counter() - start)


async def watch(job: Job) -> Figures:
    """From a change's commit to its arrival, for tasks that another process submits."""
    times: list[float] = []
    async with quarterdeck.AsyncClient(job.address, NAMESPACE) as client:
        changes = client.watch(["task"], filter=f"queue:{job.queue}")
        first = asyncio.ensure_future(anext(changes))
        # The stream is up before the first submit: calls of one process reach the server in order.
        await client.server_info()
        await told_to_begin()
        change = await first
        while True:
            if change.type == "created" and change.time is not None:
                times.append(time.time() - change.time.timestamp())
            if len(times) >= job.tasks:
                break
            change = await anext(changes)
        await changes.close()
    return percentiles(times[min(_WARM_UP, len(times) // 2) :])


def agent(job: Job) -> Figures:
    """An agent whose handler does nothing but to count."""
    board = Board(Path(job.board), job.place)
    worker = quarterdeck.Agent("bench", slots=job.slots, queues=[job.queue])

    @worker.task(name=TASK)
    async def noop(run: quarterdeck.Run) -> None:
        board.note(run.id)

    _serve(worker, job)
    return {}


def agent_timing(job: Job) -> Figures:
    """An agent whose handler takes the time since the task's submit."""
    board = Board(Path(job.board), job.place)
    times: list[float] = []
    worker = quarterdeck.Agent("bench", slots=job.slots, queues=[job.queue])

    @worker.task(name=TASK)
    async def noop(run: quarterdeck.Run, task: dict[str, Any]) -> None:
        times.append((time.monotonic_ns() - task["sent"]) / 1e9)
        board.note(run.id)

    _serve(worker, job)
    return percentiles(times[min(_WARM_UP, len(times) // 2) :])


def _serve(worker: quarterdeck.Agent, job: Job) -> None:
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    say({"ready": True})
    quarterdeck.serve(worker, job.address, namespace=NAMESPACE)


def _stop_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


async def swarm(job: Job) -> Figures:
    """Thousands of idle agents."""
    from quarterdeck_server.bench.swarm import run_swarm

    return await run_swarm(job)


async def held(job: Job) -> Figures:
    """Agents that hold tasks until they are cancelled."""
    from quarterdeck_server.bench.held import run_held

    return await run_held(job)


async def claimants(job: Job) -> Figures:
    """Agents that claim from many queues."""
    from quarterdeck_server.bench.claims import run_claimants

    return await run_claimants(job)


AGENTS: dict[str, Callable[[Job], Figures]] = {"agent": agent, "agent_timing": agent_timing}
ROLES: dict[str, Callable[[Job], Awaitable[Figures]]] = {
    "submit_singly": submit_singly,
    "submit_bulk": submit_bulk,
    "submit_paced": submit_paced,
    "watch": watch,
    "swarm": swarm,
    "held": held,
    "claimants": claimants,
}


def main(role: str, job: Job) -> None:
    """Run a role to its end, and stay until the bench has looked at what it cost."""
    if role in AGENTS:
        say(AGENTS[role](job))
        return

    async def run() -> None:
        say(await ROLES[role](job))

    asyncio.run(run())
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main(sys.argv[1], Job(**json.loads(sys.argv[2])))
