"""`quarterdeck agent`."""

from __future__ import annotations

import click

from quarterdeck.cli import _options
from quarterdeck.cli._help import FILTERED, example
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


@agent.command("list", **FILTERED, epilog=example("agent list --filter 'state:active queue:deep'"))
@click.option("--filter", "filter_", default="", help="Such as `state:active`.")
@common_options
def list_agents(settings: Settings, filter_: str) -> None:
    """List agents, the newest first."""
    from quarterdeck.cli import _agents

    _agents.list_agents(settings, filter_)


@agent.command(epilog=example("agent get 01b6d1b6"))
@click.argument("agent_id")
@common_options
def get(settings: Settings, agent_id: str) -> None:
    """Show one agent, by its id or the beginning of it."""
    from quarterdeck.cli import _agents

    _agents.get(settings, agent_id)


@agent.command(epilog=example("agent drain 01b6d1b6 --reason 'new version'"))
@click.argument("agent_ids", nargs=-1, required=True, metavar="AGENT_ID...")
@audit_options
@common_options
def drain(settings: Settings, agent_ids: tuple[str, ...], why: Why) -> int:
    """Tell agents to finish what they have and to claim no more."""
    from quarterdeck.cli import _agents

    return _agents.drain_agents(settings, agent_ids, why)


@agent.command(epilog=example("agent run my_package.agents:researcher"))
@click.argument("target", metavar="MODULE:AGENT")
@connection_options
def run(target: str) -> None:
    """Run the agent AGENT of a Python module.

    Until SIGTERM or Ctrl-C.
    """
    from quarterdeck.cli import _agent_run

    _agent_run.run(_options.settings(click.get_current_context()), target)
