"""Questions that stand before the screen: sure?, which of these?"""

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

KEYS: list[BindingType] = [
    Binding("escape", "dismiss(None)", "cancel", show=False),
    Binding("right", "app.focus_next", "next", show=False),
    Binding("left", "app.focus_previous", "previous", show=False),
]
"""What works in every dialog."""

FOR_AGENT = "reason, for the agent and the audit"
FOR_AUDIT = "reason, for the audit"
SHOWN = "reason, for the audit and shown while it lasts"
"""What stands in the line for a reason, by who hears it."""


class Confirm(ModalScreen[str | None]):
    """Asks before an act that destroys. Cancel has the focus; the answer is the reason, or None.

    Args:
        question: What is about to happen, and to how many.
        facts: A few lines that name what is meant.
        act: The word on the button that does it.
        reason: Who hears the reason, as its line says while it is empty; empty for no such line.
        given: What was given as the reason before.
    """

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(
        self, question: str, facts: Sequence[str], act: str, *, reason: str = "", given: str = ""
    ) -> None:
        super().__init__()
        self._question = question
        self._facts = facts
        self._act = act
        self._reason = reason
        self._given = given

    def compose(self) -> ComposeResult:
        """The question, its objects, the reason, two buttons."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = "please confirm"
            yield Label(Content(self._question), classes="dialog-question")
            for fact in self._facts:
                yield Label(Content(fact), classes="dialog-fact")
            if self._reason:
                yield Input(
                    self._given,
                    placeholder=self._reason,
                    compact=True,
                    max_length=1024,
                    select_on_focus=False,
                    id="reason",
                )
            with Horizontal(classes="dialog-buttons"):
                yield Button("Leave it", id="no", compact=True)
                yield Button(Content(self._act), id="yes", variant="error", compact=True)

    def on_mount(self) -> None:
        """The harmless button first."""
        self.query_one("#no").focus()

    def on_key(self, event: events.Key) -> None:
        """What is typed before the harmless button is the reason: no letter is an answer."""
        if self._reason and event.is_printable and event.character is not None:
            reason = self.query_one("#reason", Input)
            # In a burst the line does not have the keys before its end, and a blank belongs to what was typed.
            if not reason.has_focus and (event.character != " " or reason.value):
                event.stop()
                self._type(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is the reason, too."""
        if self._reason and event.text and not self.query_one("#reason", Input).has_focus:
            event.stop()
            self._type(event.text.splitlines()[0])

    def _type(self, text: str) -> None:
        reason = self.query_one("#reason", Input)
        reason.focus()
        reason.insert_text_at_cursor(text)

    @on(Button.Pressed, "#no")
    def _no(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        reason = self.query_one("#reason", Input).value.strip() if self._reason else ""
        self.dismiss(reason)

    @on(Input.Submitted)
    def _reason_given(self) -> None:
        self.query_one("#no").focus()


class Choose(ModalScreen[str | None]):
    """A short list to choose from; the answer is the key of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = KEYS

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
