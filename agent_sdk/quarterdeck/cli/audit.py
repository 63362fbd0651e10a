"""`quarterdeck audit`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, common_options


@click.group()
def audit() -> None:
    """Show what operators did."""


@audit.command("list", epilog=example("audit list --limit 20"))
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0 lists all."
)
@common_options
def list_audit(settings: Settings, limit: int) -> None:
    """List what operators and the server's rules did, the newest first."""
    from quarterdeck.cli import _tenants

    _tenants.list_audit(settings, limit)
