from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from quarterdeck.cli import _root
from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._root import COMMANDS_GROUP, root

# Modules that cost more to import than the whole of a completion may take.
HEAVY = ("grpc", "google.protobuf", "textual", "quarterdeck_server", "quarterdeck_console")


def add_command(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("extra", value, COMMANDS_GROUP)
    monkeypatch.setattr(_root, "_added", lambda: (point,))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["task", "--help"], ["schedule", "set", "--help"]]
)
def test_help_imports_neither_grpc_nor_an_extra(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom quarterdeck.cli._root import root\n"
        f"root({arguments!r}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_of_a_task_command_imports_no_grpc() -> None:
    script = (
        "import os, sys\n"
        "os.environ.update(_QUARTERDECK_COMPLETE='bash_complete', COMP_WORDS='quarterdeck task li',"
        " COMP_CWORD='2')\n"
        "from quarterdeck.cli._root import root\n"
        "try:\n    root([], prog_name='quarterdeck')\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["plain,list", "[]"]


def test_every_command_is_listed_with_its_help() -> None:
    result = CliRunner().invoke(root, ["--help"])
    for name in ("agent", "completion", "info", "pool", "queue", "schedule", "task", "watch"):
        assert f"\n  {name} " in result.stdout


def test_a_command_of_another_package_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    add_command(monkeypatch, f"{__name__}:added")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[added.callback.__module__])
    result = CliRunner().invoke(root, ["extra"])
    assert (result.stdout, result.exit_code) == ("added ran\n", 0)


@click.command()
def added() -> None:
    click.echo("added ran")


def test_a_command_whose_extra_is_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "quarterdeck_server" / "needy"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("import a_package_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("quarterdeck_server")]:
        monkeypatch.delitem(sys.modules, name)
    add_command(monkeypatch, "quarterdeck_server.needy:command")
    result = CliRunner().invoke(root, ["extra"])
    assert result.exit_code == ExitCode.USAGE
    assert "pip install 'quarterdeck[server]'" in result.stderr
    assert "a_package_that_is_not_there" in result.stderr


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("agents", "No such command 'agents'. Did you mean 'agent'?\n"),
        ("serve", "No such command 'serve'. Did you mean 'server'?\n"),
        ("zzz", "No such command 'zzz'.\n"),
    ],
)
def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(
    word: str, message: str
) -> None:
    result = CliRunner().invoke(root, [word])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.endswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ["task", "submit", "a", '{"x": 1}'],
            """argument '{"x": 1}': the handler's input goes with --input""",
        ),
        (["task", "list", "state:failed"], "argument 'state:failed': a filter goes with --filter"),
        (["queue", "list", "ready>1"], "argument 'ready>1': a filter goes with --filter"),
        (
            ["schedule", "set", "s", "a", "0 2 * * *"],
            "its rule goes with --cron, --every or --once",
        ),
    ],
)
def test_a_word_too_many_is_told_its_option(line: list[str], message: str) -> None:
    result = CliRunner().invoke(root, line)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr


def test_an_interrupt_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(ctx: click.Context) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(root, "invoke", interrupted)
    assert CliRunner().invoke(root, ["info"]).exit_code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    result = CliRunner().invoke(root, ["completion", shell])
    assert result.exit_code == 0
    assert "_QUARTERDECK_COMPLETE" in result.stdout


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    script = "from quarterdeck.cli._root import root\nroot(['--help'])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(30) == ExitCode.BROKEN_PIPE


@pytest.mark.parametrize("command", [["task", "list"], ["agent", "run", "x:agent"], ["info"]])
def test_an_address_without_a_port_is_a_usage_error(command: list[str]) -> None:
    result = CliRunner().invoke(root, ["--server", "localhost", *command])
    assert result.exit_code == ExitCode.USAGE
    assert "expected host:port such as 127.0.0.1:7400, got 'localhost'" in result.stderr


def test_an_agent_that_cannot_be_served_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "idle_agent.py").write_text("import quarterdeck; idle = quarterdeck.Agent('idle')")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(root, ["agent", "run", "idle_agent:idle"])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "Error: idle: the agent has no handler to serve\n"


def test_a_module_that_raises_is_shown_from_where_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken_agent.py"
    broken.write_text("def fail():\n    raise RuntimeError('no key')\nfail()\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(root, ["agent", "run", "broken_agent:agent"])
    assert result.exit_code == ExitCode.USAGE
    first, second, *_, last = result.stderr.splitlines()
    assert first == "Error: the module broken_agent cannot be imported"
    assert second == f'  File "{broken}", line 3, in <module>'
    assert last == "RuntimeError: no key"


def test_a_module_that_needs_another_names_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy_agent.py").write_text("import a_module_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(root, ["agent", "run", "needy_agent:agent"])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.endswith("No module named 'a_module_that_is_not_there'\n")


def test_an_agent_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two_agents.py").write_text(
        "import quarterdeck\none, two = quarterdeck.Agent('a'), quarterdeck.Agent('b')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(root, ["agent", "run", "two_agents:agent"])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.endswith("is no quarterdeck.Agent; there is one and two\n")


def test_a_file_in_place_of_a_module_is_told_how_it_is_written() -> None:
    result = CliRunner().invoke(root, ["agent", "run", "team/greeter.py"])
    assert result.stderr.endswith("such as team.greeter:agent, got 'team/greeter.py'\n")
