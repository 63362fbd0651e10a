"""`quarterdeck info`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, common_options


@click.command(epilog=example("info --server 10.0.0.7:7400"))
@common_options
def info(settings: Settings) -> None:
    """Show the server's version, capabilities and limits."""
    from quarterdeck.cli import _fleet

    _fleet.info(settings)
