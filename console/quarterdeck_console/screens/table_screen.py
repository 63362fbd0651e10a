"""What the four lists have in common: a table, an inspector, filter, order, marks and acts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Container

from quarterdeck._words import counted
from quarterdeck_console.model.columns import Cell, Column
from quarterdeck_console.model.export import as_csv, file_name
from quarterdeck_console.model.format import count
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.store import Row
from quarterdeck_console.model.words import Tone
from quarterdeck_console.screens.base import WIDE, FleetScreen
from quarterdeck_console.screens.dialogs import Choose
from quarterdeck_console.stream.errors import Refusal
from quarterdeck_console.stream.outcome import Outcome
from quarterdeck_console.widgets.livetable import LiveTable
from quarterdeck_console.widgets.pane import Pane
from quarterdeck_console.widgets.prompt import Prompt

R = TypeVar("R", bound=Row)


class TableScreen(FleetScreen, Generic[R]):
    """A list. Subclasses say where rows come from and what can be done to them."""

    columns: Sequence[Column[R]] = ()
    noun = ("row", "rows")
    """What one of them is called, and several."""
    empty = "nothing here yet"
    inspect_narrow = True
    """Whether the inspector stands below the table where there is no room beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self.problems_only = False
        self.sorted_by = ""
        self.descending = False
        self._inspect = True
        self._inspected: tuple[object, ...] = ()
        self._problem: Refusal | None = None

    def compose_body(self) -> ComposeResult:
        """The table, and beside it the inspector."""
        with Container(id="split"):
            yield LiveTable(self.columns, self.context, empty=self.empty, id="table")
            inspector = Pane(id="inspector")
            inspector.can_focus = False
            yield inspector

    def on_mount(self) -> None:
        """The keys go to the table."""
        self.table.focus()
        self._show_order()

    @property
    def table(self) -> LiveTable[R]:
        """The table."""
        return self.query_one("#table", LiveTable)

    # What subclasses say.

    def refresh_rows(self) -> None:
        """Brings the table up to date."""

    def total(self) -> int | None:
        """How many there are in all; None while unknown."""
        return self.table.row_count

    def place(self) -> int:
        """How many rows stand before the cursor's."""
        return self.table.cursor_index

    def stale(self) -> bool:
        """True when what is shown may not be true any more."""
        return not self.console_app.fleet.connection.live

    def inspect(self, row: R, cells: int) -> list[Line]:
        """What the inspector says of a row."""
        return []

    def order_changed(self) -> None:
        """The operator wants another order."""

    async def filter_changed(self) -> Refusal | None:
        """The operator wants another filter. Answers why not, if the server refuses it."""
        return None

    async def ids_matching(self) -> list[str]:
        """Ids of everything that the filter matches."""
        return []

    # Drawing.

    def tick(self, second: bool) -> None:
        """Draws changed rows, the inspector and the bars."""
        self.table.set_stale(self.stale())
        self.refresh_rows()
        if second:
            self.table.draw_changes()
        self._draw_inspector(second)
        self.draw_bars()

    @property
    def inspecting(self) -> bool:
        """True while the inspector is shown."""
        room = self.inspect_narrow or self.size.width >= WIDE or self.full
        return self._inspect and room

    @property
    def full(self) -> bool:
        """True while the inspector has the screen to itself."""
        return self.query_one("#split").has_class("-full")

    def _draw_inspector(self, second: bool) -> None:
        pane = self.query_one("#inspector", Pane)
        pane.display = self.inspecting
        if not self.inspecting:
            return
        row = self.table.cursor_row
        about = (row, pane.room, self.inspected_version())
        if about != self._inspected or second:
            self._inspected = about
            pane.show(self.inspect(row, pane.room - 2) if row is not None else [])

    def inspected_version(self) -> int:
        """Changes when the inspector has more to say about the same row."""
        return 0

    def corner(self) -> Line:
        """How many there are."""
        total = self.total()
        shown = counted(total, *self.noun) if total is not None else f"… {self.noun[1]}"
        return (Cell(f"{shown} ", Tone.PLAIN),)

    def message(self) -> Line:
        """Filter, marks, or what is wrong."""
        pieces: list[Cell] = []
        if self._problem is not None:
            return (Cell(f" {self._problem.words}", Tone.BAD),)
        if self.problems_only:
            pieces.append(Cell(" problems only (! shows all) ", Tone.WARN))
        if self.filter_text:
            pieces += [Cell(" filter ", Tone.DIM), Cell(self.filter_text, Tone.ACCENT)]
            pieces.append(Cell("  esc clears ", Tone.DIM))
        if self.table.marks:
            pieces.append(Cell(f" {count(len(self.table.marks))} marked ", Tone.ACCENT))
        return tuple(pieces)

    def message_right(self) -> Line:
        """The order, and how much of the list is held."""
        title = next((c.title for c in self.columns if c.key == self.sorted_by), "")
        held, total = self.table.row_count, self.total()
        at = f"{count(self.place() + 1)} of {count(total or held)}" if held else ""
        order = f"by {title.lower()} {'↓' if self.descending else '↑'}   " if title else ""
        return (Cell(f"{order}{at} ", Tone.DIM),)

    def back(self) -> bool:
        """Prompt, marks, problems, filter: one after the other."""
        if super().back():
            return True
        if self.full:
            self.action_full()
            return True
        if self.table.clear_marks():
            return True
        if self.problems_only or self.filter_text:
            if self.problems_only:
                self.problems_only = False
            else:
                self.filter_text = ""
            self.run_worker(self._apply_filter())
            return True
        return False

    def focus_body(self) -> None:
        """The keys go to the table, or to the inspector while it is alone."""
        self.set_focus(self.query_one("#inspector", Pane) if self.full else self.table)

    # Filter.

    def action_filter(self) -> None:
        """Asks for a filter."""
        self.ask("filter", "/", self.filter_text)

    def completions(self, kind: str, typed: str) -> list[str]:
        """Field names for a filter."""
        if kind != "filter":
            return super().completions(kind, typed)
        head, space, word = typed.rpartition(" ")
        return [head + space + f for f in self.filter_fields if word and f.startswith(word)]

    filter_fields: Sequence[str] = ()

    async def answered(self, kind: str, text: str) -> None:
        """Tries the filter; a refusal stays beside the prompt."""
        before, self.filter_text = self.filter_text, text
        why = await self._apply_filter()
        if why is None:
            self.close_prompt()
            return
        self.filter_text = before
        self.query_one(Prompt).complain(
            why.words if why.away else why.message.removeprefix("filter: "),
            int(position) if (position := why.metadata.get("position", "")).isdecimal() else None,
        )

    async def set_filter(self, text: str) -> None:
        """Another filter, from a command or a jump."""
        self.problems_only = False
        before, self.filter_text = self.filter_text, text
        why = await self._apply_filter()
        if why is not None:
            self.filter_text = before
            self.console_app.say(why.words, bad=True)

    async def _apply_filter(self) -> Refusal | None:
        why = await self.filter_changed()
        if why is None:
            self.table.turned()
            self.table.clear_marks()
        return why

    async def action_problems(self) -> None:
        """Only what needs a person, or everything again."""
        self.problems_only = not self.problems_only
        await self._apply_filter()

    # Order.

    def sortable(self) -> list[Column[R]]:
        """Columns that the list can be sorted by."""
        return [column for column in self.columns if column.sort is not None]

    async def action_sort_menu(self) -> None:
        """Asks for the column to sort by."""
        options = [(column.key, column.title.lower()) for column in self.sortable()]

        def chosen(key: str | None) -> None:
            if key is not None:
                self.action_sort_by(key)

        await self.app.push_screen(Choose("sort by", options, self.sorted_by), chosen)

    def action_sort_by(self, key: str) -> None:
        """Sorts by a column; the second time the other way round."""
        if key not in {column.key for column in self.sortable()}:
            return
        self.descending = not self.descending if key == self.sorted_by else key in ("age", "time")
        self.sorted_by = key
        self._show_order()
        self.order_changed()

    def action_reverse(self) -> None:
        """The other way round."""
        self.descending = not self.descending
        self._show_order()
        self.order_changed()

    def _show_order(self) -> None:
        self.table.sorted_by, self.table.descending = self.sorted_by, self.descending
        self.table.turned()
        self.table.refresh()

    # Columns and panes.

    def action_wide(self) -> None:
        """Every column, or those that fit."""
        self.table.set_wide(not self.table.wide)

    def action_inspector(self) -> None:
        """The inspector, on or off."""
        self._inspect = not self._inspect
        if self.size.width < WIDE and not self.inspect_narrow:
            self.console_app.say(f"the inspector needs {WIDE} columns")

    def action_full(self) -> None:
        """The inspector alone on the screen, or beside the table again."""
        self._inspect = True
        split = self.query_one("#split")
        split.toggle_class("-full")
        full = split.has_class("-full")
        pane = self.query_one("#inspector", Pane)
        pane.can_focus = full
        if full:
            # What is described is still described once it has been read.
            self.table.stay()
        (pane if full else self.table).focus()

    def action_describe(self) -> None:
        """What the inspector says, also where there is no room for it."""
        if self.table.cursor_row is not None and not self.full:
            self.action_full()

    # Marks.

    def action_mark(self) -> None:
        """Marks the row."""
        if self.settled():
            self.table.toggle_mark()

    def action_mark_range(self) -> None:
        """Marks from the last mark to here."""
        if self.settled():
            self.table.mark_range()

    async def action_mark_all(self) -> None:
        """Marks everything that the filter matches."""
        self.table.mark(await self.ids_matching())

    def action_mark_none(self) -> None:
        """Clears the marks."""
        self.table.clear_marks()

    def action_copy(self) -> None:
        """Copies ids to the clipboard."""
        chosen = self.table.chosen()
        if chosen:
            self.app.copy_to_clipboard("\n".join(chosen))
            self.console_app.say(
                f"copied {chosen[0] if len(chosen) == 1 else counted(len(chosen), 'id')}"
            )

    def action_save(self) -> None:
        """Writes the rows that are held to a file in the directory that the console runs in."""
        held = [row for row in map(self.table.row, self.table.ids) if row is not None]
        path = Path.cwd() / file_name(self.view, self.console_app.now())
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(as_csv(self.columns, held, self.context()))
        except OSError as error:
            self.console_app.say(f"not saved: {error.strerror}", bad=True)
        else:
            self.console_app.say(f"saved {counted(len(held), *self.noun)} to {path.name}")

    def acted(self, outcome: Outcome) -> None:
        """Says what became of an act, and clears the marks that it was about."""
        self.table.clear_marks()
        self.console_app.tell(outcome)

    def aimed(self) -> bool:
        """Whether an act that asks nothing is meant for the row under the cursor; says so when it cannot be."""
        return bool(self.table.marks) or self.settled()

    def settled(self) -> bool:
        """Whether the row under the cursor can have been read; says so when it cannot."""
        if not self.table.cursor or self.table.settle():
            return True
        self.console_app.say(
            f"only now under the cursor: {self.name_of(self.table.cursor).strip()}; press again if it is meant"
        )
        return False

    def names_of(self, ids: Sequence[str], most: int = 4) -> list[str]:
        """A few lines that name what an act is about."""
        shown = [self.name_of(row_id) for row_id in ids[:most]]
        return shown + ([f"and {count(len(ids) - most)} more"] if len(ids) > most else [])

    def name_of(self, row_id: str) -> str:
        """A line that names one."""
        return row_id
