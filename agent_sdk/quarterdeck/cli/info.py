"""`quarterdeck info`."""

from __future__ import annotations

import click

from quarterdeck.cli._options import Settings, common_options


@click.command()
@common_options
def info(settings: Settings) -> None:
    """Show the server's version, capabilities and limits."""
    from quarterdeck.cli import _fleet

    _fleet.info(settings)
