"""What can be done to tasks, from the list and from the view of one."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.v1 import task_pb2
from quarterdeck_console.model.format import count
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.dialogs import Confirm, NewTask
from quarterdeck_console.stream.acts import Outcome


class NewTaskAct(FleetScreen):
    """Submits tasks."""

    def queue_for_new(self) -> str:
        """The queue that the form proposes."""
        return "default"

    async def action_new_task(self) -> None:
        """Asks for a task and submits it."""

        def given(spec: task_pb2.TaskSpec | None) -> None:
            if spec is not None:
                self.run_worker(self._submit(spec))

        await self.app.push_screen(NewTask(self.queue_for_new()), given)

    async def _submit(self, spec: task_pb2.TaskSpec) -> None:
        self.console_app.tell(await self.console_app.acts.submit(spec))


class TaskActs(NewTaskAct):
    """Cancels and retries."""

    def chosen_tasks(self) -> list[str]:
        """The tasks that an act is about."""
        return []

    def current_task(self) -> TaskRow | None:
        """The task that is looked at."""
        return None

    def names_of(self, ids: Sequence[str], most: int = 4) -> list[str]:
        """A few lines that name them."""
        return list(ids[:most])

    def acted(self, outcome: Outcome) -> None:
        """Says what became of it."""
        self.console_app.tell(outcome)

    async def action_cancel(self) -> None:
        """Asks for a reason, then requests the cancel."""
        ids = self.chosen_tasks()
        if not ids:
            return
        what = "this task" if len(ids) == 1 else f"{count(len(ids))} tasks"

        def confirmed(reason: str | None) -> None:
            if reason is not None:
                self.run_worker(self._cancel(ids, reason))

        await self.app.push_screen(
            Confirm(
                f"Cancel {what}? Running agents are told to stop.",
                self.names_of(ids),
                "Cancel them" if len(ids) > 1 else "Cancel it",
                ask_reason=True,
            ),
            confirmed,
        )

    async def _cancel(self, ids: Sequence[str], reason: str) -> None:
        self.acted(await self.console_app.acts.cancel(ids, reason))

    async def action_retry(self) -> None:
        """Puts ended tasks back in their queue."""
        ids = self.chosen_tasks()
        if ids:
            self.acted(await self.console_app.acts.retry(ids))

    def action_parent(self) -> None:
        """To the task that submitted this one."""
        task = self.current_task()
        if task is None or not task.parent_id:
            self.console_app.say("this task has no parent")
        else:
            self.console_app.open_task(task.parent_id)
