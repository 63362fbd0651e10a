"""What a filter that cannot be used raises."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FilterError(ValueError):
    """A filter text that is not a filter, with what to write instead.

    Attributes:
        message: one line for the user who wrote the filter; quotes at most 40 characters of it.
        position: where in the text, counted in characters from 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return f"{self.message} (at character {self.position + 1})"


def shown(text: str) -> str:
    """The user's own words in an error message: quoted, printable, at most 40 characters."""
    clipped = text if len(text) <= 40 else text[:39] + "…"
    return (
        '"'
        + "".join(ch if ch.isprintable() else "\N{REPLACEMENT CHARACTER}" for ch in clipped)
        + '"'
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the known word most like this one, or an empty text."""
    close = difflib.get_close_matches(word.lower()[:40], list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
