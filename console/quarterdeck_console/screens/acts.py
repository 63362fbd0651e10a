"""What can be done to tasks, from the list and from the view of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from quarterdeck._words import counted
from quarterdeck.v1 import task_pb2
from quarterdeck.v1.hold_pb2 import HoldKind
from quarterdeck_console.model.forms import task_spec
from quarterdeck_console.model.holds import AGENT, AGENT_VERSION, KINDS, TASK_NAME, hold_id
from quarterdeck_console.model.offers import CANCEL, PAUSE, RESUME, RETRY, why_not
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.bulk import BulkActs
from quarterdeck_console.screens.dialogs import FOR_AGENT, FOR_AUDIT, SHOWN, Choose, Confirm
from quarterdeck_console.screens.edits import EditActs
from quarterdeck_console.screens.form import Field, Form
from quarterdeck_console.screens.text_screen import TextScreen
from quarterdeck_console.stream import bulk
from quarterdeck_console.stream.bulk import BulkAct, Everything
from quarterdeck_console.stream.errors import Refusal
from quarterdeck_console.stream.outcome import Outcome

_NEW = (
    Field("name", "name", "what is to be done, such as `summarise`"),
    Field("queue", "queue", "the line it waits in", "default"),
    Field("input", "input", "JSON", "{}"),
    Field("priority", "priority", "0 to 9, 9 first", "5"),
    Field("delay", "delay", "none, or such as 30s, 10m, 2h"),
)


LOOK = 50
"""Chosen tasks of which each is looked at before an act."""

_HELD = {
    AGENT: "Given nothing more until it is released.",
    AGENT_VERSION: "Its agents are given nothing more until it is released.",
    TASK_NAME: "Its tasks are not handed out until it is released.",
}
_RELEASED = {
    AGENT: "Given tasks again.",
    AGENT_VERSION: "Its agents are given tasks again.",
    TASK_NAME: "Its tasks are handed out again.",
}
_ABOUT_TASKS = {"task.cancel", "task.retry", "task.logs", "row.suspend", "row.edit", "row.hold"}


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

        def made(values: Mapping[str, str]) -> task_pb2.TaskSpec:
            return task_spec(**values)

        fields = [
            field._replace(value=self.queue_for_new()) if field.key == "queue" else field
            for field in _NEW
        ]
        await self.app.push_screen(Form("new task", fields, "Submit", made), given)

    async def _submit(self, spec: task_pb2.TaskSpec) -> None:
        self.console_app.tell(await self.console_app.acts.submit(spec))


class HoldActs(FleetScreen):
    """Holds names, agents and versions, and releases them."""

    def acted(self, outcome: Outcome) -> None:
        """Says what became of it."""
        self.console_app.tell(outcome)

    async def hold_or_release(self, kind: HoldKind.ValueType, subjects: Sequence[str]) -> None:
        """Holds what is not held, or releases when the first is; must run in a worker."""
        held = hold_id(kind, subjects[0]) in self.console_app.fleet.holds
        fleet = self.console_app.fleet
        shown = list(map(fleet.agent_label, subjects)) if kind == AGENT else subjects
        named = ", ".join(shown[:3]) + (" …" if len(subjects) > 3 else "")
        word, act = KINDS[kind] + ("s" if len(subjects) > 1 else ""), "Release" if held else "Hold"
        facts = [_RELEASED[kind] if held else f"{_HELD[kind]} What runs goes on."]
        question = Confirm(
            f"{act} the {word} {named}?", facts, act, reason=FOR_AUDIT if held else SHOWN
        )
        reason = await self.app.push_screen_wait(question)
        if reason is None:
            return
        acts = self.console_app.acts
        if held:
            self.acted(await acts.release([(kind, subject) for subject in subjects], reason))
        else:
            self.acted(await acts.hold(kind, subjects, reason))


class TaskActs(NewTaskAct, HoldActs, BulkActs, EditActs):
    """Cancels, retries, pauses, edits, reruns and holds."""

    def chosen_tasks(self) -> list[str]:
        """The tasks that an act is about."""
        return []

    def everything(self) -> Everything | None:
        """All that a filter matched, when that is what an act is about."""
        return None

    def current_task(self) -> TaskRow | None:
        """The task that is looked at."""
        return None

    def task_row(self, task_id: str) -> TaskRow | None:
        """A chosen task, if it is held."""
        return self.current_task()

    def offer(self, action_id: str) -> str | None:
        """Only what can do something for the task that is looked at; the marks are many."""
        if action_id not in _ABOUT_TASKS or self.everything() is not None:
            return None
        row = self.current_task()
        if row is None:
            return ""
        if self.has_marks():
            return None
        match action_id:
            case "task.cancel":
                return "" if why_not(CANCEL, row) else None
            case "task.retry":
                return "" if why_not(RETRY, row) else None
            case "row.suspend":
                act = RESUME if row.pause is not None else PAUSE
                return "" if why_not(act, row) else act
            case "row.edit":
                return "run again" if row.terminal else None
            case "row.hold":
                held = hold_id(TASK_NAME, row.name) in self.console_app.fleet.holds
                return "release" if held else "hold"
        return None

    def aimed(self) -> bool:
        """Whether an act that asks nothing is meant for the task that is looked at."""
        return True

    def has_marks(self) -> bool:
        """Whether an act is about more than the task that is looked at."""
        return False

    def _useless(self, act: str, ids: Sequence[str]) -> bool:
        """Says why an act can do nothing for any of these tasks; False when it can, or may."""
        rows = [self.task_row(task_id) for task_id in ids[:LOOK]]
        reasons = [why_not(act, row) for row in rows if row is not None]
        if not reasons or len(reasons) < len(ids) or not all(reasons):
            return False
        others = f" (and so on for {counted(len(ids) - 1, 'other')})" if len(ids) > 1 else ""
        self.console_app.say(reasons[0] + others)
        return True

    def _first(self) -> TaskRow | None:
        ids = self.chosen_tasks()
        return self.task_row(ids[0]) if ids else None

    def _start(self, act: BulkAct, call: Callable[[list[str]], Awaitable[Outcome]]) -> None:
        """Does it to the chosen tasks by their ids, or by filter to everything."""
        what = self.everything()
        if what is not None or self.aimed():
            self._start_on(act, call, self.chosen_tasks(), what)

    def _start_on(
        self,
        act: BulkAct,
        call: Callable[[list[str]], Awaitable[Outcome]],
        ids: list[str],
        what: Everything | None,
    ) -> None:
        if what is not None:
            self.run_worker(self.bulk(act, what))
        elif ids and not self._useless(act.ask.lower(), ids):
            self.run_worker(self._do(call, ids))

    async def _do(self, call: Callable[[list[str]], Awaitable[Outcome]], ids: list[str]) -> None:
        self.acted(await call(ids))

    def action_cancel(self) -> None:
        """Asks for a reason, then requests the cancel."""
        what = self.everything()
        if what is not None:
            self.run_worker(self.bulk(bulk.CANCEL, what))
        elif ids := self.chosen_tasks():
            self.run_worker(self._cancel(ids))

    async def _cancel(self, ids: Sequence[str]) -> None:
        rows = [self.task_row(task_id) for task_id in ids[:LOOK]]
        if len(ids) <= LOOK and all(row is not None and row.terminal for row in rows):
            # What has ended is cancelled for the sake of what it submitted.
            left = await self.console_app.acts.children_under_way(ids)
            if left == 0:
                self._useless(CANCEL, ids)
                return
        what = "this task" if len(ids) == 1 else counted(len(ids), "task")
        question = Confirm(
            f"Cancel {what}? Running agents are told to stop.",
            self.names_of(ids),
            "Cancel them" if len(ids) > 1 else "Cancel it",
            reason=FOR_AGENT,
        )
        reason = await self.app.push_screen_wait(question)
        if reason is not None:
            self.acted(await self.console_app.acts.cancel(ids, reason))

    def action_retry(self) -> None:
        """Puts ended tasks back in their queue."""
        self._start(bulk.RETRY, self.console_app.acts.retry)

    def action_suspend(self) -> None:
        """Lets running tasks stand still, or go on when the first one does."""
        row = self._first()
        if row is not None and row.pause is not None:
            self._start(bulk.RESUME, self.console_app.acts.resume)
        else:
            self._start(bulk.PAUSE, self.console_app.acts.pause)

    def action_edit(self) -> None:
        """Changes what waits, or runs again what has ended."""
        self.run_worker(self._edit())

    async def _edit(self) -> None:
        row, ids, what = self._first(), self.chosen_tasks(), self.everything()
        if what is not None:
            await self._edit_all(what)
        elif ids:
            ended = row is not None and row.terminal
            outcome = await (self.rerun(ids) if ended else self.change(ids, row))
            if outcome is not None:
                self.acted(outcome)

    async def _edit_all(self, what: Everything) -> None:
        change = await self.ask_change("edit everything that matches", None)
        if change is not None:
            act = BulkAct("Change", "changed", update=change.update)
            await self.bulk(act, what, change.reason)

    def action_bulk_menu(self) -> None:
        """Asks what to do to the marks, or to everything."""
        self.run_worker(self._bulk_menu())

    async def _bulk_menu(self) -> None:
        row, ids, what = self._first(), self.chosen_tasks(), self.everything()
        about = "everything that matches" if what else counted(len(ids), "task")
        options = [
            ("cancel", "cancel, with what they submitted"),
            *([("alone", "cancel, but keep what they submitted")] if what else []),
            ("retry", "retry: back into their queue"),
            ("pause", "pause what runs"),
            ("resume", "resume what is paused"),
            ("change", "change priority, start, queue or labels"),
            *([] if what else [("rerun", "run again as new tasks")]),
            *([] if what else [("dependents", "run again, with all that depended on them")]),
        ]
        if not what and row is not None and len(ids) == 1:
            about = "this task"
            options = [option for option in options if option[0] in _open_to(row)]
        chosen = await self.app.push_screen_wait(Choose(f"do to {about}", options))
        if chosen is None or not (what or ids):
            return
        acts = self.console_app.acts
        # What was chosen when the menu was opened: the row under the cursor may be another by now.
        if chosen == "cancel":
            await (self._cancel(ids) if what is None else self.bulk(bulk.CANCEL, what))
        elif chosen == "alone" and what is not None:
            await self.bulk(bulk.CANCEL_ALONE, what)
        elif chosen == "change" and what is not None:
            await self._edit_all(what)
        elif chosen in ("change", "rerun", "dependents"):
            outcome = await (
                self.change(ids, None)
                if chosen == "change"
                else self.rerun(ids, dependents=chosen == "dependents")
            )
            if outcome is not None:
                self.acted(outcome)
        else:
            act, call = {
                "retry": (bulk.RETRY, acts.retry),
                "pause": (bulk.PAUSE, acts.pause),
                "resume": (bulk.RESUME, acts.resume),
            }[chosen]
            self._start_on(act, call, ids, what)

    def action_hold(self) -> None:
        """Holds the name of the task, or releases it."""
        row = self.current_task()
        if row is not None:
            self.run_worker(self.hold_or_release(TASK_NAME, [row.name]))

    def action_json(self) -> None:
        """The task as the server tells it."""
        ids = self.chosen_tasks()
        if ids:
            self.run_worker(self._json(ids[0]))

    async def _json(self, task_id: str) -> None:
        told = await self.console_app.acts.as_json(task_id)
        if isinstance(told, Refusal):
            self.console_app.say(told.words, bad=True)
        else:
            await self.app.push_screen(TextScreen(task_id, told))

    def action_parent(self) -> None:
        """To the task that submitted this one, or to the one that it is a rerun of."""
        self.run_worker(self._to_parent())

    async def _to_parent(self) -> None:
        task = self.current_task()
        parent, origin = (task.parent_id, task.rerun_of) if task is not None else ("", "")
        if parent and origin:
            options = [
                (parent, "the task that submitted it"),
                (origin, "the task it is a rerun of"),
            ]
            target = await self.app.push_screen_wait(Choose("go to", options))
        else:
            target = parent or origin
        if target:
            self.console_app.open_task(target)
        elif not (parent or origin):
            self.console_app.say("this task has no parent, and is no rerun")


def _open_to(task: TaskRow) -> set[str]:
    """The acts of the menu that can do something for one task."""
    acts = {act for act in (CANCEL, RETRY, PAUSE, RESUME) if not why_not(act, task)}
    if task.pause is not None:
        acts -= {PAUSE}
    return acts | ({"rerun", "dependents"} if task.terminal else {"change"})
