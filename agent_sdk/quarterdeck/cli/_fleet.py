"""What `quarterdeck queue list`, `pool` and `info` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from quarterdeck._words import short_ids
from quarterdeck.cli import _format, _standing
from quarterdeck.cli._call import Connection
from quarterdeck.cli._options import Settings
from quarterdeck.cli._output import emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._table import Cell, Column, print_fields, print_table
from quarterdeck.v1.fleet_service_pb2 import (
    ListPoolsRequest,
    ListPoolsResponse,
    ListQueuesRequest,
)
from quarterdeck.v1.hold_pb2 import Hold
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

_ALWAYS = ("ready", "running", "failed")
_QUEUE_COLUMNS = (Column("queue", flexible=True), Column("state", flexible=True))
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


def list_queues(settings: Settings, filter_: str) -> None:
    """Prints every queue that matches."""
    connection = Connection(settings)
    request = ListQueuesRequest(namespace=settings.namespace, filter=filter_)
    found = collect(connection, connection.fleet.ListQueues, request, "queues")

    def table() -> None:
        freeze = _standing.ask(connection).freeze
        counts = [_format.counts(queue.counts) for queue in found.queues]
        # What keeps a queue from working needs the room of states that no task is in.
        shown = [word for word in _STATES if word in _ALWAYS or any(c.get(word) for c in counts)]
        rows: list[list[str | Cell]] = [
            [queue.name, queue_state(queue, freeze), *(f"{count.get(w, 0):,}" for w in shown)]
            for queue, count in zip(found.queues, counts, strict=True)
        ]
        columns = [*_QUEUE_COLUMNS, *(Column(word, right=True) for word in shown)]
        print_table(columns, rows, nothing="no queues match" if filter_ else "no queues")

    emit(settings.output, found, table)


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


def queue_state(queue: Queue, freeze: Hold | None) -> Cell:
    """What keeps a queue from handing out tasks, the freeze of its namespace first; or `active`."""
    paused = _format.paused(queue.paused, queue.pause_note)
    if freeze is not None:
        frozen = f"frozen {_standing.by(freeze)}".rstrip()
        return Cell(f"{frozen}; {paused.text}" if queue.paused else frozen, "red")
    rests = _format.age(queue.back_off_until)
    if not queue.paused and rests.startswith("in "):
        return Cell(f"rests, goes on {rests}", "yellow")
    return paused


def _print_pools(response: ListPoolsResponse) -> None:
    pools = [_pool_row(pool) for pool in response.pools]
    print_table(_POOL_COLUMNS, pools, nothing="no pools: the server's settings have them")
    if response.instances:
        click.echo()
        agents = short_ids(item.agent_id for item in response.instances)
        rows = [_instance_row(item, agents) for item in response.instances]
        print_table(_INSTANCE_COLUMNS, rows)


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


def _instance_row(instance: Instance, agents: Mapping[str, str]) -> tuple[Any, ...]:
    return (
        instance.id,
        instance.pool,
        _format.enum_word(InstanceState.DESCRIPTOR, instance.state),
        str(instance.pid or ""),
        agents[instance.agent_id],
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
