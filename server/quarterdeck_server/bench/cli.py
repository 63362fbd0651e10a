"""The command `quarterdeck bench`. Imports nothing heavy before the command runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.cli._help import example

if TYPE_CHECKING:
    from quarterdeck_server.bench.figures import Figures

# The names of `scenarios.SCENARIOS`, here so that help does not wait for grpc.
NAMES = (
    "submit_sequential",
    "submit_concurrent_50",
    "submit_bulk",
    "drain_1",
    "drain_2",
    "pipeline",
    "latency",
    "watch_latency",
    "agents_10000",
    "cancel_10000",
    "claims_1m",
    "restart",
)

TERMINATED = 143
"""The exit code after SIGTERM, as shells have it: 128 and the signal's number."""


@click.command(epilog=example("bench --scenario latency --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--scenario",
    "names",
    metavar="NAME",
    type=click.Choice(NAMES),
    multiple=True,
    help="Measure only this; may be given several times. [all]",
)
@click.option("--server", metavar="HOST:PORT", default="", help="Measure a server that runs.")
@click.option(
    "--fsync-delay",
    metavar="MS",
    type=click.FloatRange(0, 1000),
    default=0.0,
    help="Make each fsync of the server so much slower. Linux, needs a C compiler. [0]",
)
@click.option(
    "--scale",
    metavar="FACTOR",
    type=click.FloatRange(0, 100, min_open=True),
    default=1.0,
    help="Factor of the number of tasks and agents. [1]",
)
@click.option(
    "--repeat",
    metavar="N",
    type=click.IntRange(1, 100),
    default=1,
    help="Measure so many times and take the run in the middle. [1]",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the servers keep their data meanwhile: the disk that is measured. [temporary]",
)
def bench(
    as_json: bool,
    names: tuple[str, ...],
    server: str,
    fsync_delay: float,
    scale: float,
    repeat: int,
    data: Path | None,
) -> None:
    """Measure a server: throughput, latency, memory, restart.

    Each scenario starts a server of its own with an empty data directory, and load in other
    processes. docs/benchmarks.md says what each figure means.
    """
    server = _address(server, fsync_delay)
    chosen = names or tuple(
        name for name in NAMES if not (server and name in ("claims_1m", "restart"))
    )
    settings, results = _measure(chosen, server, fsync_delay, scale, repeat, data, quiet=as_json)
    if as_json:
        click.echo(json.dumps({"settings": settings, "results": results}))
        return
    from quarterdeck_server.bench.figures import table

    click.echo(", ".join(f"{key} {value}" for key, value in settings.items()))
    click.echo(table(results))


def _address(server: str, fsync_delay: float) -> str:
    """Read what `--server` says; empty where the bench starts the servers."""
    from quarterdeck._environment import resolve_address

    if server and fsync_delay:
        raise click.UsageError(
            "--fsync-delay slows the servers that the bench starts; not --server"
        )
    try:
        return server and resolve_address(server)
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from error


def _measure(
    names: Sequence[str],
    server: str,
    fsync_delay: float,
    scale: float,
    repeat: int,
    data: Path | None,
    *,
    quiet: bool,
) -> tuple[dict[str, Any], dict[str, Figures]]:
    """Run the scenarios in a folder that is gone afterwards; return the settings and the figures."""
    import asyncio

    from quarterdeck_server.bench import run
    from quarterdeck_server.bench.errors import BenchError
    from quarterdeck_server.bench.lab import Options
    from quarterdeck_server.bench.slow_disk import slow_disk

    def tell(name: str) -> None:
        if not quiet:
            click.echo(f"{name} …", err=True)

    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-", dir=data) as name:
        folder = Path(name)
        try:
            options = Options(scale, server, slow_disk(fsync_delay, folder))
            settings = run.settings(options, folder, fsync_delay, repeat)
            work = run.run_scenarios(names, options, folder, repeat, tell)
            return settings, asyncio.run(work)
        except asyncio.CancelledError:
            raise SystemExit(TERMINATED) from None
        except BenchError as error:
            raise click.ClickException(str(error)) from error
