"""Text as lines of toned pieces: what panes show, made and wrapped without a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.parts import Labels
from quarterdeck_console.model.text import fit, width, wrap
from quarterdeck_console.model.words import Tone

Line = tuple[Cell, ...]
BLANK: Line = (Cell(""),)


def line(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one piece."""
    return (Cell(text, tone),)


def length(pieces: Line) -> int:
    """Terminal cells of a line."""
    return sum(width(piece.text) for piece in pieces)


def fact(label: str, *values: Cell, cells: int = 10) -> Line:
    """A label and what it stands for."""
    return (Cell(fit(label, cells) + " ", Tone.DIM), *values)


def heading(text: str, cells: int) -> Line:
    """A quiet heading with a rule up to the edge."""
    rule = "─" * max(0, cells - width(text) - 1)
    return (Cell(text + " ", Tone.STRONG), Cell(rule, Tone.DIM))


def paragraph(text: str, cells: int, tone: Tone = Tone.PLAIN, most: int = 10_000) -> list[Line]:
    """Sanitised text of many lines, wrapped; at most so many lines are given."""
    lines: list[Line] = []
    for source in text.split("\n"):
        for piece in wrap(source, max(8, cells), most - len(lines)):
            lines.append((Cell(piece, tone),))
            if len(lines) >= most:
                return lines
    return lines


def wrapped_fact(label: str, text: str, cells: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    """A label with a value that may take more than one line."""
    pieces = wrap(text, max(8, cells - 11)) if text else ["-"]
    return [
        fact(label if at == 0 else "", Cell(piece, tone if text else Tone.DIM))
        for at, piece in enumerate(pieces)
    ]


def labels(given: Labels, cells: int) -> list[Line]:
    """Labels as `key=value` pairs."""
    if not given:
        return []
    return wrapped_fact(
        "labels", "  ".join(f"{key}={value}" for key, value in given), cells, Tone.DIM
    )


def join(groups: Iterable[Sequence[Line]]) -> list[Line]:
    """Groups of lines with a blank line between those that have any."""
    joined: list[Line] = []
    for group in groups:
        if group:
            if joined:
                joined.append(BLANK)
            joined.extend(group)
    return joined
