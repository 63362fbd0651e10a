"""`quarterdeck queue`."""

from __future__ import annotations

from typing import Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._help import FILTERED, example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options


@click.group()
def queue() -> None:
    """List, pause, resume and limit queues."""


@queue.command("list", **FILTERED, epilog=example("queue list --filter 'ready>100'"))
@click.option("--filter", "filter_", default="", help="Such as `paused:true`.")
@common_options
def list_queues(settings: Settings, filter_: str) -> None:
    """List queues by name, with their tasks by state."""
    from quarterdeck.cli import _fleet

    _fleet.list_queues(settings, filter_)


@queue.command(epilog=example("queue pause deep --reason 'provider is down'"))
@click.argument("name")
@click.option("--drop", is_flag=True, help="Cancel at once what arrives meanwhile.")
@audit_options
@common_options
def pause(settings: Settings, name: str, drop: bool, why: Why) -> None:
    """Hand out nothing more from a queue; what runs goes on."""
    from quarterdeck.cli import _queues

    _queues.pause(settings, name, why, paused=True, drop=drop)


@queue.command(epilog=example("queue resume deep"))
@click.argument("name")
@audit_options
@common_options
def resume(settings: Settings, name: str, why: Why) -> None:
    """Hand out tasks from a queue again."""
    from quarterdeck.cli import _queues

    _queues.pause(settings, name, why, paused=False)


@queue.command(epilog=example("queue limits deep --concurrency 50 --rate 100/1m,burst=200"))
@click.argument("name")
@click.option(
    "--concurrency",
    type=_params.concurrency,
    help="N[:OVERFLOW]: tasks that run at once. OVERFLOW says what becomes of a new one: wait, "
    "reject, cancel-oldest, cancel-newest.",
)
@click.option("--per-key", type=_params.concurrency, help="The same for each group key.")
@click.option(
    "--rate", type=_params.rate, help="N/PERIOD[,burst=N]: units that start, such as 100/1m."
)
@click.option("--key-rate", type=_params.rate, help="The same for each group key.")
@click.option(
    "--ageing", type=_params.duration, help="A waiting task gains a priority for every such span."
)
@click.option(
    "--weight",
    "weights",
    type=_params.weight,
    multiple=True,
    help="KEY=N: turns of a group key for each turn of another. Repeatable.",
)
@click.option("--clear", is_flag=True, help="Remove the limits that are not given.")
@click.option("--etag", default="", help="Only while the queue is as `-o json` showed it.")
@audit_options
@common_options
def limits(settings: Settings, name: str, clear: bool, etag: str, why: Why, **values: Any) -> None:
    """Show or change what may start from a queue; 0 removes a limit."""
    from quarterdeck.cli import _queues

    _queues.limits(settings, name, values, why, clear=clear, etag=etag)
