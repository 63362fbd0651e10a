"""What is held, and letting it go."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from quarterdeck._words import counted
from quarterdeck_console.actions import HOLDS, bindings
from quarterdeck_console.model.hold_table import HOLD_COLUMNS, describe_hold
from quarterdeck_console.model.holds import HoldRow
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.store import Store
from quarterdeck_console.screens.dialogs import FOR_AUDIT, Confirm
from quarterdeck_console.screens.store_screen import StoreScreen


class HoldsScreen(StoreScreen[HoldRow]):
    """Freezes, paused names, quarantines."""

    view = HOLDS
    BINDINGS: ClassVar[list[BindingType]] = bindings(HOLDS)
    columns = HOLD_COLUMNS
    noun = ("hold", "holds")
    empty = "Nothing is held: H holds an agent or a task's name, :freeze holds everything"

    def all_rows(self) -> Store[HoldRow]:
        """All holds."""
        return self.console_app.fleet.holds

    def is_problem(self, row: HoldRow) -> bool:
        """Put there by a rule."""
        return row.quarantined

    def inspect(self, row: HoldRow, cells: int) -> list[Line]:
        """The hold."""
        return describe_hold(row, self.context(), cells)

    def name_of(self, row_id: str) -> str:
        """What is held."""
        row = self.table.row(row_id)
        return self.console_app.fleet.held(row) if row is not None else row_id

    def offer(self, action_id: str) -> str | None:
        """Here everything is held."""
        if action_id != "row.hold":
            return None
        return "release" if self.table.cursor_row is not None else ""

    def action_hold(self) -> None:
        """Releases them, after a reason."""
        self.run_worker(self._release())

    async def _release(self) -> None:
        ids = self.table.chosen()
        rows = [row for row in map(self.table.row, ids) if row is not None]
        if not rows:
            return
        what = "this hold" if len(rows) == 1 else counted(len(rows), "hold")
        question = Confirm(f"Release {what}?", self.names_of(ids), "Release", reason=FOR_AUDIT)
        reason = await self.app.push_screen_wait(question)
        if reason is not None:
            given = [(row.kind, row.subject) for row in rows]
            self.acted(await self.console_app.acts.release(given, reason))
