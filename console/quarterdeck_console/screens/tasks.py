"""The list of tasks: a window on however many there are, sorted and filtered by the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
    noun = ("task", "tasks")
    inspect_narrow = False
    empty = "No tasks yet: submit one with n, or with `quarterdeck task submit`"
    filter_fields = (
        "state:", "queue:", "name:", "age>", "attempt>", "priority>", "agent:", "error:",
        "reason:", "started<", "label.", "group:", "attr.", "paused:yes", "parent:",
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
        self._from_end = False
        self._upwards: tuple[list[str], list[str]] = ([], [])
        self._jump = False

    def on_mount(self) -> None:
        """`g` and `G` may need rows that are not held."""
        self.table.at_edge = self._to_edge

    def _to_edge(self, last: bool) -> bool:
        """Lists from the other end when the row at that end is not held."""
        window = self.feed.window
        held = window.at_end if last != self._from_end else window.at_start
        if held or not self.feed.loaded:
            return False
        self._from_end, self._jump = last, True
        joined, marked = self.feed.joined, self.table.everything
        self._restart()
        if marked is not None:
            self._show_everything(joined)
        return True

    @property
    def feed(self) -> TaskFeed:
        """What feeds the list."""
        if self._feed is None:
            self._feed = self._make_feed()
        return self._feed

    def _make_feed(self) -> TaskFeed:
        # From its end, a list is the opposite list read upwards.
        order = Order(_ORDERS[self.sorted_by], self.descending != self._from_end)
        return TaskFeed(self.console_app.link, self.full_filter, order)

    @property
    def full_filter(self) -> str:
        """What is asked of the server: the typed filter and `!`."""
        parts = [self.filter_text, PROBLEMS if self.problems_only else ""]
        return " ".join(part for part in parts if part)

    def wake(self) -> None:
        """The list is live while it is shown."""
        at = self.table.cursor_index
        self.feed.start(self.table.row_count - 1 - at if self._from_end else at)

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
            ids = self._shown_ids()
            table.show(ids, feed.window.rows)
            if self._jump and ids:
                self._jump = False
                table.go_to(len(ids) - 1 if self._from_end else 0, pin=not self._from_end)
            first = min(table.scroll_offset.y, table.cursor_index)
            last = max(table.scroll_offset.y + table.size.height, table.cursor_index)
            if self._from_end:
                first, last = len(ids) - 1 - last, len(ids) - 1 - first
            feed.look(first, last)
        elif not table.row_count:
            table.empty = "Loading …"
        self._problem = feed.problem if feed.problem and not feed.problem.transient else None

    def _shown_ids(self) -> Sequence[str]:
        ids = self.feed.window.ids
        if not self._from_end:
            return ids
        if ids is not self._upwards[0]:
            self._upwards = (ids, ids[::-1])
        return self._upwards[1]

    def place(self) -> int:
        """Counted from the end of the list while it is listed from there."""
        total = self.total()
        if not self._from_end or total is None:
            return super().place()
        return max(0, total - self.table.row_count) + super().place()

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
        self._from_end = False
        self._restart()
        return None

    def order_changed(self) -> None:
        """The server sorts."""
        self._from_end = False
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
        self._show_everything(set())

    def _show_everything(self, joined: set[str]) -> None:
        """Draws as marked what matched then, and not what came since."""
        what, feed, table = self._everything, self.feed, self.table
        feed.note_joiners(joined)

        def marked(row_id: str) -> bool:
            row = table.row(row_id)
            later = row is not None and what is not None and row.created > what.at
            return row_id not in joined and not later

        table.everything = marked
        table.draw_changes()

    def everything(self) -> Everything | None:
        """All that matched, until the marks are cleared."""
        return self._everything if self.table.everything is not None else None

    def bulk_started(self) -> None:
        """The marks have served."""
        self.table.clear_marks()
        self.feed.note_joiners(None)

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
        self._peek_at(event.row_id)

    def action_full(self) -> None:
        """Where there was no inspector, it knows nothing yet."""
        super().action_full()
        self._peek_at(self.table.cursor)

    def _peek_at(self, row_id: str) -> None:
        if self._peek is not None:
            self._peek.cancel()
        self._peek = None
        if row_id and self.inspecting:
            self._peek = asyncio.create_task(self._look_closer(row_id))

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

    def has_marks(self) -> bool:
        """Acts go to the marks."""
        return bool(self.table.marks)

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

    def action_previous_logs(self) -> None:
        """Into the log of the attempt before the last."""
        row = self.table.cursor_row
        if row is None or row.attempt < 2:
            self.console_app.say("there is no attempt before")
        else:
            self.console_app.open_task(row.id, logs=True, attempt=row.attempt - 1)
