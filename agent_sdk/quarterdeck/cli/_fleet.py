"""What `quarterdeck agent list`, `agent drain`, `queue`, `pool` and `info` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from quarterdeck.cli import _format
from quarterdeck.cli._call import PATIENCE, CallError, Connection
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import as_dict, emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.agent_pb2 import Agent
from quarterdeck.v1.fleet_service_pb2 import (
    DrainAgentRequest,
    ListAgentsRequest,
    ListPoolsRequest,
    ListPoolsResponse,
    ListQueuesRequest,
)
from quarterdeck.v1.pool_pb2 import Instance, InstanceState, Pool
from quarterdeck.v1.queue_pb2 import Queue
from quarterdeck.v1.system_service_pb2 import GetServerInfoRequest, GetServerInfoResponse

_STATES = (
    "ready",
    "running",
    "scheduled",
    "blocked",
    "waiting",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
)

_AGENT_COLUMNS = (
    Column("id", flexible=True),
    Column("name", flexible=True),
    Column("state"),
    Column("running", right=True),
    Column("slots", right=True),
    Column("queues", flexible=True),
    Column("host", flexible=True),
    Column("pid", right=True),
    Column("pool", flexible=True),
    Column("seen", right=True),
    Column("age", right=True),
)
_QUEUE_COLUMNS = (
    Column("queue", flexible=True),
    Column("state", flexible=True),
    *(Column(word, right=True) for word in _STATES),
)
_POOL_COLUMNS = (
    Column("pool", flexible=True),
    Column("queue", flexible=True),
    Column("launcher"),
    Column("instances", right=True),
    Column("min", right=True),
    Column("max", right=True),
    Column("slots", right=True),
    Column("idle", right=True),
    Column("detail", flexible=True),
)
_INSTANCE_COLUMNS = (
    Column("instance", flexible=True),
    Column("pool", flexible=True),
    Column("state"),
    Column("pid", right=True),
    Column("agent", flexible=True),
    Column("age", right=True),
    Column("detail", flexible=True),
)


def list_agents(settings: Settings, filter_: str) -> None:
    """Prints every agent that matches."""
    connection = Connection(settings)
    request = ListAgentsRequest(namespace=settings.namespace, filter=filter_)
    found = collect(connection, connection.fleet.ListAgents, request, "agents")
    rows = [_agent_row(agent) for agent in found.agents]
    emit(settings.output, found, lambda: print_table(_AGENT_COLUMNS, rows))


def drain_agents(settings: Settings, agent_ids: Sequence[str], why: Why) -> int:
    """Drains agents one after the other; the exit code is that of the last refusal."""
    connection = Connection(settings)
    agents: list[Agent] = []
    code = 0
    for agent_id in agent_ids:
        request = DrainAgentRequest(
            namespace=settings.namespace, agent_id=agent_id, reason=why.reason, actor=why.actor
        )
        try:
            response = connection.call(connection.fleet.DrainAgent, request, patience=PATIENCE)
        except CallError as error:
            if len(agent_ids) == 1:
                raise
            click.echo(f"{agent_id}: {error.message}", err=True)
            code = int(error.code)
        else:
            agents.append(response.agent)

    def table() -> None:
        for agent in agents:
            state = _format.agent_state(agent.state).text
            click.echo(f"{agent.info.agent_id} {state}, {agent.running} running")

    emit(settings.output, {"agents": [as_dict(agent) for agent in agents]}, table)
    return code


def list_queues(settings: Settings, filter_: str) -> None:
    """Prints every queue that matches."""
    connection = Connection(settings)
    request = ListQueuesRequest(namespace=settings.namespace, filter=filter_)
    found = collect(connection, connection.fleet.ListQueues, request, "queues")
    rows = [_queue_row(queue) for queue in found.queues]
    emit(settings.output, found, lambda: print_table(_QUEUE_COLUMNS, rows))


def list_pools(settings: Settings) -> None:
    """Prints the pools and their instances."""
    connection = Connection(settings)
    request = ListPoolsRequest(namespace=settings.namespace)
    response = connection.call(connection.fleet.ListPools, request)
    emit(settings.output, response, lambda: _print_pools(response))


def info(settings: Settings) -> None:
    """Prints what the server is."""
    connection = Connection(settings)
    response = connection.call(connection.system.GetServerInfo, GetServerInfoRequest())
    emit(settings.output, response, lambda: _print_info(settings, response))


def _agent_row(agent: Agent) -> tuple[Any, ...]:
    about = agent.info
    return (
        about.agent_id,
        f"{about.name} {about.version}".strip(),
        _format.agent_state(agent.state),
        str(agent.running),
        str(about.slots),
        " ".join(agent.queues),
        about.hostname,
        str(about.pid),
        agent.pool,
        _format.age(agent.last_contact_time),
        _format.age(agent.create_time),
    )


def _queue_row(queue: Queue) -> tuple[Any, ...]:
    counts = _format.counts(queue.counts)
    numbers = [f"{counts.get(word, 0):,}" for word in _STATES]
    return (queue.name, _format.paused(queue.paused, queue.pause_note), *numbers)


def _print_pools(response: ListPoolsResponse) -> None:
    print_table(_POOL_COLUMNS, [_pool_row(pool) for pool in response.pools])
    if response.instances:
        click.echo()
        print_table(_INSTANCE_COLUMNS, [_instance_row(item) for item in response.instances])


def _pool_row(pool: Pool) -> tuple[Any, ...]:
    return (
        pool.name,
        pool.queue,
        pool.launcher,
        str(pool.instances),
        str(pool.min),
        str(pool.max),
        str(pool.slots),
        _format.duration(pool.idle_timeout),
        pool.detail,
    )


def _instance_row(instance: Instance) -> tuple[Any, ...]:
    return (
        instance.id,
        instance.pool,
        _format.enum_word(InstanceState.DESCRIPTOR, instance.state),
        str(instance.pid or ""),
        instance.agent_id,
        _format.age(instance.create_time),
        instance.detail,
    )


def _print_info(settings: Settings, response: GetServerInfoResponse) -> None:
    limits = response.limits
    print_fields(
        [
            ("server", settings.server),
            ("version", response.version),
            ("started", _format.instant(response.start_time)),
            ("clock", _format.instant(response.time)),
            ("store", response.store_id),
            ("capabilities", " ".join(response.capabilities)),
            ("payload limit", f"{limits.max_payload_bytes:,} bytes"),
            ("message limit", f"{limits.max_message_bytes:,} bytes"),
            ("batch limit", f"{limits.max_batch:,} items"),
            ("page limit", f"{limits.max_page_size:,} items"),
        ]
    )
