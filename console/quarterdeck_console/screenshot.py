"""A picture of the console in front of a running server, without a terminal."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from quarterdeck_console.app import ConsoleApp
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.table_screen import TableScreen

# Textual's picture loads its font from somebody else's host; every reader has a monospace of their own.
_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_FAMILY = re.compile(r"font-family:\s*Fira Code")

PATIENCE = 30.0
"""Seconds to wait for the server and for the first rows."""


async def svg(
    address: str,
    *,
    view: str = "tasks",
    size: tuple[int, int] = (120, 36),
    seconds: float = 3.0,
    label: str = "local",
) -> str:
    """Draws one view as SVG. It names no address and loads nothing.

    Args:
        address: `host:port` of a running server.
        view: One of the five views.
        size: Columns and lines.
        seconds: How long the console watches first, so that charts have something to show.
        label: What stands in the place of the address.

    Raises:
        TimeoutError: The server, or the first row of the view, was not there in time.
    """
    app = ConsoleApp(address)
    app.address_label = label
    async with app.run_test(size=size) as pilot:
        async with asyncio.timeout(PATIENCE):
            while not app.fleet.connection.live:
                await pilot.pause(0.05)
            app.action_view(view)
            while not _has_rows(app.front):
                await pilot.pause(0.05)
        await pilot.pause(seconds)
        drawn = app.export_screenshot(title="quarterdeck")
    return _FAMILY.sub("font-family: monospace", _FONT_FACE.sub("", _COMMENT.sub("", drawn)))


def _has_rows(front: FleetScreen | None) -> bool:
    if front is None or not front.composed:
        return False
    return not isinstance(front, TableScreen) or front.table.row_count > 0


def save_svg(
    address: str, path: Path, size: tuple[int, int] = (120, 36), view: str = "tasks"
) -> None:
    """Writes a picture of one view; see :func:`svg`."""
    path.write_text(asyncio.run(svg(address, view=view, size=size)), encoding="utf-8")
