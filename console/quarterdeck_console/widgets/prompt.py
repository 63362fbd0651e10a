"""The line where commands and filters are typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

Complete = Callable[[str], Sequence[str]]


class _Completions(Suggester):
    """Offers the first whole line that begins with what was typed."""

    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """The first completion."""
        return next(iter(self._complete(value)), None) if value else None


class PromptInput(Input, inherit_bindings=True):
    """An input whose tab completes and whose arrows recall."""

    def __init__(self) -> None:
        super().__init__(compact=True, select_on_focus=False)
        self.history: list[str] = []
        self._back = 0

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "tab":
            event.stop()
            event.prevent_default()
            self.action_cursor_right() if self._suggestion else None
            self.cursor_position = len(self.value)
        elif event.key in ("up", "down"):
            event.stop()
            event.prevent_default()
            self._recall(1 if event.key == "up" else -1)
        else:
            await super()._on_key(event)

    def _recall(self, steps: int) -> None:
        if not self.history:
            return
        self._back = max(0, min(len(self.history), self._back + steps))
        self.value = self.history[-self._back] if self._back else ""
        self.cursor_position = len(self.value)


class Prompt(Horizontal):
    """Hidden until asked; tells what was typed, or that nothing is wanted."""

    class Submitted(Message):
        """Enter was pressed."""

        def __init__(self, kind: str, text: str) -> None:
            super().__init__()
            self.kind = kind
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.kind = ""
        self._histories: dict[str, list[str]] = {}
        self.display = False

    def compose(self) -> ComposeResult:
        """A sign, the input, and what is wrong with it."""
        yield Label("", id="prompt-sign")
        yield PromptInput()
        yield Label("", id="prompt-error")

    @property
    def input(self) -> PromptInput:
        """Where it is typed."""
        return self.query_one(PromptInput)

    def ask(self, kind: str, sign: str, text: str, complete: Complete) -> None:
        """Shows itself.

        Args:
            kind: Comes back with the answer.
            sign: Stands before the input.
            text: What is there already.
            complete: Whole lines that begin with what was typed, the best first.
        """
        self.kind = kind
        self.query_one("#prompt-sign", Label).update(Content(sign))
        self.complain("")
        box = self.input
        box.history = self._histories.setdefault(kind, [])
        box._back = 0
        box.suggester = _Completions(complete)
        box.value = text
        box.cursor_position = len(text)
        self.display = True
        # At once: what is typed in the same breath, or pasted, is meant for the input.
        self.screen.set_focus(box)

    def complain(self, why: str, at: int | None = None) -> None:
        """Says what is wrong, beside the input, and puts the cursor to the character that is."""
        self.query_one("#prompt-error", Label).update(Content(why))
        if at is not None:
            self.input.cursor_position = at

    def close(self) -> bool:
        """Hides itself. True when it was shown."""
        was, self.display = self.display, False
        return was

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was wrong may be right now."""
        event.stop()
        self.complain("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: remembered, and told."""
        event.stop()
        history = self._histories.setdefault(self.kind, [])
        if event.value and event.value not in history[-1:]:
            history.append(event.value)
        self.post_message(self.Submitted(self.kind, event.value.strip()))
