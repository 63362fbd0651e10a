"""What queues and agents count: their rows at the end of a group, with what its tasks did.

A task that changes its state only notes a step; so a queue has one row and one change a group, however many of its
tasks changed.
"""

from __future__ import annotations

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.model import new_queue
from quarterdeck_server.engine.world import World

_NO_TOTALS = (0, 0, 0, 0, 0)


def finish(world: World) -> None:
    """Fold what the tasks did into their queues and agents, and record one change for each of those.

    Every queue and agent named in the deltas must be loaded, where it exists.
    """
    _finish_queues(world)
    _finish_agents(world)


def _finish_queues(world: World) -> None:
    for key in world.dirty_queues | world.deltas.keys():
        before = world.queues.get(key)
        queue = before or new_queue(*key, world.now)
        if queue.back_off_until is not None and queue.back_off_until <= world.now:
            queue = queue._replace(back_off_until=None)
        counts = {(name, state): n for name, state, n in queue.counts}
        for cell, step in world.deltas.get(key, {}).items():
            counts[cell] = counts.get(cell, 0) + step
        submitted, succeeded, failed, cancelled, expired = world.totals.get(key, _NO_TOTALS)
        world.revision += 1
        queue = queue._replace(
            submitted_total=queue.submitted_total + submitted,
            succeeded_total=queue.succeeded_total + succeeded,
            failed_total=queue.failed_total + failed,
            cancelled_total=queue.cancelled_total + cancelled,
            expired_total=queue.expired_total + expired,
            counts=tuple((name, state, n) for (name, state), n in counts.items() if n),
            revision=world.revision,
        )
        world.queues[key] = queue
        world.dirty_queues.add(key)
        known = before is not None and before.revision > 0
        world.record(log.QUEUE, log.UPDATED if known else log.CREATED, queue, before)


def _finish_agents(world: World) -> None:
    for key in world.dirty_agents | world.agent_deltas.keys():
        agent = world.agents.get(key)
        if agent is None:
            continue
        world.revision += 1
        known = agent.revision > 0
        after = agent._replace(
            running=max(0, agent.running + world.agent_deltas[key]), revision=world.revision
        )
        world.agents[key] = after
        world.dirty_agents.add(key)
        world.record(log.AGENT, log.UPDATED if known else log.CREATED, after, agent)
