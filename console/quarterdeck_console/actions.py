"""Everything the operator can do, once: keys, palette, `:` commands and help are made from this.

Rules: one letter keeps one verb in all views; capitals destroy, and ask first, or sort; no two
actions share a key where both are in reach. Each action has an id, so a keymap file can move it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

APP, TABLE, TEXT, LOGS = "app", "table", "text", "logs"
OVERVIEW, TASKS, DETAIL = "overview", "tasks", "detail"
AGENTS, SCHEDULES, QUEUES = "agents", "schedules", "queues"
HOLDS, AUDIT = "holds", "audit"
FACTS = "facts"
"""The view of one task while its log does not have the keys."""

LISTS = (TASKS, AGENTS, SCHEDULES, QUEUES)
SORTED = (*LISTS, HOLDS)
TABLES = (*SORTED, AUDIT)

REACH: dict[str, tuple[str, ...]] = {
    OVERVIEW: (APP, OVERVIEW, TABLE),
    TASKS: (APP, TASKS, TABLE),
    DETAIL: (APP, DETAIL, FACTS, TEXT, LOGS),
    AGENTS: (APP, AGENTS, TABLE),
    SCHEDULES: (APP, SCHEDULES, TABLE),
    QUEUES: (APP, QUEUES, TABLE),
    HOLDS: (APP, HOLDS, TABLE),
    AUDIT: (APP, AUDIT, TABLE),
}
"""The scopes whose keys are in reach on each screen."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the operator can do.

    Attributes:
        id: Its name in a keymap file and after `:`.
        keys: Its keys, by Textual's names, separated by commas; empty for one that is only in the
            palette and after `:`.
        title: What it does, in two or three words.
        method: Textual's action: the method `action_<method>` of the widget of its scope.
        scopes: Where it can be done.
        group: Its heading in the help.
        footer: Its place in the key line; 0 leaves it out, the smallest come first.
        dangerous: It destroys, so it asks first.
        shown: The key as the help writes it; empty to let Textual name it.
        about: What the title leaves open, in the help and in the palette.
    """

    id: str
    keys: str
    title: str
    method: str
    scopes: tuple[str, ...]
    group: str
    footer: int = 0
    dangerous: bool = False
    shown: str = ""
    about: str = ""


def _view(number: int, name: str) -> Action:
    return Action(f"view.{name}", str(number), name, f"view('{name}')", (APP,), "Views")


ACTIONS: tuple[Action, ...] = (
    Action("app.help", "question_mark,f1", "help", "help", (APP,), "Window", 1, shown="?"),
    Action("app.command", "colon", "command", "command", (APP,), "Find", 90, shown=":"),
    Action("app.palette", "ctrl+p", "palette", "command_palette", (APP,), "Find", 95, shown="^p"),
    Action("app.back", "escape", "back", "back", (APP,), "Window", shown="esc"),
    Action("app.leave", "q", "back, quit", "leave", (APP,), "Window", 96),
    Action("app.quit", "ctrl+q", "quit", "quit", (APP,), "Window", shown="^q"),
    Action("app.last", "minus", "last view", "last_view", (APP,), "Views", shown="-"),
    Action("app.still", "P", "hold the picture", "still", (APP,), "Window", 85),
    Action("app.resync", "ctrl+r", "resync", "resync", (APP,), "Window", shown="^r"),
    Action("app.redraw", "ctrl+l", "redraw", "redraw", (APP,), "Window", shown="^l"),
    Action(
        "app.history_back",
        "left_square_bracket",
        "history back",
        "history(-1)",
        (APP,),
        "Views",
        shown="[",
    ),
    Action(
        "app.history_forward",
        "right_square_bracket",
        "history forward",
        "history(1)",
        (APP,),
        "Views",
        shown="]",
    ),
    _view(1, "overview"),
    _view(2, "tasks"),
    _view(3, "agents"),
    _view(4, "schedules"),
    _view(5, "queues"),
    Action("view.holds", "", "holds", "view('holds')", (APP,), "Views"),
    Action("view.audit", "", "audit log", "view('audit')", (APP,), "Views"),
    # The namespace, and acts under way.
    Action(
        "namespace.freeze",
        "",
        "freeze namespace",
        "freeze",
        (APP,),
        "Act",
        dangerous=True,
        about="nothing is handed out until :thaw; what runs goes on",
    ),
    Action("namespace.thaw", "", "thaw", "thaw", (APP,), "Act"),
    Action(
        "act.stop",
        "",
        "stop an act by filter",
        "stop_act",
        (APP,),
        "Act",
        about="an act on all that matches (*) ends after the page at hand: what is done stays done; "
        "no task is stopped",
    ),
    # Moving in a table.
    Action("table.down", "j,down", "down", "move(1)", (TABLE,), "Move", shown="j ↓"),
    Action("table.up", "k,up", "up", "move(-1)", (TABLE,), "Move", shown="k ↑"),
    Action("table.first", "g,home", "first", "first", (TABLE,), "Move", shown="g"),
    Action("table.last", "G,end", "last", "last", (TABLE,), "Move", shown="G"),
    Action(
        "table.page_down", "ctrl+f,pagedown", "page down", "page(1.0)", (TABLE,), "Move", shown="^f"
    ),
    Action("table.page_up", "ctrl+b,pageup", "page up", "page(-1.0)", (TABLE,), "Move", shown="^b"),
    Action(
        "table.half_down", "ctrl+d", "half page down", "page(0.5)", (TABLE,), "Move", shown="^d"
    ),
    Action("table.half_up", "ctrl+u", "half page up", "page(-0.5)", (TABLE,), "Move", shown="^u"),
    Action("table.right", "right", "columns right", "sideways(8)", (TABLE,), "Move", shown="→"),
    Action("table.left", "left", "columns left", "sideways(-8)", (TABLE,), "Move", shown="←"),
    Action("table.open", "enter", "open", "open", (TABLE,), "Act", 2, shown="enter"),
    # Moving in a text.
    Action("text.down", "j,down", "down", "move(1)", (TEXT,), "Move", shown="j ↓"),
    Action("text.up", "k,up", "up", "move(-1)", (TEXT,), "Move", shown="k ↑"),
    Action("text.first", "g,home", "first", "first", (TEXT,), "Move", shown="g"),
    Action("text.last", "G,end", "last", "last", (TEXT,), "Move", shown="G"),
    Action(
        "text.page_down", "ctrl+f,pagedown", "page down", "page(1.0)", (TEXT,), "Move", shown="^f"
    ),
    Action("text.page_up", "ctrl+b,pageup", "page up", "page(-1.0)", (TEXT,), "Move", shown="^b"),
    Action("text.half_down", "ctrl+d", "half page down", "page(0.5)", (TEXT,), "Move", shown="^d"),
    Action("text.half_up", "ctrl+u", "half page up", "page(-0.5)", (TEXT,), "Move", shown="^u"),
    Action("text.right", "l,right", "sideways", "sideways(8)", (TEXT,), "Move", shown="l →"),
    Action("text.left", "h,left", "sideways", "sideways(-8)", (TEXT,), "Move", shown="h ←"),
    # Logs.
    Action("logs.follow", "s", "follow", "follow", (LOGS,), "Logs", 20),
    Action("logs.to_end", "F", "to the end", "to_end", (LOGS,), "Logs", 21),
    Action("logs.times", "t", "times", "times", (LOGS,), "Logs", 22),
    Action("logs.wrap", "w", "wrap", "wrap", (LOGS,), "Logs", 23),
    Action("logs.search", "slash", "search", "screen.search", (LOGS,), "Logs", 24, shown="/"),
    Action("logs.next", "n", "next match", "match(1)", (LOGS,), "Logs"),
    Action("logs.previous", "N", "previous match", "match(-1)", (LOGS,), "Logs"),
    # Finding.
    Action(
        "list.filter",
        "slash",
        "filter",
        "filter",
        LISTS,
        "Find",
        30,
        shown="/",
    ),
    Action(
        "list.problems",
        "exclamation_mark",
        "problems",
        "problems",
        LISTS,
        "Find",
        60,
        shown="!",
    ),
    Action("list.sort", "o", "sort", "sort_menu", SORTED, "Table", 50),
    Action("list.reverse", "O", "reverse", "reverse", SORTED, "Table"),
    Action(
        "list.by_name",
        "N",
        "by name",
        "sort_by('name')",
        SORTED,
        "Table",
    ),
    Action("list.by_age", "A", "by age", "sort_by('age')", SORTED, "Table"),
    Action(
        "list.by_state",
        "S",
        "by state",
        "sort_by('state')",
        SORTED,
        "Table",
    ),
    Action("list.wide", "w", "wide", "wide", TABLES, "Table", 70),
    Action(
        "list.inspector",
        "i",
        "inspector",
        "inspector",
        TABLES,
        "Window",
        75,
    ),
    # Marks.
    Action(
        "mark.row",
        "space",
        "mark",
        "mark",
        SORTED,
        "Mark",
        40,
        shown="space",
    ),
    Action(
        "mark.range",
        "V,ctrl+@,ctrl+space",
        "mark range",
        "mark_range",
        SORTED,
        "Mark",
        shown="V",
    ),
    Action(
        "mark.all",
        "asterisk",
        "mark all matching",
        "mark_all",
        SORTED,
        "Mark",
        shown="*",
    ),
    Action(
        "mark.none",
        "U,ctrl+backslash",
        "clear marks",
        "mark_none",
        SORTED,
        "Mark",
        shown="U",
    ),
    # Acts.
    Action("task.retry", "r", "retry", "retry", (TASKS, DETAIL), "Act", 10),
    Action("task.cancel", "X", "cancel", "cancel", (TASKS, DETAIL), "Act", 11, dangerous=True),
    Action("task.new", "n", "new task", "new_task", (OVERVIEW, TASKS, QUEUES), "Act", 35),
    Action("task.logs", "l", "logs", "logs", (TASKS,), "Act", 9),
    Action("task.previous_logs", "p", "previous attempt", "previous_logs", (TASKS, DETAIL), "Act"),
    Action("task.json", "y", "JSON", "json", (TASKS, DETAIL), "Act"),
    Action("row.describe", "d", "describe", "describe", TABLES, "Act"),
    Action("list.save", "ctrl+s", "save to a file", "save", TABLES, "Table", shown="^s"),
    Action("pane.full", "f", "full pane", "full", (*TABLES, DETAIL), "Window"),
    Action("task.parent", "J", "to parent or origin", "parent", (TASKS, DETAIL), "Act"),
    Action("row.copy", "c", "copy id", "copy", (*TABLES, DETAIL), "Act", 45),
    Action("schedule.trigger", "t", "trigger now", "trigger", (SCHEDULES,), "Act", 10),
    Action(
        "row.suspend", "s", "pause/resume", "suspend", (TASKS, FACTS, SCHEDULES, QUEUES), "Act", 12
    ),
    Action("row.edit", "e", "edit", "edit", (TASKS, DETAIL, QUEUES), "Act", 13),
    Action(
        "row.hold",
        "H",
        "hold/release",
        "hold",
        (TASKS, DETAIL, AGENTS, HOLDS),
        "Act",
        48,
        dangerous=True,
    ),
    Action("mark.bulk", "b", "bulk acts", "bulk_menu", (TASKS,), "Mark", 42),
    Action("agent.drain", "D", "drain", "drain", (AGENTS,), "Act", 11, dangerous=True),
    Action(
        "detail.next",
        "greater_than_sign",
        "next section",
        "section(1)",
        (DETAIL,),
        "Views",
        5,
        shown=">",
    ),
    Action(
        "detail.previous",
        "less_than_sign",
        "previous section",
        "section(-1)",
        (DETAIL,),
        "Views",
        shown="<",
    ),
)

BY_ID = {action.id: action for action in ACTIONS}

GROUPS = ("Move", "Views", "Act", "Mark", "Find", "Table", "Logs", "Window")
"""Headings of the help, in order."""


ASKING = ("command", "filter", "screen.search")
"""Methods that open the prompt. Their keys are looked at before any widget has them: what is typed in the same breath
must find the prompt open, or `:holds` in one burst would hold, sort and pause."""


def bindings(*scopes: str) -> list[BindingType]:
    """Textual's bindings of everything that can be done in these scopes."""
    wanted = set(scopes)
    return [_binding(action) for action in ACTIONS if action.keys and wanted & set(action.scopes)]


def _binding(action: Action) -> Binding:
    return Binding(
        action.keys,
        action.method,
        action.title,
        id=action.id,
        show=bool(action.footer),
        key_display=action.shown or None,
        priority=action.id == "app.quit" or action.method in ASKING,
        system=action.group in ("Move", "Window"),
    )


def in_reach(actions: Iterable[Action], screen: str) -> list[Action]:
    """The actions whose keys do something on a screen."""
    reach = set(REACH.get(screen, (APP,)))
    return [action for action in actions if reach & set(action.scopes)]
