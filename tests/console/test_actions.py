"""The one registry of actions: every key has an id, a description, and one meaning where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.widget import Widget

from quarterdeck_console import commands, keymap
from quarterdeck_console.actions import (
    ACTIONS,
    APP,
    BY_ID,
    FACTS,
    GROUPS,
    LOGS,
    REACH,
    TEXT,
    Action,
    bindings,
)
from quarterdeck_console.app import ConsoleApp
from quarterdeck_console.screens.agents import AgentsScreen
from quarterdeck_console.screens.audit import AuditScreen
from quarterdeck_console.screens.holds import HoldsScreen
from quarterdeck_console.screens.overview import OverviewScreen
from quarterdeck_console.screens.queues import QueuesScreen
from quarterdeck_console.screens.schedules import SchedulesScreen
from quarterdeck_console.screens.task_detail import TaskScreen
from quarterdeck_console.screens.tasks import TasksScreen
from quarterdeck_console.widgets.livetable import LiveTable
from quarterdeck_console.widgets.logview import LogView
from quarterdeck_console.widgets.pane import Pane

OWNERS: dict[str, tuple[type, ...]] = {
    "app": (ConsoleApp,),
    "table": (LiveTable,),
    "text": (Pane, LogView),
    "logs": (LogView,),
    "overview": (OverviewScreen,),
    "tasks": (TasksScreen,),
    "detail": (TaskScreen,),
    "agents": (AgentsScreen,),
    "schedules": (SchedulesScreen,),
    "queues": (QueuesScreen,),
    "facts": (TaskScreen,),
    "holds": (HoldsScreen,),
    "audit": (AuditScreen,),
}
UNUSABLE = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+[", "ctrl+left_square_bracket"}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_each_action_is_complete_and_has_a_method_where_it_is_bound(action: Action) -> None:
    assert action.id.count(".") == 1
    assert action.title
    assert action.group in GROUPS
    assert not UNUSABLE & set(action.keys.split(","))
    method = "action_" + action.method.split("(")[0].removeprefix("screen.")
    for scope in action.scopes:
        owners = (TaskScreen,) if action.method.startswith("screen.") else OWNERS[scope]
        assert all(callable(getattr(owner, method, None)) for owner in owners), (scope, method)


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(ACTIONS)


@pytest.mark.parametrize("screen", REACH)
def test_no_key_has_two_meanings_within_reach(screen: str) -> None:
    for scopes in _focused(REACH[screen]):
        seen: dict[str, str] = {}
        for action in ACTIONS:
            if set(action.scopes) & set(scopes):
                for key in filter(None, action.keys.split(",")):
                    assert key not in seen, f"{key}: {seen[key]} and {action.id} on {screen}"
                    seen[key] = action.id


def _focused(scopes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What is in reach depends on what has the focus: a text, or a log, which has some keys to itself."""
    if TEXT not in scopes:
        return [scopes]
    return [tuple(s for s in scopes if s != without) for without in (LOGS, FACTS)]


def test_what_destroys_is_on_a_capital_and_says_that_it_asks() -> None:
    for action in ACTIONS:
        if action.dangerous:
            assert not action.keys or (action.keys.isupper() and len(action.keys) == 1)


def test_bindings_carry_the_ids_that_a_keymap_needs() -> None:
    for made in bindings(APP):
        assert isinstance(made, Binding)
        assert made.id in BY_ID
        assert made.description


@pytest.mark.parametrize("owner", [owner for owners in OWNERS.values() for owner in owners])
def test_no_widget_has_keys_outside_of_the_registry(owner: type[Widget]) -> None:
    own = owner.__dict__.get("BINDINGS", [])
    assert own
    assert all(isinstance(made, Binding) and made.id in BY_ID for made in own)


def test_a_keymap_file_moves_keys(tmp_path: Path) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text('[keys]\n"task.retry" = "ctrl+y, f5"\n')
    assert keymap.load(path) == {"task.retry": "ctrl+y,f5"}
    assert keymap.load(tmp_path / "none.toml") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"task.fly" = "f"', "no action 'task.fly'"),
        ('"task.retry" = 3', "expected keys"),
        ("not toml", "keymap:"),
        ("keys = 1", "expected a table"),
    ],
)
def test_a_wrong_keymap_file_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text(text)
    with pytest.raises(keymap.KeymapError, match=why):
        keymap.load(path)


def test_command_lines_are_read() -> None:
    assert commands.parse("tasks state:failed queue:gpu", "overview") == commands.GoTo(
        "tasks", "state:failed queue:gpu"
    )
    assert commands.parse("pulse", "tasks") == commands.GoTo("overview", None)
    assert commands.parse("task 0abc", "tasks") == commands.OpenTask("task_0abc", False)
    assert commands.parse("logs task_0abc", "tasks") == commands.OpenTask("task_0abc", True)
    assert commands.parse("cancel", "tasks") == commands.Do(BY_ID["task.cancel"])
    assert commands.parse("q", "tasks") == commands.Do(BY_ID["app.quit"])


def test_actions_without_a_key_are_commands_everywhere() -> None:
    for action in ACTIONS:
        if not action.keys:
            assert action.scopes == (APP,)
    assert commands.parse("freeze", "tasks") == commands.Do(BY_ID["namespace.freeze"])
    assert commands.parse("thaw", "overview") == commands.Do(BY_ID["namespace.thaw"])
    assert commands.parse("holds", "tasks") == commands.GoTo("holds", None)
    assert commands.parse("audit", "tasks") == commands.GoTo("audit", None)


@pytest.mark.parametrize("line", ["cancel", "nonsense", "task", ""])
def test_what_cannot_be_done_here_is_no_command(line: str) -> None:
    with pytest.raises(commands.CommandError, match="no command"):
        commands.parse(line, "agents")


def test_completions_begin_with_what_was_typed() -> None:
    assert commands.complete("sch", "tasks", []) == ["schedules"]
    assert commands.complete("theme n", "tasks", ["nord", "quarterdeck"]) == ["theme nord"]
    assert "drain" in commands.complete("d", "agents", [])
    assert "drain" not in commands.complete("d", "tasks", [])


@pytest.mark.parametrize(
    "module",
    [
        "quarterdeck_console.cli",
        "quarterdeck_console.stream.watcher",
        *(
            f"quarterdeck_console.model.{path.stem}"
            for path in Path(commands.__file__).parent.joinpath("model").glob("[a-z]*.py")
        ),
    ],
)
def test_what_is_headless_imports_no_textual(module: str) -> None:
    code = f"import sys, {module}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
