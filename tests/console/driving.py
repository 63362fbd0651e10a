"""Drives a console by keys and reads its screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input

from quarterdeck_console.app import ConsoleApp
from quarterdeck_console.screens.table_screen import TableScreen
from quarterdeck_console.screens.tasks import TasksScreen

PATIENCE = 15.0
"""Seconds that a fact may take to show."""


class Driver:
    """One running console."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, fact: Callable[[], object], what: str = "") -> None:
        """Lets the console run until a fact holds."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not fact():
                    await self.ticked()
        except TimeoutError:
            raise AssertionError(f"never became true: {what or fact}\n{self.text()}") from None

    async def ticked(self) -> None:
        """Waits until the screen was drawn once more."""
        drawn = asyncio.Event()
        self.app.call_after_refresh(drawn.set)
        await drawn.wait()
        await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        """Presses keys."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Puts a text into what has the focus, as a terminal pastes it, and presses enter."""
        if text.startswith(":"):
            await self.press("colon")
            text = text[1:]
        focused = self.app.focused
        assert isinstance(focused, Input)
        focused.post_message(Paste(text))
        await self.until(lambda: focused.value.endswith(text))
        await self.press("enter")

    async def filtered(self, filter_text: str, *texts: str) -> None:
        """Opens the list of tasks with a filter, and waits until it shows all of these."""
        await self.press("2", "slash")
        await self.type(filter_text)
        await self.shows(*texts)

    async def shows(self, *texts: str) -> None:
        """Waits until the screen shows all of these."""
        await self.until(lambda: all(text in self.text() for text in texts), f"shows {texts}")

    def strips(self) -> list[list[tuple[str, int]]]:
        """Every line of the screen as pieces of text with their width in cells."""
        made = self.app.screen._compositor.render_strips()
        return [[(piece.text, piece.cell_length) for piece in strip] for strip in made]

    def text(self) -> str:
        """The screen as text."""
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self.strips())

    @property
    def list(self) -> TableScreen[object]:  # type: ignore[type-var]
        """The list that is shown."""
        front = self.app.front
        assert isinstance(front, TableScreen)
        return front

    @property
    def tasks(self) -> TasksScreen:
        """The list of tasks that is shown."""
        front = self.app.front
        assert isinstance(front, TasksScreen)
        return front
