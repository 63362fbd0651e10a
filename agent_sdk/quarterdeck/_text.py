"""Text that came from agents, made safe to show.

Names, labels, logs, errors and payloads are written by whoever runs an agent. A terminal obeys some
of their characters: ESC sequences move the cursor, set the clipboard and change the title;
bidirectional controls show one text and mean another. All that is printed passes `sanitize` first.
"""

from __future__ import annotations

import re
import unicodedata

MAX_COMBINING = 4
"""Combining marks kept after one character; more of them paint over the neighbouring lines."""

# CSI, the string sequences (OSC, DCS, SOS, PM, APC) with their terminator, and two-byte escapes
# (ECMA-48). A string sequence without an end loses its introducer only, so that nothing is hidden.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,8}[0-~]?"
)
# C0 and DEL, C1, the bidirectional controls, line and paragraph separators, the invisible operators
# and tag characters, byte order marks, and lone surrogates.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_PLAIN = re.compile(r"[\x20-\x7e]*")
_SPACE = re.compile(r"[\t\n]+")


def sanitize(text: str, *, limit: int = 4096, multiline: bool = False) -> str:
    """Text without anything that a terminal would obey.

    Escape sequences are removed whole, as are control characters, bidirectional controls, invisible
    characters, lone surrogates, and combining marks beyond `MAX_COMBINING` in a row.

    Args:
        text: Anything.
        limit: Characters kept; a longer text ends in `…`, which counts.
        multiline: Keep line ends, and turn tabs into spaces. Otherwise a run of both is one space.
    """
    cut = len(text) > limit
    if cut:
        text = text[: 4 * limit]
    if not _PLAIN.fullmatch(text):
        text = _ESCAPE.sub("", text)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = text.replace("\t", "    ") if multiline else _SPACE.sub(" ", text)
        text = _FORBIDDEN.sub("", text)
        if not text.isascii():
            text = _limit_combining(text)
    if cut or len(text) > limit:
        return text[: max(limit - 1, 0)] + "…"
    return text


def display_width(text: str) -> int:
    """Cells that sanitised single-line text takes: 2 for wide characters, 0 for combining marks."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def fit(text: str, width: int) -> str:
    """Sanitised single-line text cut to at most `width` cells, `…` where something is missing."""
    if display_width(text) <= width:
        return text
    kept: list[str] = []
    room = width - 1
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _limit_combining(text: str) -> str:
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run <= MAX_COMBINING:
            kept.append(character)
    return "".join(kept)
