"""What `quarterdeck agent list`, `get` and `drain` do, and how an agent is meant by part of its id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from quarterdeck._words import counted, short_ids
from quarterdeck.cli import _format, _standing
from quarterdeck.cli._call import PATIENCE, Connection
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import as_dict, emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._standing import Standing
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.agent_pb2 import Agent
from quarterdeck.v1.fleet_service_pb2 import DrainAgentRequest, ListAgentsRequest

_BEGINNING = re.compile(r"[0-9a-f]{4,31}")
"""What may be the beginning of an id that an agent made up; other ids are always given whole."""

_NAMED = 5
"""Agents named of several that may be meant."""

_COLUMNS = (
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


def list_agents(settings: Settings, filter_: str) -> None:
    """Prints every agent that matches."""
    connection = Connection(settings)
    request = ListAgentsRequest(namespace=settings.namespace, filter=filter_)
    found = collect(connection, connection.fleet.ListAgents, request, "agents")

    def table() -> None:
        standing = _standing.ask(connection)
        ids = short_ids(agent.info.agent_id for agent in found.agents)
        rows = [_row(agent, ids, standing) for agent in found.agents]
        print_table(_COLUMNS, rows, nothing="no agents match" if filter_ else "no agents")

    emit(settings.output, found, table)


def get(settings: Settings, agent_id: str) -> None:
    """Prints one agent.

    Raises:
        CommandError: There is none, or several may be meant.
    """
    connection = Connection(settings)
    found = _beginning_with(connection, agent_id)
    if not found:
        raise CommandError(
            f"there is no agent {agent_id!r}",
            ExitCode.NOT_FOUND,
            "`quarterdeck agent list` lists all",
        )
    agent = _only(agent_id, found)
    emit(
        settings.output,
        {"agent": as_dict(agent)},
        lambda: _print(agent, _standing.ask(connection)),
    )


def drain_agents(settings: Settings, agent_ids: Sequence[str], why: Why) -> int:
    """Drains agents one after the other; the exit code is that of the last refusal."""
    connection = Connection(settings)
    agents: list[Agent] = []
    code = 0
    for agent_id in agent_ids:
        try:
            request = DrainAgentRequest(
                namespace=settings.namespace,
                agent_id=whole_id(connection, agent_id),
                reason=why.reason,
                actor=why.actor,
            )
            response = connection.call(connection.fleet.DrainAgent, request, patience=PATIENCE)
        except CommandError as error:
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


def whole_id(connection: Connection, given: str) -> str:
    """The id of the agent that is meant: as given, or the only one that begins so.

    Raises:
        CommandError: Several begin so.
    """
    if not _BEGINNING.fullmatch(given):
        return given
    found = _beginning_with(connection, given)
    return _only(given, found).info.agent_id if found else given


def _beginning_with(connection: Connection, given: str) -> list[Agent]:
    """The agent of that id, or those whose ids begin so."""
    quoted = _format.quoted(given)
    wanted = f"{quoted},{given}*" if _BEGINNING.fullmatch(given) else quoted
    request = ListAgentsRequest(namespace=connection.namespace, filter=f"id:{wanted}")
    found = collect(connection, connection.fleet.ListAgents, request, "agents", limit=100)
    same = [agent for agent in found.agents if agent.info.agent_id == given]
    return same or list(found.agents)


def _only(given: str, found: Sequence[Agent]) -> Agent:
    if len(found) == 1:
        return found[0]
    ids = short_ids(agent.info.agent_id for agent in found).values()
    named = ", ".join(sorted(ids)[:_NAMED]) + (" …" if len(found) > _NAMED else "")
    message = f"{given} is the beginning of {counted(len(found), 'id')} of agents: {named}"
    raise CommandError(message, ExitCode.REFUSED, "give more digits")


def _row(agent: Agent, ids: Mapping[str, str], standing: Standing) -> tuple[Any, ...]:
    about = agent.info
    return (
        ids[about.agent_id],
        f"{about.name} {about.version}".strip(),
        _format.agent_state(agent.state, held=standing.of_agent(about) is not None),
        str(agent.running),
        str(about.slots),
        " ".join(agent.queues),
        about.hostname,
        str(about.pid),
        agent.pool,
        _format.age(agent.last_contact_time),
        _format.age(agent.create_time),
    )


def _print(agent: Agent, standing: Standing) -> None:
    about, hold = agent.info, standing.of_agent(agent.info)
    print_fields(
        [
            ("id", about.agent_id),
            ("name", about.name),
            ("version", about.version),
            ("state", _format.agent_state(agent.state, held=hold is not None)),
            ("held", _standing.by(hold) if hold else ""),
            ("running", f"{agent.running} of {counted(about.slots, 'slot')}"),
            ("queues", " ".join(agent.queues)),
            ("labels", _format.labels(about.labels)),
            ("host", about.hostname),
            ("pid", str(about.pid or "")),
            ("pool", agent.pool),
            ("instance", about.instance_id),
            ("first seen", _format.instant(agent.create_time)),
            ("last seen", _format.instant(agent.last_contact_time)),
        ]
    )
