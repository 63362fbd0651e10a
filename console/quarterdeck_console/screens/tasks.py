"""The list of tasks: a window on however many there are, sorted and filtered by the server."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import grpc
from textual.binding import BindingType

from quarterdeck.v1 import task_service_pb2
from quarterdeck_console.actions import TASKS, bindings
from quarterdeck_console.model.columns import Cell, Column
from quarterdeck_console.model.describe import describe_task
from quarterdeck_console.model.detail import LogBuffer, TaskDetail
from quarterdeck_console.model.format import clock
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.tables import TASK_COLUMNS, short_id
from quarterdeck_console.model.window import Order
from quarterdeck_console.model.words import Tone
from quarterdeck_console.screens.acts import TaskActs
from quarterdeck_console.screens.table_screen import TableScreen
from quarterdeck_console.stream.bulk import Everything
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.stream.detail_feed import get_task, read_logs
from quarterdeck_console.stream.errors import Refusal, refusal
from quarterdeck_console.stream.task_feed import TaskFeed
from quarterdeck_console.widgets.livetable import LiveTable

PROBLEMS = "state:failed,expired"
REST = 0.15
"""Seconds that the cursor rests on a row before the inspector asks for more about it."""

_ORDERS = {column.key: column.order for column in TASK_COLUMNS if column.order}


class TasksScreen(TableScreen[TaskRow], TaskActs):
    """Tasks."""

    view = TASKS
    BINDINGS: ClassVar[list[BindingType]] = bindings(TASKS)
    columns = TASK_COLUMNS
    noun = "tasks"
    inspect_narrow = False
    empty = "No tasks yet: submit one with n, or with `quarterdeck task submit`"
    filter_fields = (
        "state:", "queue:", "name:", "age>", "attempt>", "priority>", "agent:", "error:",
        "label.", "group:", "attr.", "paused:yes", "parent:",
        "schedule:", "rerun_of:", "id:", "state:failed", "state:running", "state:ready",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.sorted_by, self.descending = "age", True
        self._feed: TaskFeed | None = None
        self._detail: TaskDetail | None = None
        self._logs = LogBuffer(8)
        self._version = 0
        self._peek: asyncio.Task[None] | None = None
        self._everything: Everything | None = None

    @property
    def feed(self) -> TaskFeed:
        """What feeds the list."""
        if self._feed is None:
            self._feed = self._make_feed()
        return self._feed

    def _make_feed(self) -> TaskFeed:
        order = Order(_ORDERS[self.sorted_by], self.descending)
        return TaskFeed(self.console_app.link, self.full_filter, order)

    @property
    def full_filter(self) -> str:
        """What is asked of the server: the typed filter and `!`."""
        parts = [self.filter_text, PROBLEMS if self.problems_only else ""]
        return " ".join(part for part in parts if part)

    def wake(self) -> None:
        """The list is live while it is shown."""
        self.feed.start()

    async def rest(self) -> None:
        """Hidden, it costs nothing; shown again it goes on from its token."""
        if self._feed is not None:
            await self._feed.stop()

    def resync(self) -> None:
        """Lists anew."""
        self._restart()

    def _restart(self) -> None:
        self.table.everything = None
        old, self._feed = self._feed, None
        if old is not None:
            self.run_worker(old.stop())
        self.feed.start()

    def refresh_rows(self) -> None:
        """Shows the window, and asks for the pages beyond what is looked at."""
        feed, table = self.feed, self.table
        feed.window.arrange()
        if feed.loaded:
            table.empty = (
                "No task matches; esc clears the filter" if self.full_filter else (type(self).empty)
            )
            table.show(feed.window.ids, feed.window.rows)
            first = min(table.scroll_offset.y, table.cursor_index)
            last = max(table.scroll_offset.y + table.size.height, table.cursor_index)
            feed.look(first, last)
        elif not table.row_count:
            table.empty = "Loading …"
        self._problem = feed.problem if feed.problem and not feed.problem.transient else None

    def stale(self) -> bool:
        """True while the list's own watch is down."""
        problem = self.feed.problem
        return super().stale() or (problem is not None and problem.transient)

    def total(self) -> int | None:
        """Of everything: counted by the queues; of a filter: counted by the server."""
        if self.full_filter:
            return self.feed.total
        kept = self.console_app.fleet.totals.kept
        return max(kept, self.table.row_count)

    async def filter_changed(self) -> Refusal | None:
        """Tries the filter before it replaces the list."""
        request = task_service_pb2.ListTasksRequest(
            namespace=self.console_app.link.namespace, filter=self.full_filter, page_size=1
        )
        try:
            await self.console_app.link.tasks.ListTasks(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            why = refusal(error)
            if not why.transient:
                return why
        self._restart()
        return None

    def order_changed(self) -> None:
        """The server sorts."""
        self._restart()

    def sortable(self) -> list[Column[TaskRow]]:
        """What the server can sort by."""
        return [column for column in self.columns if column.order]

    # Everything that matches.

    async def action_mark_all(self) -> None:
        """Marks all that the filter matches, on the server, as the list is now."""
        feed, app = self.feed, self.console_app
        if not feed.loaded:
            return
        self.table.clear_marks()
        # `id:*` says all: an act by filter wants one.
        self._everything = Everything(self.full_filter or "id:*", feed.watch_token, app.now())
        feed.note_joiners(True)
        self.table.everything = lambda row_id: row_id not in feed.joined
        self.table.draw_changes()

    def everything(self) -> Everything | None:
        """All that matched, until the marks are cleared."""
        return self._everything if self.table.everything is not None else None

    def bulk_started(self) -> None:
        """The marks have served."""
        self.table.clear_marks()
        self.feed.note_joiners(False)

    def message(self) -> Line:
        """Also that everything is marked."""
        what = self.everything()
        if what is None or self._problem is not None:
            return super().message()
        marked = Cell(f" all that matched at {clock(what.at)} marked ", Tone.ACCENT)
        return (marked, Cell("  b acts  U clears ", Tone.DIM), *super().message())

    # The inspector.

    def on_live_table_cursor_moved(self, event: LiveTable.CursorMoved) -> None:
        """Asks for more about the row, once the cursor rests."""
        if self._peek is not None:
            self._peek.cancel()
        self._peek = None
        if event.row_id and self.inspecting:
            self._peek = asyncio.create_task(self._look_closer(event.row_id))

    async def _look_closer(self, task_id: str) -> None:
        await asyncio.sleep(REST)
        logs = LogBuffer(8)
        try:
            detail = await get_task(self.console_app.link, task_id)
            await read_logs(self.console_app.link, task_id, logs, after=-8, page=8)
        except grpc.aio.AioRpcError:
            return
        self._detail, self._logs = detail, logs
        self._version += 1

    def inspected_version(self) -> int:
        """More came about the row."""
        return self._version

    def inspect(self, row: TaskRow, cells: int) -> list[Line]:
        """The row, and what GetTask added to it."""
        detail = self._detail if self._detail and self._detail.task.id == row.id else None
        logs = self._logs if detail is not None else None
        return describe_task(row, detail, logs, self.context(), cells)

    # Acts.

    def chosen_tasks(self) -> list[str]:
        """Marks, or the row under the cursor."""
        return self.table.chosen()

    def task_row(self, task_id: str) -> TaskRow | None:
        """A row that is held."""
        return self.table.row(task_id)

    def current_task(self) -> TaskRow | None:
        """The row under the cursor."""
        return self.table.cursor_row

    def name_of(self, row_id: str) -> str:
        """Name, id and state."""
        row = self.table.row(row_id)
        if row is None:
            return row_id
        return f"{row.name}  {short_id(row.id)}  {row.state_words()[1]}"

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Into the task."""
        self.console_app.open_task(event.row_id)

    def action_logs(self) -> None:
        """Into the task's log."""
        if self.table.cursor:
            self.console_app.open_task(self.table.cursor, logs=True)
