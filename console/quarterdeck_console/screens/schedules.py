"""The list of schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from quarterdeck.v1 import schedule_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.actions import SCHEDULES, bindings
from quarterdeck_console.model.describe import describe_schedule
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import ScheduleRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.model.tables import SCHEDULE_COLUMNS
from quarterdeck_console.screens.pausing import PauseActs
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.stream.outcome import Outcome
from quarterdeck_console.widgets.livetable import LiveTable

NEXT_RUNS = 12


class SchedulesScreen(PauseActs[ScheduleRow]):
    """Schedules."""

    view = SCHEDULES
    BINDINGS: ClassVar[list[BindingType]] = bindings(SCHEDULES)
    columns = SCHEDULE_COLUMNS
    noun = ("schedule", "schedules")
    empty = "No schedules yet: make one with `quarterdeck schedule`"
    kind = watch_pb.RESOURCE_KIND_SCHEDULE
    field = "schedule"
    filter_fields = ("id:", "paused:yes", "kind:", "zone:", "task:", "queue:", "age>")

    def __init__(self) -> None:
        super().__init__()
        self._times: list[float] = []
        self._times_of: tuple[str, float] = ("", 0.0)
        self._asking: asyncio.Task[None] | None = None

    def all_rows(self) -> Store[ScheduleRow]:
        """All schedules."""
        return self.console_app.fleet.schedules

    def is_problem(self, row: ScheduleRow) -> bool:
        """Paused."""
        return row.paused

    async def try_filter(self, text: str) -> None:
        """Asks for one schedule."""
        await self.console_app.link.schedules.ListSchedules(
            schedule_service_pb2.ListSchedulesRequest(
                namespace=self.console_app.link.namespace, filter=text, page_size=1
            ),
            timeout=CALL_TIMEOUT,
        )

    def inspect(self, row: ScheduleRow, cells: int) -> list[Line]:
        """The schedule and its next runs, which the server knows."""
        about = (row.id, row.next)
        if about != self._times_of and (self._asking is None or self._asking.done()):
            if self._times_of[0] != row.id:
                self._times = []
            self._times_of = about
            self._asking = asyncio.create_task(self._ask_times(row.id))
        return describe_schedule(row, self._times, self.context(), cells)

    async def _ask_times(self, schedule: str) -> None:
        times = await self.console_app.acts.preview(schedule, NEXT_RUNS)
        if self._times_of[0] == schedule:
            self._times = times

    def inspected_version(self) -> int:
        """More came about the schedule."""
        return hash(tuple(self._times))

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Its tasks."""
        self.console_app.show_tasks(term("schedule", event.row_id))

    def offer(self, action_id: str) -> str | None:
        """Pause, or resume what is paused."""
        row = self.table.cursor_row
        if action_id not in ("row.suspend", "schedule.trigger"):
            return None
        if row is None:
            return ""
        if action_id == "schedule.trigger":
            return None
        return "resume" if row.paused else "pause"

    async def action_trigger(self) -> None:
        """Creates one task of each now."""
        ids = self.table.chosen()
        if ids and self.aimed():
            self.acted(await self.console_app.acts.trigger(ids))

    async def pause(self, ids: Sequence[str], what: str) -> Outcome | None:
        """Asks why."""
        note = await self.ask_note(what)
        return None if note is None else await self.console_app.acts.pause_schedules(ids, note)

    async def resume(self, ids: Sequence[str], reason: str) -> Outcome:
        """Lets schedules create tasks again."""
        return await self.console_app.acts.resume_schedules(ids, reason)
