"""`quarterdeck agent`."""

from __future__ import annotations

import click

from quarterdeck.cli import _options
from quarterdeck.cli._options import (
    Settings,
    Why,
    audit_options,
    common_options,
    connection_options,
)


@click.group()
def agent() -> None:
    """List, drain and run agents."""


@agent.command("list")
@click.option("--filter", "filter_", default="", help="Such as `state:active`.")
@common_options
def list_agents(settings: Settings, filter_: str) -> None:
    """List agents, the newest first."""
    from quarterdeck.cli import _fleet

    _fleet.list_agents(settings, filter_)


@agent.command()
@click.argument("agent_ids", nargs=-1, required=True, metavar="AGENT_ID...")
@audit_options
@common_options
def drain(settings: Settings, agent_ids: tuple[str, ...], why: Why) -> int:
    """Tell agents to finish what they have and to claim no more."""
    from quarterdeck.cli import _fleet

    return _fleet.drain_agents(settings, agent_ids, why)


@agent.command()
@click.argument("target", metavar="MODULE:AGENT")
@connection_options
def run(target: str) -> None:
    """Run an agent: the object AGENT of a Python module, until SIGTERM or Ctrl-C."""
    from quarterdeck.cli import _agent_run

    _agent_run.run(_options.settings(click.get_current_context()), target)
