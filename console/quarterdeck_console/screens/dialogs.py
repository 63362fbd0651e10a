"""Questions that stand before the screen: sure?, sort by what?, which task?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList
from textual.widgets.option_list import Option

from quarterdeck.v1 import task_pb2
from quarterdeck_console.model.newtask import FieldError, task_spec

_KEYS: list[BindingType] = [
    Binding("escape", "dismiss(None)", "cancel", show=False),
    Binding("right", "app.focus_next", "next", show=False),
    Binding("left", "app.focus_previous", "previous", show=False),
]


class Confirm(ModalScreen[str | None]):
    """Asks before an act that destroys. Cancel has the focus; the answer is the reason, or None.

    Args:
        question: What is about to happen, and to how many.
        facts: A few lines that name what is meant.
        act: The word on the button that does it.
        ask_reason: Whether there is a line for a reason.
    """

    BINDINGS: ClassVar[list[BindingType]] = _KEYS

    def __init__(
        self, question: str, facts: Sequence[str], act: str, *, ask_reason: bool = False
    ) -> None:
        super().__init__()
        self._question = question
        self._facts = facts
        self._act = act
        self._ask_reason = ask_reason

    def compose(self) -> ComposeResult:
        """The question, its objects, the reason, two buttons."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = "please confirm"
            yield Label(Content(self._question), classes="dialog-question")
            for fact in self._facts:
                yield Label(Content(fact), classes="dialog-fact")
            if self._ask_reason:
                yield Input(
                    placeholder="reason, for the agent and the audit",
                    compact=True,
                    max_length=1024,
                    id="reason",
                )
            with Horizontal(classes="dialog-buttons"):
                yield Button("Cancel", id="no", compact=True)
                yield Button(Content(self._act), id="yes", variant="error", compact=True)

    def on_mount(self) -> None:
        """The harmless button first."""
        self.query_one("#no").focus()

    @on(Button.Pressed, "#no")
    def _no(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        reason = self.query_one("#reason", Input).value.strip() if self._ask_reason else ""
        self.dismiss(reason)

    @on(Input.Submitted)
    def _reason_given(self) -> None:
        self.query_one("#no").focus()


class Choose(ModalScreen[str | None]):
    """A short list to choose from; the answer is the key of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = _KEYS

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: str = "") -> None:
        super().__init__()
        self._title = title
        self._options = options
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            yield OptionList(
                *(Option(Content(text), id=key) for key, text in self._options), compact=True
            )

    def on_mount(self) -> None:
        """Starts on what is chosen now."""
        options = self.query_one(OptionList)
        keys = [key for key, _ in self._options]
        options.highlighted = keys.index(self._chosen) if self._chosen in keys else 0
        options.focus()

    def on_key(self, event: events.Key) -> None:
        """`j` and `k` move here too."""
        options = self.query_one(OptionList)
        if event.key == "j":
            options.action_cursor_down()
        elif event.key == "k":
            options.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)


class NewTask(ModalScreen[task_pb2.TaskSpec | None]):
    """A form for one task; the answer is its spec, or None."""

    BINDINGS: ClassVar[list[BindingType]] = _KEYS

    _FIELDS = (
        ("name", "name", "what is to be done, such as `summarise`", ""),
        ("queue", "queue", "the line it waits in", "default"),
        ("input", "input", "JSON", "{}"),
        ("priority", "priority", "0 to 9, 9 first", "5"),
        ("delay", "delay", "none, or such as 30s, 10m, 2h", ""),
    )

    def __init__(self, queue: str = "default") -> None:
        super().__init__()
        self._queue = queue

    def compose(self) -> ComposeResult:
        """One line a field."""
        with Vertical(classes="dialog") as box:
            box.border_title = "new task"
            for key, title, hint, value in self._FIELDS:
                with Horizontal(classes="form-line"):
                    yield Label(title, classes="form-label")
                    given = self._queue if key == "queue" else value
                    yield Input(given, placeholder=hint, compact=True, id=key)
            yield Label("", id="form-error")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Cancel", id="no", compact=True)
                yield Button("Submit", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Starts with the name."""
        self.query_one("#name").focus()

    @on(Button.Pressed, "#no")
    def _no(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#yes")
    @on(Input.Submitted)
    def _submit(self) -> None:
        values = {key: self.query_one(f"#{key}", Input).value for key, *_ in self._FIELDS}
        try:
            spec = task_spec(**values)
        except FieldError as error:
            self.query_one("#form-error", Label).update(Content(str(error)))
            self.query_one(f"#{error.field}", Input).focus()
            return
        self.dismiss(spec)
