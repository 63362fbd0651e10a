"""The command `quarterdeck console`. Importing this imports no Textual: the CLI starts fast."""

from __future__ import annotations

import os

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import connection_options, settings


def run(address: str, namespace: str = "default") -> None:
    """Runs the console in this terminal until the operator leaves.

    Args:
        address: `host:port` of the server. It need not be there yet.
        namespace: The tenant that is shown.

    Raises:
        click.ClickException: The extra `console` is not installed, or the keymap file is wrong.
    """
    # Forked children must not inherit gRPC's threads, and nothing here forks.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        from quarterdeck_console.keymap import KeymapError
        from quarterdeck_console.launch import start
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"textual", "rich"}:
            raise
        raise click.ClickException(
            "the console needs its extra: pip install 'quarterdeck[console]'"
        ) from error
    try:
        start(address, namespace)
    except KeymapError as error:
        raise click.ClickException(str(error)) from error


@click.command(epilog=example("console --server 10.0.0.7:7400"))
@connection_options
@click.pass_context
def console(ctx: click.Context) -> None:
    """Show the fleet, live, and act on it.

    Keys: ? lists them, : takes commands, q leaves. Keys of your own stand in
    ~/.config/quarterdeck/keymap.toml, by the ids that the palette shows.
    """
    given = settings(ctx)
    run(given.server, given.namespace)
