"""Pausing what can be paused as a whole, and letting it go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from quarterdeck._words import counted
from quarterdeck_console.model.rows import QueueRow, ScheduleRow
from quarterdeck_console.screens.form import REASON, Field, Form
from quarterdeck_console.screens.store_screen import StoreScreen
from quarterdeck_console.stream.outcome import Outcome

P = TypeVar("P", bound=QueueRow | ScheduleRow)


class PauseActs(StoreScreen[P], Generic[P]):
    """Pauses queues or schedules, and resumes them; both ask why, so no row is hit unread."""

    async def pause(self, ids: Sequence[str], what: str) -> Outcome | None:
        """Asks and pauses; None when it was given up."""
        raise NotImplementedError

    async def resume(self, ids: Sequence[str], reason: str) -> Outcome:
        """Lets them go on."""
        raise NotImplementedError

    def action_suspend(self) -> None:
        """Pauses them, or resumes them when the first is paused."""
        self.run_worker(self._suspend())

    async def _suspend(self) -> None:
        ids = self.table.chosen()
        row = self.table.row(ids[0]) if ids else None
        if row is None:
            return
        what = row.id if len(ids) == 1 else counted(len(ids), *self.noun)
        outcome = await (self._resume(ids, what) if row.paused else self.pause(ids, what))
        if outcome is not None:
            self.acted(outcome)

    async def _resume(self, ids: Sequence[str], what: str) -> Outcome | None:
        reason = await self.ask_why(f"resume {what}", "Resume", REASON)
        return None if reason is None else await self.resume(ids, reason)

    async def ask_note(self, what: str) -> str | None:
        """Asks why they are paused, which is shown with them."""
        note = REASON._replace(hint=f"why, shown with the {self.noun[0]}")
        return await self.ask_why(f"pause {what}", "Pause", note)

    async def ask_why(self, title: str, act: str, field: Field) -> str | None:
        """Asks for one line; None when it was given up."""
        return await self.app.push_screen_wait(
            Form(title, [field], act, lambda values: values[field.key].strip())
        )
