"""Every row of docs/capabilities.md names calls, functions, commands and tests that exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from google.protobuf.descriptor import FileDescriptor

import quarterdeck
from quarterdeck.cli._root import root
from quarterdeck.v1 import agent_service_pb2, fleet_service_pb2, task_service_pb2

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """One capability."""

    group: str
    name: str
    rpc: list[str]
    sdk: list[str]
    cli: list[str]
    tests: list[str]


def rows() -> list[Row]:
    """The table's rows."""
    found, group = [], ""
    for line in (ROOT / "docs/capabilities.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line[3:4]
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and not set(cells[0]) <= set("-: ") and cells[0] != "capability":
            found.append(Row(group, cells[0], *(_CODE.findall(cell) for cell in cells[1:])))
    return found


ROWS = rows()
SERVICES = (task_service_pb2, agent_service_pb2, fleet_service_pb2)


def messages(file: FileDescriptor) -> dict[str, Any]:
    """The messages of a file and of those that it imports, by name."""
    found = dict(file.message_types_by_name)
    for other in file.dependencies:
        found |= messages(other)
    return found


METHODS = {
    method.name
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
MESSAGES = {name: d for m in SERVICES for name, d in messages(m.DESCRIPTOR).items()}


def test_the_groups_are_complete() -> None:
    counts = {group: sum(row.group == group for row in ROWS) for group in "ABCF"}
    assert counts == {"A": 11, "B": 11, "C": 9, "F": 7}


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_row_is_true(row: Row) -> None:
    assert row.rpc and row.tests, "every row has its call and its proof"
    for name in row.rpc:
        check_rpc(name)
    for name in row.sdk:
        check_sdk(name)
    for name in row.cli:
        check_cli(name)
    for name in row.tests:
        check_test(name)


def check_rpc(name: str) -> None:
    """`Submit`, or a field as `TaskSpec.unique`."""
    message, _, field = name.partition(".")
    if field:
        assert field in MESSAGES[message].fields_by_name, name
    else:
        assert name in METHODS, name


def check_sdk(name: str) -> None:
    """`Client.update`, `TaskOptions.unique`, `Agent.task(batch=)` or `outbox.enqueue`."""
    if name.startswith("outbox."):
        from quarterdeck import outbox

        assert hasattr(outbox, name.removeprefix("outbox.")), name
        return
    path, _, parameter = name.removesuffix("=)").partition("(")
    owner: Any = getattr(quarterdeck, path.split(".")[0])
    for part in path.split(".")[1:]:
        known = hasattr(owner, part) or part in getattr(owner, "__annotations__", {})
        assert known, name
        owner = getattr(owner, part, None)
    if parameter:
        assert parameter in inspect.signature(owner).parameters, name


def check_cli(line: str) -> None:
    """`task submit --unique`."""
    command: click.Command = root
    for word in line.split():
        context = click.Context(command)
        if word.startswith("-"):
            options = {o for p in command.get_params(context) for o in p.opts + p.secondary_opts}
            assert word in options, line
        else:
            assert isinstance(command, click.Group), line
            found = command.get_command(context, word)
            assert found is not None, line
            command = found


def check_test(node: str) -> None:
    """`tests/x/test_y.py::test_z`."""
    path, _, name = node.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(
        rf"(def|class) {re.escape(name)}\b|^{re.escape(name)} =", text, re.MULTILINE
    ), node
