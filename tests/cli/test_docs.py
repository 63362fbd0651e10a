from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._root import _BUILTIN, root
from quarterdeck_server.demo.cli import demo

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: click.Group, names: list[str]) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, command.list_commands(context))
        else:
            yield command


@pytest.mark.parametrize("command", list(commands(root, list(_BUILTIN))), ids=lambda c: str(c.name))
def test_every_command_and_option_is_documented(command: click.Command) -> None:
    assert str(command.name) in TEXT
    check_options(command)


def test_every_option_of_the_demo_is_documented() -> None:
    check_options(demo)


def check_options(command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            longest = max(parameter.opts, key=len)
            assert longest in TEXT


def test_every_exit_code_is_documented() -> None:
    for code in ExitCode:
        assert f"\n| {int(code)} | " in TEXT
