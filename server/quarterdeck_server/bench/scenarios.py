"""What is measured. Each scenario gets a lab of its own, not started, and returns its figures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from quarterdeck_server.bench.cancel import cancel_10000
from quarterdeck_server.bench.claims import claims_1m
from quarterdeck_server.bench.figures import Figures, rate
from quarterdeck_server.bench.lab import Lab
from quarterdeck_server.bench.restart import restart

Scenario = Callable[[Lab], Awaitable[Figures]]

_SUBMIT_SECONDS = 10.0
_DONE_SECONDS = 120.0


async def _submit(lab: Lab, role: str, tasks: int, parallel: int) -> Figures:
    await lab.start()
    producer = await lab.load(
        role,
        tasks=lab.options.count(tasks),
        limit=lab.options.seconds(_SUBMIT_SECONDS),
        parallel=parallel,
    )
    figures: Figures = {}
    async with lab.metered(figures):
        figures |= await producer.run()
    return figures


async def submit_sequential(lab: Lab) -> Figures:
    """One submit after the other."""
    return await _submit(lab, "submit_singly", 5_000, 1)


async def submit_concurrent_50(lab: Lab) -> Figures:
    """50 coroutines, each awaiting single submits."""
    return await _submit(lab, "submit_singly", 50_000, 50)


async def submit_bulk(lab: Lab) -> Figures:
    """500 tasks a call, four calls at once."""
    return await _submit(lab, "submit_bulk", 100_000, 4)


async def drain_1(lab: Lab) -> Figures:
    """10,000 queued tasks, one agent process."""
    return await _drain(lab, 1)


async def drain_2(lab: Lab) -> Figures:
    """10,000 queued tasks, two agent processes."""
    return await _drain(lab, 2)


async def _drain(lab: Lab, agents: int) -> Figures:
    """The tasks wait in a paused queue, the agents for them; the clock starts when the queue is resumed."""
    tasks = lab.options.count(10_000)
    await lab.start()
    await lab.fill(tasks)
    await lab.client.pause_queue(lab.queue)
    await lab.agents(agents)
    figures: Figures = {}
    async with lab.metered(figures):
        start = time.monotonic()
        await lab.client.resume_queue(lab.queue)
        end = await lab.all_done(tasks, _DONE_SECONDS)
        figures |= rate(tasks, end - start)
    return figures


async def pipeline(lab: Lab) -> Figures:
    """A producer and an agent at once; from the first submit to the last report."""
    tasks = lab.options.count(30_000)
    await lab.start()
    await lab.agents(1)
    producer = await lab.load("submit_bulk", tasks=tasks, limit=_DONE_SECONDS, parallel=2)
    figures: Figures = {}
    async with lab.metered(figures):
        start = time.monotonic()
        producer.go()
        end = await lab.all_done(tasks, _DONE_SECONDS)
        figures |= rate(tasks, end - start)
    await producer.answer()
    return figures


async def latency(lab: Lab) -> Figures:
    """An idle system, a task every 20 ms: from the submit call to the start of its handler in another process."""
    tasks = lab.options.count(500)
    await lab.start()
    (agent,) = await lab.agents(1, "agent_timing", slots=8)
    producer = await lab.load("submit_paced", tasks=tasks, interval=0.02)
    figures: Figures = {}
    async with lab.metered(figures):
        await producer.run()
        await lab.all_done(tasks, _DONE_SECONDS)
    return figures | {"tasks": tasks} | await agent.finish()


async def watch_latency(lab: Lab) -> Figures:
    """An idle system, a task every 20 ms: from a change's time to its arrival at a watcher."""
    tasks = lab.options.count(500)
    await lab.start()
    watcher = await lab.load("watch", tasks=tasks)
    producer = await lab.load("submit_paced", tasks=tasks, interval=0.02)
    figures: Figures = {"changes": tasks}
    async with lab.metered(figures):
        watcher.go()
        await producer.run()
        figures |= await watcher.answer()
    return figures


async def agents_10000(lab: Lab) -> Figures:
    """10,000 idle agents on 100 connections, a task every 20 ms: from its submit to the agent that claimed it."""
    agents = lab.options.count(10_000)
    seconds = lab.options.seconds(20.0)
    await lab.start()
    swarm = await lab.load(
        "swarm", agents=agents, connections=min(100, agents), beat=10.0, limit=seconds
    )
    producer = await lab.load("submit_paced", tasks=int(seconds / 0.02), interval=0.02)
    figures: Figures = {"agents": agents}
    async with lab.metered(figures):
        swarm.go()
        await producer.run()
        figures |= await swarm.answer()
    return figures


SCENARIOS: dict[str, Scenario] = {
    "submit_sequential": submit_sequential,
    "submit_concurrent_50": submit_concurrent_50,
    "submit_bulk": submit_bulk,
    "drain_1": drain_1,
    "drain_2": drain_2,
    "pipeline": pipeline,
    "latency": latency,
    "watch_latency": watch_latency,
    "agents_10000": agents_10000,
    "cancel_10000": cancel_10000,
    "claims_1m": claims_1m,
    "restart": restart,
}
"""By name, in the order in which they are run."""
