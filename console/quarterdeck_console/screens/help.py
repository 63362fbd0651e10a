"""Help made from the bindings that work right now, so that a remapped key shows as remapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import ModalScreen

from quarterdeck_console.actions import BY_ID, GROUPS, TASKS
from quarterdeck_console.commands import word_of
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.lines import BLANK, Line, line
from quarterdeck_console.model.text import fit, wrap
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.pane import Pane

_TASK_FILTERS = (
    ("state:failed,expired", "one of"),
    ("queue:gpu age>10m", "both"),
    ("!name:digest", "not"),
    ('"two words"', "in the text"),
)
_COLUMN, _KEY = 36, 9


def _filters(view: str, fields: Sequence[str]) -> list[tuple[str, str]]:
    """How a list is filtered, by what its rows have."""
    if view == TASKS or not fields:
        return list(_TASK_FILTERS) if fields else []
    first = fields[0]
    examples = [(f"{first}a,b", "one of"), (f"!{first}a", "not"), ('"two words"', "in the text")]
    return examples + [("", piece) for piece in wrap("by " + " ".join(fields), _COLUMN - 22)]


def help_lines(
    entries: Mapping[str, list[tuple[str, str]]], filters: list[tuple[str, str]], cells: int
) -> list[Line]:
    """Groups of keys and titles, in as many columns as fit."""
    blocks = [_block(group, entries[group]) for group in GROUPS if entries.get(group)]
    if filters:
        blocks.append(_block("Filter", filters, key_cells=20))
    number = max(1, min(4, cells // _COLUMN))
    columns: list[list[Line]] = [[] for _ in range(number)]
    for block in blocks:
        shortest = min(columns, key=len)
        shortest.extend([*block, BLANK])
    width = cells // number
    lines: list[Line] = []
    for at in range(max(map(len, columns))):
        pieces: list[Cell] = []
        for column in columns:
            made = column[at] if at < len(column) else BLANK
            used = 0
            for piece in made:
                text = piece.text[: max(0, width - used)]
                used += len(text)
                pieces.append(Cell(text, piece.tone))
            pieces.append(Cell(" " * max(0, width - used)))
        lines.append(tuple(pieces))
    return lines


def _block(title: str, entries: list[tuple[str, str]], key_cells: int = _KEY) -> list[Line]:
    rows = [(Cell(fit(keys, key_cells) + " ", Tone.ACCENT), Cell(text)) for keys, text in entries]
    return [line(title.upper(), Tone.DIM), *rows]


class HelpScreen(ModalScreen[None]):
    """What every key does here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "close")
    ]

    def __init__(
        self, view: str, live: Mapping[str, ActiveBinding], fields: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._filters = _filters(view, fields)
        self._view = view
        self._entries = self._gather(live)

    def _gather(self, live: Mapping[str, ActiveBinding]) -> dict[str, list[tuple[str, str]]]:
        keys: dict[str, list[str]] = {}
        for active in live.values():
            if active.binding.id in BY_ID:
                shown = active.binding.key_display or self.app.get_key_display(active.binding)
                known = keys.setdefault(active.binding.id or "", [])
                if shown not in known:
                    known.append(shown)
        for action in BY_ID.values():
            if not action.keys:
                keys[action.id] = [f":{word_of(action)}"]
        entries: dict[str, list[tuple[str, str]]] = {}
        for action in BY_ID.values():
            if action.id in keys:
                asks = " (asks)" if action.dangerous else ""
                entries.setdefault(action.group, []).append(
                    (" ".join(keys[action.id]), action.title + asks)
                )
                about = wrap(action.about, _COLUMN - _KEY - 3) if action.about else []
                entries[action.group] += [("", f" {piece}") for piece in about]
        return entries

    def compose(self) -> ComposeResult:
        """One pane."""
        pane = Pane(id="help")
        pane.border_title = f"help: {self._view}   esc closes"
        yield pane

    def on_mount(self) -> None:
        """Drawn once its size is known."""
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Other columns fit."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        pane = self.query_one("#help", Pane)
        pane.show(help_lines(self._entries, self._filters, pane.room))
        pane.focus()
