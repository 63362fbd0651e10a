"""How a command ends: exit codes for scripts, and the error that carries one.

CommandError          a message on stderr and an exit code
└── CallError         (in `_call`) the server refused, or could not be reached
"""

from __future__ import annotations

import enum

import click


class ExitCode(enum.IntEnum):
    """What the exit code says. The same table is in docs/cli.md."""

    OK = 0
    TASK_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    TIMEOUT = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandError(Exception):
    """Ends the command with a message on stderr.

    Attributes:
        message: What happened, already safe to print.
        code: What the process exits with.
        hint: What to do about it; shown on a line of its own.
    """

    def __init__(self, message: str, code: ExitCode, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def show(self) -> None:
        """Prints it on stderr."""
        click.echo(f"Error: {self.message}", err=True)
        if self.hint:
            click.echo(self.hint, err=True)
