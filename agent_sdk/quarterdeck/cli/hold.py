"""`quarterdeck hold`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options

_kind = click.argument("kind", type=click.Choice(["task-name", "agent", "agent-version"]))
_subject = click.argument("subject")


@click.group()
def hold() -> None:
    """Pause task names, put agents in quarantine, and list what is held."""


@hold.command(epilog=example("hold put task-name research --reason 'bad prompt'"))
@_kind
@_subject
@click.option("--drop", is_flag=True, help="Cancel at once what arrives of a task name.")
@audit_options
@common_options
def put(settings: Settings, kind: str, subject: str, drop: bool, why: Why) -> None:
    """Hold a task's name, an agent, or a version of agents.

    An agent is named by its id or the beginning of it, a version as NAME@VERSION.
    """
    from quarterdeck.cli import _holds

    _holds.put(settings, kind, subject, why, drop=drop)


@hold.command(epilog=example("hold release agent-version researcher@1.4.2"))
@_kind
@_subject
@audit_options
@common_options
def release(settings: Settings, kind: str, subject: str, why: Why) -> None:
    """End a pause or a quarantine."""
    from quarterdeck.cli import _holds

    _holds.release(settings, kind, subject, why)


@hold.command("list", epilog=example("hold list"))
@common_options
def list_holds(settings: Settings) -> None:
    """List freezes, pauses of names and quarantines."""
    from quarterdeck.cli import _holds

    _holds.list_holds(settings)
