"""The `:` command line: what may be typed, and what each line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck_console.actions import ACTIONS, Action, in_reach

VIEWS = ("overview", "tasks", "agents", "schedules", "queues")
"""The views that have a tab and a number."""

MORE_VIEWS = ("holds", "audit")
ALIASES = {"pulse": "overview", "sched": "schedules", "q": "quit", "q!": "quit"}


class CommandError(ValueError):
    """A line that asks for nothing known; its text says so."""


@dataclass(frozen=True, slots=True)
class GoTo:
    """Show a view, with a filter if one was given."""

    view: str
    filter: str | None


@dataclass(frozen=True, slots=True)
class OpenTask:
    """Show one task, or its log."""

    task_id: str
    logs: bool


@dataclass(frozen=True, slots=True)
class SetTheme:
    """Change the colours."""

    name: str


@dataclass(frozen=True, slots=True)
class Do:
    """Run an action of the registry."""

    action: Action


Command = GoTo | OpenTask | SetTheme | Do


def word_of(action: Action) -> str:
    """The word after `:` that runs an action."""
    return action.id.split(".", 1)[1]


def _doable(screen: str) -> dict[str, Action]:
    moves = {"Move", "Views"}
    return {
        word_of(action): action
        for action in in_reach(ACTIONS, screen)
        if action.group not in moves and action.id not in ("app.command", "app.back")
    }


def parse(line: str, screen: str) -> Command:
    """Reads a command line.

    Args:
        line: What was typed after `:`.
        screen: The screen it was typed on; it decides which acts there are.

    Raises:
        CommandError: Nothing is called that here.
    """
    word, _, rest = line.strip().partition(" ")
    word, rest = ALIASES.get(word, word), rest.strip()
    if word in VIEWS:
        return GoTo(word, rest or None)
    if word in MORE_VIEWS:
        return GoTo(word, None)
    if word in ("task", "logs") and rest:
        return OpenTask(rest if rest.startswith("task_") else f"task_{rest}", word == "logs")
    if word == "theme" and rest:
        return SetTheme(rest)
    action = _doable(screen).get(word)
    if action is None:
        raise CommandError(f"no command {word!r} here; tab completes, ? lists what there is")
    return Do(action)


def complete(line: str, screen: str, themes: Sequence[str]) -> list[str]:
    """Whole lines that begin with what was typed, the nearest first."""
    known = [*VIEWS, *MORE_VIEWS, "task ", "logs ", *sorted(_doable(screen))]
    known += [f"theme {name}" for name in themes]
    return [candidate for candidate in known if candidate.startswith(line) and candidate != line]
