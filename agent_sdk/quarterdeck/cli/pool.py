"""`quarterdeck pool`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, common_options


@click.group()
def pool() -> None:
    """List pools and the compute they started."""


@pool.command("list", epilog=example("pool list"))
@common_options
def list_pools(settings: Settings) -> None:
    """List the server's pools and their instances."""
    from quarterdeck.cli import _fleet

    _fleet.list_pools(settings)
