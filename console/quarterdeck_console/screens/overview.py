"""The pulse of the fleet on one screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from quarterdeck_console.actions import OVERVIEW, bindings
from quarterdeck_console.model import pulse
from quarterdeck_console.model.attention import ATTENTION_COLUMNS, AttentionRow, matters
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import QueueRow
from quarterdeck_console.model.tables import BRIEF_QUEUE_COLUMNS, QUEUE_COLUMNS
from quarterdeck_console.model.window import Order
from quarterdeck_console.model.words import Tone
from quarterdeck_console.screens.acts import NewTaskAct
from quarterdeck_console.screens.base import WIDE
from quarterdeck_console.stream.task_feed import TaskFeed
from quarterdeck_console.widgets.livetable import LiveTable
from quarterdeck_console.widgets.pane import Pane

FAILURES = 50
"""Failed tasks named on the overview; the task list has them all."""


class OverviewScreen(NewTaskAct):
    """Activity, agents, queues, progress by name, and what needs a person."""

    view = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = bindings(OVERVIEW)

    def __init__(self) -> None:
        super().__init__()
        self._failed: TaskFeed | None = None
        self._queues_shown: tuple[object, ...] = ()
        self._matters_shown: tuple[object, ...] = ()

    def compose_body(self) -> ComposeResult:
        """Two rows of boxes over the list of matters."""
        with Horizontal(id="top"):
            yield self._box(Pane(id="activity"), "activity")
            yield self._box(Pane(id="fleet"), "agents")
        with Horizontal(id="middle"):
            with Vertical(id="queues-box"):
                yield LiveTable(
                    BRIEF_QUEUE_COLUMNS, self.context, empty="No queues yet", id="queues"
                )
            yield self._box(Pane(id="names"), "tasks by name")
        with Vertical(id="matters-box"):
            yield LiveTable(
                ATTENTION_COLUMNS, self.context, empty="All quiet: nothing needs you", id="matters"
            )

    @staticmethod
    def _box(pane: Pane, title: str) -> Pane:
        pane.border_title = title
        pane.can_focus = False
        return pane

    def on_mount(self) -> None:
        """The keys go to the matters."""
        self.query_one("#queues-box").border_title = "queues"
        self.query_one("#matters-box").border_title = "needs attention"
        self.matters.focus()

    @property
    def matters(self) -> LiveTable[AttentionRow]:
        """What needs a person."""
        return self.query_one("#matters", LiveTable)

    @property
    def queues(self) -> LiveTable[QueueRow]:
        """The queues."""
        return self.query_one("#queues", LiveTable)

    @property
    def failed(self) -> TaskFeed:
        """The newest failures."""
        if self._failed is None:
            self._failed = TaskFeed(self.console_app.link, "state:failed", Order("end_time", True))
        return self._failed

    def wake(self) -> None:
        """Failures are watched while it is shown."""
        self.failed.start()

    async def rest(self) -> None:
        """Hidden, it costs nothing."""
        if self._failed is not None:
            await self._failed.stop()

    def resync(self) -> None:
        """Lists failures anew."""
        old, self._failed = self._failed, None
        if old is not None:
            self.run_worker(old.stop())
        self.failed.start()

    def tick(self, second: bool) -> None:
        """Tables at once, charts once a second."""
        fleet = self.console_app.fleet
        stale = not fleet.connection.live
        for table in (self.queues, self.matters):
            table.set_stale(stale)
        self._draw_queues()
        self._draw_matters()
        activity, agents, names = (
            self.query_one(f"#{name}", Pane) for name in ("activity", "fleet", "names")
        )
        if second or not activity.lines:
            activity.show(pulse.activity(fleet, activity.room))
            self.queues.draw_changes()
            self.matters.draw_changes()
        agents.show(pulse.agents(fleet, agents.room))
        if names.display:
            names.show(pulse.by_name(fleet, names.room))
        self.draw_bars()

    def _draw_queues(self) -> None:
        fleet = self.console_app.fleet
        about = (fleet.queues.version, fleet.agents.version)
        if about == self._queues_shown:
            return
        self._queues_shown = about
        rows = sorted(fleet.queues, key=lambda queue: queue.id)
        table = self.queues
        ids = [row.id for row in rows]
        table.show(table.ids if ids == table.ids else ids, {row.id: row for row in rows})

    def _draw_matters(self) -> None:
        fleet, window = self.console_app.fleet, self.failed.window
        about = (fleet.version, window.version)
        if about == self._matters_shown:
            return
        self._matters_shown = about
        window.arrange()
        rows = matters(fleet, [window.rows[task_id] for task_id in window.ids[:FAILURES]])
        ids = [row.id for row in rows]
        table = self.matters
        table.show(table.ids if ids == table.ids else ids, {row.id: row for row in rows})

    def message(self) -> Line:
        """Why there is nothing, when the server is not there."""
        connection = self.console_app.fleet.connection
        if connection.live or not connection.problem:
            return ()
        return (Cell(f" {self.console_app.address_label}: {connection.problem}", Tone.DIM),)

    def on_resize(self) -> None:
        """More columns of the queues where there is room."""
        self.queues.show_columns(QUEUE_COLUMNS if self.size.width >= WIDE else BRIEF_QUEUE_COLUMNS)

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Enter jumps."""
        if event.table.id == "queues":
            self.console_app.show_tasks(f"queue:{event.row_id}")
            return
        row = self.matters.row(event.row_id)
        if row is None:
            return
        if row.kind == "task":
            self.console_app.open_task(row.target)
        elif row.kind == "agent":
            self.console_app.show_row("agents", row.target)
        else:
            self.console_app.show_row("queues", row.target)
