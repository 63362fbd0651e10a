"""Every command's help ends with a line that can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from quarterdeck.cli._root import _ADDED, _BUILTIN, root


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif path or name in {*_BUILTIN, *_ADDED}:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(root)), ids=" ".join)
def test_the_help_of_every_command_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(root, [*path, "--help"], env={"COLUMNS": "80"}).output
    (line,) = re.findall(r"\n\s+Example:\n\s+quarterdeck (.+)\n$", shown)
    words = shlex.split(line.partition(" | ")[0].replace("PATH", "."))
    assert tuple(words[: len(path)]) == path
    command: click.Command = root
    context = click.Context(root)
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    command.make_context(path[-1], words[len(path) :])


@pytest.mark.parametrize("group", ["", *sorted(_BUILTIN)])
def test_a_list_of_commands_cuts_no_sentence(group: str) -> None:
    shown = CliRunner().invoke(root, [*group.split(), "--help"], env={"COLUMNS": "80"}).output
    listed = shown.partition("Commands:")[2]
    assert [line for line in listed.splitlines() if line.endswith("...")] == []
