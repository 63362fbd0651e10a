"""`quarterdeck thaw`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options


@click.command(epilog=example("thaw --reason 'the provider is back'"))
@audit_options
@common_options
def thaw(settings: Settings, why: Why) -> None:
    """End a freeze of the namespace."""
    from quarterdeck.cli import _holds

    _holds.thaw(settings, why)
