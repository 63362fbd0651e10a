"""A form: one line a field, checked before it is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Label, TextArea

from quarterdeck_console.model.forms import FieldError
from quarterdeck_console.screens.dialogs import KEYS

A = TypeVar("A")

YES = "yes"
"""The value of a box that is ticked; otherwise it is empty."""


class Field(NamedTuple):
    """One field.

    Attributes:
        key: Its name among the values.
        title: What stands before it.
        hint: What may be typed, shown while it is empty.
        value: What it begins with.
        kind: A line, a text of many lines, or a box to tick.
    """

    key: str
    title: str
    hint: str
    value: str = ""
    kind: Literal["line", "text", "box"] = "line"


class Box(Checkbox):
    """A box that is empty while it is not ticked; Textual's own has its cross in both states."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # a plain attribute there
        """The tick, or nothing."""
        return "✓" if self.value else " "


REASON = Field("reason", "reason", "for the audit, may stay empty")


class Form(ModalScreen[A | None], Generic[A]):
    """Asks for fields; the answer is what ``make`` makes of them, or None.

    Args:
        title: What it is about.
        fields: In order; the first has the focus.
        act: The word on the button that does it.
        make: Makes the answer of the values by key; a FieldError is shown, and its field focused.
        facts: Lines above the fields.
    """

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        act: str,
        make: Callable[[Mapping[str, str]], A],
        facts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._act = act
        self._make = make
        self._facts = facts

    def compose(self) -> ComposeResult:
        """The facts, the fields, two buttons."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            for fact in self._facts:
                yield Label(Content(fact), classes="dialog-fact")
            for field in self._fields:
                with Horizontal(classes=f"form-line -{field.kind}"):
                    yield Label(field.title, classes="form-label")
                    yield _widget(field)
            yield Label("", id="form-error")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Cancel", id="no", compact=True)
                yield Button(Content(self._act), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Starts with the first field."""
        self.query_one(f"#{self._fields[0].key}").focus()

    @on(Button.Pressed, "#no")
    def _no(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#yes")
    @on(Input.Submitted)
    def _submit(self) -> None:
        values = {field.key: self._value(field) for field in self._fields}
        try:
            answer = self._make(values)
        except FieldError as error:
            self.query_one("#form-error", Label).update(Content(str(error)))
            self.query_one(f"#{error.field}").focus()
            return
        self.dismiss(answer)

    def _value(self, field: Field) -> str:
        widget = self.query_one(f"#{field.key}")
        if isinstance(widget, Checkbox):
            return YES if widget.value else ""
        return widget.text if isinstance(widget, TextArea) else _line(widget)


def _line(widget: Widget) -> str:
    assert isinstance(widget, Input)
    return widget.value


def _widget(field: Field) -> Widget:
    if field.kind == "box":
        return Box(Content(field.hint), bool(field.value), compact=True, id=field.key)
    if field.kind == "text":
        return TextArea(field.value, compact=True, id=field.key)
    return Input(field.value, placeholder=field.hint, compact=True, id=field.key)
