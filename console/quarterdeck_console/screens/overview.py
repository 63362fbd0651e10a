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
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.queue_table import BRIEF_QUEUE_COLUMNS, QUEUE_COLUMNS
from quarterdeck_console.model.rows import QueueRow, TaskRow
from quarterdeck_console.model.tables import BRIEF_TASK_COLUMNS
from quarterdeck_console.model.window import Order
from quarterdeck_console.model.words import Tone
from quarterdeck_console.screens.acts import NewTaskAct
from quarterdeck_console.screens.base import TALL, WIDE
from quarterdeck_console.stream.task_feed import TaskFeed
from quarterdeck_console.widgets.livetable import LiveTable
from quarterdeck_console.widgets.pane import Pane

_LISTS = {
    "failed": ("state:failed", Order("end_time", True)),
    "running": ("state:running", Order("run_time", False)),
}
FAILURES = 50
"""Failed tasks named on the overview; the task list has them all."""
_QUIET = "All quiet: nothing needs you"
_UNKNOWN = "Not known: no contact with the server"


class OverviewScreen(NewTaskAct):
    """Activity, agents, queues, progress by name, and what needs a person."""

    view = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = bindings(OVERVIEW)

    def __init__(self) -> None:
        super().__init__()
        self._feeds: dict[str, TaskFeed] = {}
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
        with Horizontal(id="bottom"):
            with Vertical(id="matters-box"):
                yield LiveTable(
                    ATTENTION_COLUMNS,
                    self.context,
                    empty=_UNKNOWN,
                    id="matters",
                )
            with Vertical(id="running-box"):
                yield LiveTable(
                    BRIEF_TASK_COLUMNS, self.context, empty="Nothing is running", id="running"
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
        self.query_one("#running-box").border_title = "running longest"
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
    def running(self) -> LiveTable[TaskRow]:
        """What runs, where there is room for it."""
        return self.query_one("#running", LiveTable)

    @property
    def roomy(self) -> bool:
        """True when there is room for what runs."""
        return self.size.width >= WIDE and self.size.height >= TALL

    def _feed(self, name: str) -> TaskFeed:
        if name not in self._feeds:
            state, order = _LISTS[name]
            self._feeds[name] = TaskFeed(self.console_app.link, state, order)
        return self._feeds[name]

    def wake(self) -> None:
        """Failures, and what runs, are watched while it is shown."""
        self._feed("failed").start()
        if self.roomy:
            self._feed("running").start()

    async def rest(self) -> None:
        """Hidden, it costs nothing."""
        for feed in self._feeds.values():
            await feed.stop()

    def resync(self) -> None:
        """Lists them anew."""
        old, self._feeds = self._feeds, {}
        for feed in old.values():
            self.run_worker(feed.stop())
        self.wake()

    def tick(self, second: bool) -> None:
        """Tables at once, charts once a second."""
        fleet = self.console_app.fleet
        stale = not fleet.connection.live
        for table in (self.queues, self.matters, self.running):
            table.set_stale(stale)
        self._say_whether_quiet(known=not stale)
        self._draw_queues()
        self._draw_matters()
        if self.roomy:
            window = self._feed("running").window
            window.arrange()
            self.running.show(window.ids, window.rows)
        activity, agents, names = (
            self.query_one(f"#{name}", Pane) for name in ("activity", "fleet", "names")
        )
        if second or not activity.lines:
            activity.show(pulse.activity(fleet, activity.room))
            self.queues.draw_changes()
            self.matters.draw_changes()
            self.running.draw_changes()
        agents.show(pulse.agents(fleet, agents.room))
        if names.display:
            names.show(pulse.by_name(fleet, names.room))
        self.draw_bars()

    def _say_whether_quiet(self, *, known: bool) -> None:
        """A fleet that is not seen is not a quiet one."""
        empty = _QUIET if known else _UNKNOWN
        if self.matters.empty != empty:
            self.matters.empty = empty
            self.matters.refresh()

    def _draw_queues(self) -> None:
        fleet = self.console_app.fleet
        about = (fleet.queues.version, fleet.agents.version)
        if about == self._queues_shown:
            return
        self._queues_shown = about
        rows = sorted(fleet.queues, key=lambda queue: queue.id)
        table = self.queues
        ids = [row.id for row in rows]
        table.show(table.ids if ids == table.ids else ids, fleet.queues.rows)

    def _draw_matters(self) -> None:
        fleet, window = self.console_app.fleet, self._feed("failed").window
        about = (fleet.version, window.version)
        if about == self._matters_shown:
            return
        self._matters_shown = about
        window.arrange()
        newest = [window.rows[task_id] for task_id in window.ids[:FAILURES]]
        rows = matters(fleet, newest, more=len(window.ids) > FAILURES)
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
        if self._feeds:
            self.wake()

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Enter jumps."""
        if event.table.id == "queues":
            self.console_app.show_tasks(term("queue", event.row_id))
            return
        if event.table.id == "running":
            self.console_app.open_task(event.row_id)
            return
        row = self.matters.row(event.row_id)
        if row is None:
            return
        if row.kind == "tasks":
            self.console_app.show_tasks(row.target)
        elif row.kind == "task":
            self.console_app.open_task(row.target)
        elif row.kind == "agent":
            self.console_app.show_row("agents", row.target)
        elif row.kind == "hold":
            self.console_app.show_row("holds", row.target)
        else:
            self.console_app.show_row("queues", row.target)
