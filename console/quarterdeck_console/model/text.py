"""The one boundary for text that comes over the wire, and its measure in terminal cells.

Names, labels, logs, errors and payloads are written by agents and producers. A terminal obeys
control bytes and Textual obeys markup, so nothing reaches a row or a line unless it went
through :func:`sanitize`, and nothing is ever parsed as markup afterwards.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from rich.cells import cell_len, set_cell_size

MAX_LABEL = 512
"""Characters kept of a name, label or one-line message."""

MAX_LINE = 8_192
"""Characters kept of one line of a text; the server keeps as much of a log line."""

MAX_TEXT = 262_144
"""Characters kept of a payload or stack trace; the rest is said to be cut."""

MAX_COMBINING = 2
"""Marks kept on one base character; more only make a line unreadable and slow to measure."""

Align = Literal["left", "right"]

# CSI with its parameters; OSC, DCS, SOS, PM and APC with their body up to BEL or ST; two-byte
# escapes. Both the 7-bit (ESC x) and the 8-bit (C1) forms.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_LINE_BREAK = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Cn"})
_MARKS = frozenset({"Mn", "Me"})
_VARIATION = range(0xFE00, 0xFE10)


def _keep(text: str) -> str:
    """Drops control, format, surrogate and unassigned characters, and surplus combining marks."""
    out: list[str] = []
    marks = 0
    for char in text:
        if char in "\n\t" or " " <= char <= "~":
            out.append(char)
            marks = 0
            continue
        category = unicodedata.category(char)
        if category in _DROPPED or ord(char) in _VARIATION:
            continue
        if category in _MARKS:
            marks += 1
            # A mark without a base would join whatever stands left of the cell.
            if marks > MAX_COMBINING or not out or out[-1] in "\n\t":
                continue
        else:
            marks = 0
        out.append(char)
    return "".join(out)


def sanitize(text: str, limit: int = MAX_LABEL, *, lines: bool = False) -> str:
    """Makes foreign text harmless to a terminal.

    Escape sequences go as a whole; C0, DEL, C1, bidi and other format characters, lone
    surrogates and surplus combining marks are dropped.

    Args:
        text: Anything.
        limit: Characters kept; a cut shows as an ellipsis.
        lines: Keep line breaks (as ``\\n``) and tabs (as spaces). Otherwise both become one space.
    """
    # Marks and escapes that are dropped do not count, but a megabyte of them is not read either.
    cut = len(text) > limit * 4
    text = text[: limit * 4]
    if not (text.isascii() and text.isprintable()):
        text = _keep(_LINE_BREAK.sub("\n", _ESCAPE.sub("", text)))
        text = text.replace("\t", "    ") if lines else text.replace("\n", " ").replace("\t", " ")
    return text[:limit] + "…" if cut or len(text) > limit else text


def width(text: str) -> int:
    """Terminal cells that sanitised text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, cells: int, align: Align = "left", tail: int = 0) -> str:
    """Cuts with an ellipsis or pads with spaces to exactly so many cells.

    Args:
        text: Sanitised.
        cells: The room there is.
        align: Where it stands when it is shorter.
        tail: Characters at the end that stay, where there is room for more than them.
    """
    if cells <= 0:
        return ""
    size = width(text)
    if size > cells:
        if 0 < tail < cells - 1 and text.isascii():
            return f"{text[: cells - 1 - tail]}…{text[-tail:]}"
        text = text[: cells - 1] if text.isascii() else set_cell_size(text, cells - 1)
        return text + "…"
    pad = " " * (cells - size)
    return pad + text if align == "right" else text + pad


def shortened(text: str, cells: int) -> str:
    """Sanitised text cut with an ellipsis to at most so many cells."""
    return text if width(text) <= cells else fit(text, cells)


def wrap(text: str, cells: int, most: int = 10_000) -> list[str]:
    """Breaks one sanitised line into pieces of at most so many cells, at spaces where possible.

    Args:
        text: The line; reading stops after ``most`` pieces, so its length costs nothing more.
        cells: The room there is; a character that is wider than it stands alone.
        most: Pieces at most.
    """
    pieces: list[str] = []
    start = 0
    while start < len(text) and len(pieces) < most:
        end = _reach(text, start, cells)
        if end < len(text):
            space = text.rfind(" ", start + (end - start) // 2, end + 1)
            end = space if space > start else end
        pieces.append(text[start:end].rstrip())
        start = end
        while start < len(text) and text[start] == " ":
            start += 1
    return pieces or [""]


def _reach(text: str, start: int, cells: int) -> int:
    """Where a piece from ``start`` ends that takes at most so many cells; never empty."""
    reach = text[start : start + cells + 1]
    if reach.isascii():
        return min(len(text), start + cells)
    size = 0
    for at in range(start, len(text)):
        size += cell_len(text[at])
        if size > cells:
            return max(start + 1, at)
    return len(text)
