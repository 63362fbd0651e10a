"""`quarterdeck hold`."""

from __future__ import annotations

import click

from quarterdeck.cli._options import Settings, Why, audit_options, common_options

_kind = click.argument("kind", type=click.Choice(["task-name", "agent", "agent-version"]))
_subject = click.argument("subject")


@click.group()
def hold() -> None:
    """Pause task names, put agents in quarantine, and list what is held."""


@hold.command()
@_kind
@_subject
@click.option("--drop", is_flag=True, help="Cancel at once what arrives of a task name.")
@audit_options
@common_options
def put(settings: Settings, kind: str, subject: str, drop: bool, why: Why) -> None:
    """Hold a task's name, an agent by its id, or the version NAME@VERSION of agents."""
    from quarterdeck.cli import _holds

    _holds.put(settings, kind, subject, why, drop=drop)


@hold.command()
@_kind
@_subject
@audit_options
@common_options
def release(settings: Settings, kind: str, subject: str, why: Why) -> None:
    """End a pause or a quarantine."""
    from quarterdeck.cli import _holds

    _holds.release(settings, kind, subject, why)


@hold.command("list")
@common_options
def list_holds(settings: Settings) -> None:
    """List freezes, pauses of names and quarantines."""
    from quarterdeck.cli import _holds

    _holds.list_holds(settings)
