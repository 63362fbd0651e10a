"""Editing tasks: those that wait are changed, those that ended run again as new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from quarterdeck._words import counted
from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck.v1.task_service_pb2 import TaskUpdate
from quarterdeck_console.model import words
from quarterdeck_console.model.forms import editable_input, edited_input, task_update
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.form import REASON, Field, Form
from quarterdeck_console.stream.errors import Refusal
from quarterdeck_console.stream.outcome import Outcome


class Change(NamedTuple):
    """What a form for tasks that have not ended asks for."""

    update: TaskUpdate
    reason: str


class Again(NamedTuple):
    """What a form for ended tasks asks for."""

    input: Payload | None
    with_dependents: bool
    reason: str


class EditActs(FleetScreen):
    """Edits tasks and runs them again."""

    def names_of(self, ids: Sequence[str], most: int = 4) -> list[str]:
        """A few lines that name tasks."""
        return list(ids[:most])

    async def ask_change(
        self, title: str, row: TaskRow | None, names: Sequence[str] = ()
    ) -> Change | None:
        """Asks what to change; a task that runs can only be labelled. Must run in a worker."""

        def made(values: Mapping[str, str]) -> Change:
            given = {key: values.get(key, "") for key in ("priority", "start", "queue", "labels")}
            return Change(task_update(**given), values["reason"].strip())

        running = row is not None and row.state == words.RUNNING
        facts = ["While it runs, only its labels can be changed."] if running else []
        return await self.app.push_screen_wait(
            Form(title, [*_change_fields(row), REASON], "Change", made, [*names, *facts])
        )

    async def change(self, ids: Sequence[str], row: TaskRow | None) -> Outcome | None:
        """Changes tasks that have not ended."""
        title = "edit this task" if len(ids) == 1 else f"edit {counted(len(ids), 'task')}"
        change = await self.ask_change(title, row, self.names_of(ids, 1))
        if change is None:
            return None
        return await self.console_app.acts.update(ids, change.update, change.reason)

    async def rerun(self, ids: Sequence[str], *, dependents: bool = False) -> Outcome | None:
        """Runs ended tasks again; one alone with another input, if wanted."""
        payload = before = None
        if len(ids) == 1:
            found = await self.console_app.acts.input_of(ids[0])
            if isinstance(found, Refusal):
                self.console_app.say(found.words, bad=True)
                return None
            payload, before = found, editable_input(found)
        fields = [
            Field("dependents", "also", "all that depended on it", "x" if dependents else "", "box")
        ]
        if before is not None:
            fields.insert(0, Field("input", "input", "", before, "text"))

        def made(values: Mapping[str, str]) -> Again:
            other = None
            if payload is not None and before is not None:
                other = edited_input(payload, before, values["input"])
            return Again(other, bool(values["dependents"]), values["reason"].strip())

        title = (
            "run again as a new task" if len(ids) == 1 else f"run {counted(len(ids), 'task')} again"
        )
        facts = self.names_of(ids, 1)
        if before is None and len(ids) == 1:
            facts.append("The input stays as it was.")
        again = await self.app.push_screen_wait(
            Form(title, [*fields, REASON], "Run again", made, facts)
        )
        if again is None:
            return None
        return await self.console_app.acts.rerun(
            ids, again.reason, input=again.input, with_dependents=again.with_dependents
        )


def _change_fields(row: TaskRow | None) -> list[Field]:
    labels = Field("labels", "labels", "key=value, key= removes it")
    if row is not None and row.state == words.RUNNING:
        return [labels]
    priority = f"0 to 9; now {row.priority}" if row is not None else "0 to 9"
    queue = f"now {row.queue}" if row is not None else "the line to wait in"
    return [
        Field("priority", "priority", priority),
        Field("start", "start", "now, 10m, or 2026-05-01T08:00 local time"),
        Field("queue", "queue", queue),
        labels,
    ]
