"""The list of queues."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from quarterdeck.v1 import fleet_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.actions import QUEUES, bindings
from quarterdeck_console.model import words
from quarterdeck_console.model.describe import describe_queue
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import QueueRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.model.tables import QUEUE_COLUMNS
from quarterdeck_console.screens.acts import NewTaskAct
from quarterdeck_console.screens.store_screen import StoreScreen
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.widgets.livetable import LiveTable


class QueuesScreen(StoreScreen[QueueRow], NewTaskAct):
    """Queues."""

    view = QUEUES
    BINDINGS: ClassVar[list[BindingType]] = bindings(QUEUES)
    columns = QUEUE_COLUMNS
    noun = "queues"
    empty = "No queues yet: a queue exists from its first task"
    kind = watch_pb.RESOURCE_KIND_QUEUE
    field = "queue"
    filter_fields = ("name:", "paused:yes", "ready>", "running>", "age>")

    def all_rows(self) -> Store[QueueRow]:
        """All queues."""
        return self.console_app.fleet.queues

    def is_problem(self, row: QueueRow) -> bool:
        """Paused, or with failed tasks."""
        return row.paused or row.in_state(words.FAILED) > 0

    async def try_filter(self, text: str) -> None:
        """Asks for one queue."""
        await self.console_app.link.fleet.ListQueues(
            fleet_service_pb2.ListQueuesRequest(
                namespace=self.console_app.link.namespace, filter=text, page_size=1
            ),
            timeout=CALL_TIMEOUT,
        )

    def inspect(self, row: QueueRow, cells: int) -> list[Line]:
        """The queue."""
        return describe_queue(row, self.context(), cells)

    def queue_for_new(self) -> str:
        """The queue under the cursor."""
        return self.table.cursor or "default"

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Its tasks."""
        self.console_app.show_tasks(term("queue", event.row_id))

    async def action_suspend(self) -> None:
        """Pauses them, or resumes them when the first is paused."""
        ids = self.table.chosen()
        row = self.table.row(ids[0]) if ids else None
        if row is not None:
            self.acted(await self.console_app.acts.pause_queues(ids, not row.paused))
