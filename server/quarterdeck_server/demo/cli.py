"""The command `quarterdeck demo`. Imports nothing heavy before the command runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from quarterdeck.cli._help import example

if TYPE_CHECKING:
    from quarterdeck_server.demo.drive import Drive, Tally

_TOLD_EVERY = 10.0


@click.command(epilog=example("demo PATH --headless --agents 2"))
@click.argument("path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--headless", is_flag=True, help="Show a progress bar instead of the console.")
@click.option("--json", "as_json", is_flag=True, help="Headless; the last line is a JSON object.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".quarterdeck/demo"),
    show_default=True,
    help="Where the demo's server keeps its state.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the report goes.  [default: report-TIME.md among the data]",
)
@click.option(
    "--agents",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Agent processes at most.",
)
def demo(
    path: Path, headless: bool, as_json: bool, data: Path, report: Path | None, agents: int
) -> None:
    """Put a fleet to work on the files that git tracks under PATH.

    Starts a server, a pool of agents and the console, and ends them all when it is done. Without a
    terminal, or with --headless, it shows its progress and prints the path of its report.
    """
    from quarterdeck import QuarterdeckError
    from quarterdeck_server.demo.child import DataFolderError, LocalServer, ServerDiedError
    from quarterdeck_server.demo.drive import DemoError, Drive
    from quarterdeck_server.demo.repository import Repository, RepositoryError

    try:
        repository = Repository(path)
    except RepositoryError as error:
        raise click.UsageError(str(error)) from error
    report = report or data / f"report-{time.strftime('%Y%m%d-%H%M%S')}.md"
    console = None if headless or as_json else _console()
    server = LocalServer(data, agents)
    drive = Drive(server, repository, report)
    with _unwound_by_signals(), contextlib.ExitStack() as at_end:
        at_end.callback(server.stop)
        at_end.callback(drive.close)
        at_end.callback(_ignore_signals)
        try:
            server.start()
            drive.begin()
            if console is None:
                _headless(drive, server.address, as_json=as_json)
            else:
                console(server.address)
                _farewell(drive)
        except DataFolderError as error:
            raise click.UsageError(str(error)) from error
        except (DemoError, ServerDiedError, QuarterdeckError) as error:
            raise click.ClickException(f"{error}\nthe server's log: {server.log}") from error


def _console() -> Callable[[str], None] | None:
    """What opens the console; None where there is no terminal for it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    if find_spec("textual") is None:
        click.echo("the console needs its extra: pip install 'quarterdeck[console]'", err=True)
        return None
    from quarterdeck_console.cli import run

    return run


def _headless(drive: Drive, address: str, *, as_json: bool) -> None:
    click.echo(f"server at {address}, run {drive.run}", err=True)
    with _progress() as told:
        tally = drive.finish(told)
    _summarise(tally)
    click.echo(json.dumps(tally.as_json()) if as_json else tally.report)


def _farewell(drive: Drive) -> None:
    tally = drive.tally()
    _summarise(tally)
    click.echo(tally.report or "the report was not written yet")


def _summarise(tally: Tally) -> None:
    states = ", ".join(f"{count:,} {state}" for state, count in tally.tasks.items())
    click.echo(
        f"{states}; {tally.attempts:,} attempts, {tally.retries:,} of them retries, "
        f"by {tally.agents_started} agents in {tally.seconds:.1f} s",
        err=True,
    )


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar for a person, and a line now and then for a log."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    with click.progressbar(length=1, label="inspecting", file=sys.stderr, show_pos=True) as bar:

        def told(ended: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(ended - bar.pos)

        yield told


def _lines() -> Callable[[int, int], None]:
    next_time = time.monotonic() + _TOLD_EVERY

    def told(ended: int, total: int) -> None:
        nonlocal next_time
        if time.monotonic() >= next_time:
            next_time += _TOLD_EVERY
            click.echo(f"{ended:,} of {total:,} tasks have ended", err=True)

    return told


@contextlib.contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that what was started is ended; then they kill."""
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            # As the sender meant it, and past threads of the console that read a terminal which is gone.
            signal.signal(received[0], signal.SIG_DFL)
            os.kill(os.getpid(), received[0])


def _ignore_signals() -> None:
    """From here on the end is under way, and takes seconds: nothing may stop it half done."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
