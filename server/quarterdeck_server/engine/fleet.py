"""Commands about queues, agents, pools and the settings of namespaces."""

from __future__ import annotations

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.commands import (
    PutAgents,
    PutInstance,
    PutPools,
    Refusal,
    SetAgentState,
    UpdateNamespace,
    UpdateQueue,
)
from quarterdeck_server.engine.differences import namespace_change, queue_change
from quarterdeck_server.engine.etags import conflict, namespace_etag, queue_etag
from quarterdeck_server.engine.flow.limits import limits_of, limits_text
from quarterdeck_server.engine.model import Agent, Queue, new_queue
from quarterdeck_server.engine.namespaces import NO_SETTINGS, NamespaceSettings
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.engine.world import World


def update_queue(world: World, command: UpdateQueue) -> Queue | Refusal:
    """Change a queue, creating it if need be, unless it is another than the caller has seen."""
    key = (command.namespace, command.queue)
    found = world.queues.get(key) or new_queue(command.namespace, command.queue, world.now)
    queue = found
    if command.etag and command.etag != queue_etag(queue):
        return conflict("queue", command.queue)
    if command.paused is not None:
        queue = queue._replace(
            paused=int(command.paused), pause_note=command.note if command.paused else None
        )
    if command.drops is not None:
        queue = queue._replace(drops=int(command.drops))
    before = limits_of(queue.limits)
    after = before
    if command.limits is not None:
        after = before._replace(**{p: getattr(command.limits, p) for p in command.limit_parts})
    if after != before:
        queue = queue._replace(limits=limits_text(after))
        world.meters.limits_changed(*key, before, after, world.now)
    if command.audit is not None:
        world.changed = queue_change(found, queue)
        world.unchanged += queue == found and key in world.queues
    return world.put_queue(queue)


def put_agents(world: World, command: PutAgents) -> None:
    """Create or update agents; what they hold and since when they are known stays as stored, and so does a drain."""
    for agent in command.agents:
        key = (agent.namespace, agent.id)
        known = world.agents.get(key)
        if known is None:
            agent = agent._replace(running=world.unrecorded.get(key, 0))
        else:
            draining = known.drained and agent.state == AgentState.ACTIVE
            agent = agent._replace(
                state=int(AgentState.DRAINING) if draining else agent.state,
                running=known.running,
                create_time=known.create_time,
                revision=known.revision,
                drained=known.drained,
            )
        world.put_agent(agent)


def set_agent_state(world: World, command: SetAgentState) -> list[Agent | Refusal]:
    """Move agents to a state."""
    results: list[Agent | Refusal] = []
    for agent_id in command.agent_ids:
        agent = world.agents.get((command.namespace, agent_id))
        if agent is None:
            results.append(agent_not_found(agent_id))
            continue
        drained = int(command.state == AgentState.DRAINING or agent.drained)
        state = command.state
        if state == AgentState.GONE:
            drained = 0
        elif state == AgentState.DRAINING and agent.state == AgentState.GONE:
            # Nobody would note that it is silent: it drains if it comes back.
            state = AgentState.GONE
        after = agent._replace(state=int(state), drained=drained)
        world.unchanged += after == agent
        world.put_agent(after)
        results.append(after)
    return results


def agent_not_found(agent_id: str) -> Refusal:
    """Refuse a call about an agent that is not there."""
    return Refusal(
        "AGENT_NOT_FOUND",
        f"there is no agent {agent_id!r}; it never called, or retention has removed it",
        (("agent_id", agent_id),),
    )


def put_instance(world: World, command: PutInstance) -> None:
    """Record what became of an instance of a pool."""
    instance = command.instance
    before = world.instances.get(instance.id)
    world.revision += 1
    instance = instance._replace(revision=world.revision)
    world.instances[instance.id] = instance
    world.dirty_instances.add(instance.id)
    world.record(log.INSTANCE, log.UPDATED if before else log.CREATED, instance, before)


def put_pools(world: World, command: PutPools) -> None:
    """Record what the pools are and do; with `replace` the others are removed."""
    named = set()
    for pool in command.pools:
        key = (pool.namespace, pool.name)
        named.add(key)
        before = world.pools.get(key)
        world.revision += 1
        pool = pool._replace(revision=world.revision)
        world.pools[key] = pool
        world.dirty_pools.add(key)
        world.deleted_pools.discard(key)
        world.record(log.POOL, log.UPDATED if before else log.CREATED, pool, before)
    if command.replace:
        for key in world.pools.keys() - named:
            before = world.pools.pop(key)
            world.dirty_pools.discard(key)
            world.deleted_pools.add(key)
            world.revision += 1
            world.record(log.POOL, log.DELETED, before._replace(revision=world.revision), before)


def update_namespace(world: World, command: UpdateNamespace) -> NamespaceSettings | Refusal:
    """Replace what is given, unless the settings are others than the caller has seen.

    Where the rules of quarantine change, rows of failures begin anew.
    """
    settings = world.namespaces.get(command.namespace, NO_SETTINGS)
    if command.etag and command.etag != namespace_etag(settings):
        return conflict("namespace", command.namespace)
    kept, rules = settings
    if command.retention is not None:
        given = {part: getattr(command.retention, part) for part in command.retention_parts}
        kept = kept._replace(**given)
    if command.quarantine is not None:
        given = {part: getattr(command.quarantine, part) for part in command.quarantine_parts}
        rules = rules._replace(**given)
    if rules != settings.quarantine:
        world.forgotten_streaks.add(command.namespace)
    before, settings = settings, NamespaceSettings(kept, rules)
    if command.audit is not None:
        world.changed = namespace_change(before, settings)
        world.unchanged += settings == before
    world.put_namespace(command.namespace, settings)
    return settings
