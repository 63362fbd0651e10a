"""The list of queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import BindingType

from quarterdeck._words import counted
from quarterdeck.v1 import fleet_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck.v1.queue_pb2 import QueueLimits
from quarterdeck_console.actions import QUEUES, bindings
from quarterdeck_console.model import words
from quarterdeck_console.model.describe import describe_queue
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.forms import queue_limits
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.parts import LimitsRow
from quarterdeck_console.model.queue_table import QUEUE_COLUMNS
from quarterdeck_console.model.rows import QueueRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.screens.acts import NewTaskAct
from quarterdeck_console.screens.dialogs import SHOWN, Choose, Confirm
from quarterdeck_console.screens.form import REASON, Field, Form
from quarterdeck_console.screens.pausing import PauseActs
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.stream.outcome import Outcome
from quarterdeck_console.widgets.livetable import LiveTable


class QueuesScreen(PauseActs[QueueRow], NewTaskAct):
    """Queues."""

    view = QUEUES
    BINDINGS: ClassVar[list[BindingType]] = bindings(QUEUES)
    columns = QUEUE_COLUMNS
    noun = ("queue", "queues")
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

    def offer(self, action_id: str) -> str | None:
        """Pause, or resume what is paused."""
        row = self.table.cursor_row
        if action_id not in ("row.suspend", "row.edit"):
            return None
        if row is None:
            return ""
        if action_id == "row.edit":
            return "limits"
        return "resume" if row.paused else "pause"

    async def pause(self, ids: Sequence[str], what: str) -> Outcome | None:
        """Asks what becomes of arrivals, and why."""
        arrivals = await self.app.push_screen_wait(
            Choose(f"pause {what}: what arrives meanwhile", _ARRIVALS)
        )
        if arrivals is None:
            return None
        if arrivals == "wait":
            note = await self.ask_note(what)
        else:
            facts = ["What arrives is cancelled at once, with reason DROPPED."]
            question = Confirm(f"Pause {what} and drop arrivals?", facts, "Drop", reason=SHOWN)
            note = await self.app.push_screen_wait(question)
        if note is None:
            return None
        return await self.console_app.acts.pause_queues(ids, note, drop=arrivals == "drop")

    async def resume(self, ids: Sequence[str], reason: str) -> Outcome:
        """Lets queues hand out tasks again."""
        return await self.console_app.acts.resume_queues(ids, reason)

    def action_edit(self) -> None:
        """Asks for limits."""
        self.run_worker(self._edit())

    async def _edit(self) -> None:
        ids = self.table.chosen()
        row = self.table.row(ids[0]) if ids else None
        if row is None:
            return
        rows = {queue: self.table.row(queue) for queue in ids}
        seen = {queue: "" if found is None else found.etag for queue, found in rows.items()}

        def made(values: Mapping[str, str]) -> tuple[QueueLimits, str]:
            given = {key: values[key] for key in values if key != "reason"}
            return queue_limits(**given), values["reason"].strip()

        what = row.id if len(ids) == 1 else counted(len(ids), "queue")
        form = Form(f"limits of {what}", [*_limit_fields(row.limits), REASON], "Set", made, _HINTS)
        answer = await self.app.push_screen_wait(form)
        if answer is not None:
            self.acted(await self.console_app.acts.limit_queues(ids, *answer, seen))


_ARRIVALS = (("wait", "waits until it is resumed"), ("drop", "is cancelled at once (asks)"))
_HINTS = ("N[:wait|reject|cancel-oldest|cancel-newest]  N/PERIOD[,burst=N]", "empty is no limit")


def _limit_fields(limits: LimitsRow) -> list[Field]:
    shares = " ".join(f"{key}={share}" for key, share in limits.weights)
    return [
        Field("concurrency", "at once", "such as 50", limits.concurrency),
        Field("per_key", "per key", "such as 5:reject", limits.per_key),
        Field("rate", "rate", "such as 100/1m,burst=200", limits.rate),
        Field("key_rate", "key rate", "such as 10/1s", limits.key_rate),
        Field("ageing", "ageing", "a span for one priority, such as 5m", limits.ageing),
        Field("weights", "weights", "key=N key=N", shares),
    ]
