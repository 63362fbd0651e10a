"""A long text over the screen, such as a resource as JSON."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from quarterdeck_console.model.lines import paragraph
from quarterdeck_console.widgets.pane import Pane


class TextScreen(ModalScreen[None]):
    """Shows sanitised text until it is closed.

    Args:
        title: What it is.
        text: Its lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,y", "dismiss", "close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """One pane."""
        pane = Pane(id="help")
        pane.border_title = f"{self._title}   esc closes"
        yield pane

    def on_mount(self) -> None:
        """Drawn once its size is known."""
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Wrapped for another width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        pane = self.query_one("#help", Pane)
        pane.show(paragraph(self._text, pane.room))
        pane.focus()
