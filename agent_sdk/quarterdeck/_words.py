"""Numbers and ids as people read them, the same on the command line and in the console."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SHORT = 8
"""Digits that are shown at least of an id that an agent made up."""

BESIDE_NAME = 4
"""As many are enough beside the agent's name; the command line takes as few."""

_MADE_UP = re.compile(r"[0-9a-f]{32}")


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 task`, `2 tasks`, `1,200 entries`.

    Args:
        number: How many.
        noun: What one of them is called.
        plural: What several are called; empty for the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def short_ids(ids: Iterable[str], least: int = SHORT) -> dict[str, str]:
    """How agents are named where there is little room, by their ids.

    An id that the SDK made up, 32 hexadecimal digits, is given by so many of its first digits that
    no other of these ids begins with them. One that somebody chose says something: it stays whole.
    """
    known = sorted(set(ids))
    shown = {}
    for at, one in enumerate(known):
        if _MADE_UP.fullmatch(one):
            beside = known[max(0, at - 1) : at] + known[at + 1 : at + 2]
            shown[one] = one[: max([least, *(_shared(one, other) + 1 for other in beside)])]
        else:
            shown[one] = one
    return shown


def agent_labels(names: Mapping[str, str]) -> dict[str, str]:
    """How agents are called in a text, `crow-1f3a`: by name, and so much of the id as tells them apart.

    Args:
        names: Ids with their names. An id that somebody chose says enough: it stands alone.
    """
    shown = short_ids(names, BESIDE_NAME)
    return {
        one: f"{name}-{shown[one]}" if name and shown[one] != one else one
        for one, name in names.items()
    }


def _shared(one: str, other: str) -> int:
    """With how many characters both begin."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
