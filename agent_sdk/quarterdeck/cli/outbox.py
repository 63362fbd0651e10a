"""`quarterdeck outbox`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, common_options


@click.group()
def outbox() -> None:
    """Send tasks that were written in the transactions of a database of yours."""


@outbox.command(epilog=example("outbox relay orders.db --once"))
@click.argument("database")
@click.option("--once", is_flag=True, help="End when the table is empty.")
@common_options
def relay(settings: Settings, database: str, once: bool) -> None:
    """Send what is in the outbox of DATABASE until stopped.

    DATABASE is a SQLite file or postgresql://…; entries that the server refuses stay in the table with their error.
    """
    from quarterdeck.cli import _outbox

    _outbox.relay(settings, database, once=once)
