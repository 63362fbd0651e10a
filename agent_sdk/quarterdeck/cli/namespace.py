"""`quarterdeck namespace`."""

from __future__ import annotations

from typing import Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options

_never = click.IntRange(min=0)


@click.group()
def namespace() -> None:
    """Show and change the settings of a namespace."""


@namespace.command(epilog=example("namespace get"))
@common_options
def get(settings: Settings) -> None:
    """Show how long tasks are kept and what is put in quarantine."""
    from quarterdeck.cli import _tenants

    _tenants.get(settings)


@namespace.command("set", epilog=example("namespace set --keep-succeeded 1d --quarantine-name 20"))
@click.option("--keep-succeeded", "succeeded", type=_params.duration, help="How long.")
@click.option("--keep-failed", "failed", type=_params.duration, help="How long.")
@click.option("--keep-cancelled", "cancelled", type=_params.duration, help="How long.")
@click.option("--keep-expired", "expired", type=_params.duration, help="How long.")
@click.option(
    "--quarantine-name",
    "task_name",
    type=_never,
    help="Hold a task name after so many failures in a row; 0 never.",
)
@click.option("--quarantine-agent", "agent", type=_never, help="The same for one agent.")
@click.option(
    "--quarantine-version",
    "agent_version",
    type=_never,
    help="The same for agents of one name and version together.",
)
@click.option("--etag", default="", help="Only while the settings are as `-o json` showed them.")
@audit_options
@common_options
def set_(settings: Settings, etag: str, why: Why, **values: Any) -> None:
    """Change the settings that are given, and leave the others."""
    from quarterdeck.cli import _tenants

    _tenants.set_(settings, values, why, etag=etag)
