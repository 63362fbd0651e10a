"""`quarterdeck thaw`."""

from __future__ import annotations

import click

from quarterdeck.cli._options import Settings, Why, audit_options, common_options


@click.command()
@audit_options
@common_options
def thaw(settings: Settings, why: Why) -> None:
    """End a freeze of the namespace."""
    from quarterdeck.cli import _holds

    _holds.thaw(settings, why)
