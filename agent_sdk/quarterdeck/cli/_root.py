"""The root command: names and helps are known here, code is loaded for the command that runs."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._help import meant
from quarterdeck.cli._options import connection_options, output_option

COMMANDS_GROUP = "quarterdeck.commands"
"""Entry-point group of commands that other packages add."""

_BUILTIN = {
    "agent": "List, drain and run agents.",
    "audit": "Show what operators did.",
    "completion": "Print the completion script of a shell.",
    "freeze": "Stop all claiming in the namespace at once; what runs goes on.",
    "hold": "Pause task names, put agents in quarantine, and list what is held.",
    "info": "Show the server's version, capabilities and limits.",
    "outbox": "Send tasks that were written in the transactions of a database of yours.",
    "namespace": "Show and change the settings of a namespace.",
    "pool": "List pools and the compute they started.",
    "queue": "List, pause, resume and limit queues.",
    "schedule": "Create, list and control schedules.",
    "task": "Submit, find and control tasks.",
    "thaw": "End a freeze of the namespace.",
    "watch": "Print changes as they happen.",
}
_ADDED = {
    "bench": "Measure a server.",
    "console": "Open the operator console.",
    "demo": "Put a fleet to work on the files of a repository.",
    "server": "Run a server.",
}
_EXTRAS = {"quarterdeck_server": "server", "quarterdeck_console": "console"}
_OURS = ("quarterdeck", *_EXTRAS)


class RootGroup(click.Group):
    """A group that loads a command when it is called for, and turns its end into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, those of other packages included."""
        return sorted({*_BUILTIN, *(point.name for point in _added())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, loaded.

        Raises:
            CommandError: the command's package lacks what an extra installs.
        """
        if cmd_name in _BUILTIN:
            module = importlib.import_module(f"quarterdeck.cli.{cmd_name}")
            command: click.Command = getattr(module, cmd_name)
            return command
        for point in _added():
            if point.name == cmd_name:
                return _load(point)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            click.UsageError: There is none of this name.
        """
        name = args[0]
        # Those of other packages are looked for only when it may be one of them: that reads files.
        if name not in _BUILTIN and not name.startswith("-") and not ctx.resilient_parsing:
            known = self.list_commands(ctx)
            if name not in known:
                ctx.fail(f"No such command {name!r}.{meant(name, known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading one of them."""
        helps = {**_ADDED, **_BUILTIN}
        with formatter.section("Commands"):
            formatter.write_dl([(name, helps.get(name, "")) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what an extra would have installed is asked for by the extra's name."""
        try:
            with _pipe():
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            for point in _added():
                if point.name == ctx.invoked_subcommand:
                    raise _missing(point, error) from error
            raise

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parses the command line, and prints help where that is asked for."""
        with _pipe():
            return super().make_context(info_name, args, parent, **extra)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and exits with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        sys.exit(self._run(args, prog_name, complete_var, **extra))

    def _run(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        **extra: Any,
    ) -> int:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except CommandError as error:
            error.show()
            return int(error.code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return int(ExitCode.INTERRUPTED)
        return code if isinstance(code, int) else int(ExitCode.OK)


@contextlib.contextmanager
def _pipe() -> Iterator[None]:
    """Ends the command without a word when the reader of its output has gone."""
    try:
        yield
    except BrokenPipeError as error:
        # The interpreter flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(int(ExitCode.BROKEN_PIPE)) from error


def _added() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=COMMANDS_GROUP))


def _load(point: EntryPoint) -> click.Command:
    try:
        command = point.load()
    except ImportError as error:
        raise _missing(point, error) from error
    if not isinstance(command, click.Command):
        raise CommandError(f"{point.name}: {point.value} is not a click command", ExitCode.USAGE)
    return command


def _missing(point: EntryPoint, error: ImportError) -> CommandError:
    extra = _EXTRAS.get(point.module.partition(".")[0])
    name = (error.name or "").partition(".")[0]
    if extra is None or name in _OURS:
        return CommandError(f"the command `{point.name}` cannot be loaded: {error}", ExitCode.USAGE)
    return CommandError(
        f"`quarterdeck {point.name}` needs {name or 'more packages'}, which is not installed",
        ExitCode.USAGE,
        hint=f"pip install 'quarterdeck[{extra}]'",
    )


@click.group(
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="quarterdeck", prog_name="quarterdeck")
@connection_options
@output_option
def root(**_: Any) -> None:
    """Run, watch and steer fleets of AI agents.

    Options given here hold for every command; the same options after a command's name win.
    """
