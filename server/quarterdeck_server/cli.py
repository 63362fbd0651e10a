"""The command `quarterdeck server`. Imports nothing heavy before the command runs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck.cli._help import example

if TYPE_CHECKING:
    import asyncio

    from quarterdeck_server.config import Settings

SWITCH_INTERVAL = 0.0005
"""Seconds after which a waiting thread asks for the interpreter. A commit and the reads end on threads of their own,
and with the default of 5 ms a busy loop would hold each of them up for so long."""


@click.command(epilog=example("server --listen 127.0.0.1:7400 --data ./fleet"))
@click.option("--listen", metavar="HOST:PORT", help="Where to serve the API. [127.0.0.1:7400]")
@click.option("--data", "data_dir", metavar="DIR", help="Where to keep all state. [./.quarterdeck]")
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    envvar="QUARTERDECK_CONFIG",
    type=click.Path(path_type=Path),
    help="A TOML file with settings; docs/configuration.md lists them.",
)
@click.option("--log-format", metavar="text|json", help="How the log on stderr looks. [text]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error. [info]")
@click.option("--lease-duration", metavar="SPAN", help="How long a lease lasts. [30s]")
def server(config_file: Path | None, **flags: str | None) -> None:
    """Run the server until it is told to stop by SIGTERM or Ctrl-C."""
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    # Nothing that is imported is garbage, and to look for it takes a tenth of a start; `memory.tend` begins anew.
    gc.disable()
    from quarterdeck_server.config import SettingsError, load_settings

    try:
        settings = load_settings(config_file, flags, os.environ)
    except SettingsError as error:
        for field, message in error.problems:
            click.echo(f"quarterdeck server: {field}: {message}", err=True)
        sys.exit(2)
    sys.exit(_run(settings))


def _run(settings: Settings) -> int:
    """Serve, and return the exit code."""
    import asyncio

    from quarterdeck_server import app, logs
    from quarterdeck_server.rpc.server import BindError
    from quarterdeck_server.runtime import memory
    from quarterdeck_server.store.base import StoreError

    logs.configure(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL)
    memory.tend()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(app.serve(settings))
    except (StoreError, BindError) as error:
        click.echo(f"quarterdeck server: {error}", err=True)
        return 1
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
