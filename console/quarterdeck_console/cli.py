"""The command `quarterdeck console`. Importing this imports no Textual: the CLI starts fast."""

from __future__ import annotations

import os

import click

DEFAULT_SERVER = "127.0.0.1:7400"


def run(address: str) -> None:
    """Runs the console in this terminal until the operator leaves.

    Args:
        address: `host:port` of the server. It need not be there yet.

    Raises:
        click.ClickException: The extra `console` is not installed, or the keymap file is wrong.
    """
    # Textual draws at 60 frames a second otherwise; the console's own tick is 10.
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # Forked children must not inherit gRPC's threads, and nothing here forks.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        from quarterdeck_console.app import start
        from quarterdeck_console.keymap import KeymapError
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"textual", "rich"}:
            raise
        raise click.ClickException(
            "the console needs its extra: pip install 'quarterdeck[console]'"
        ) from error
    try:
        start(address)
    except KeymapError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option(
    "--server",
    "address",
    envvar="QUARTERDECK_SERVER",
    default=DEFAULT_SERVER,
    show_default=True,
    metavar="ADDR",
    help="Where the server listens, as host:port.",
)
def console(address: str) -> None:
    """Show the fleet, live, and act on it."""
    run(address)
