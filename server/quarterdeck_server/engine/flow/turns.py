"""Turns: which group key of a queue is served next.

Start-time fair queueing (Goyal, Vin and Cheng, 1996). Each key with ready tasks has a start tag; the smallest is served
next, and its next tag is one share further on, a share being 1 / weight. The queue's virtual time is the tag that was
served last. A key that becomes ready starts at that time: having been idle gives no credit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple

_TURN = 1 << 40
"""The share of a key of weight 1. Whole numbers, so that no error adds up over millions of turns."""
_FORGET_AT = 1000
"""Tags of idle keys are looked through when so many more were added than are in use."""


class Kind(NamedTuple):
    """What an agent must be to have a task: it handles the name, has the labels, and is that agent."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    agent_id: str | None = None

    @property
    def items(self) -> tuple[tuple[str, str], ...]:
        """What an agent must have to be given it, beside the name; the empty name is the id. Empty when any may."""
        return self.labels if self.agent_id is None else (("", self.agent_id),)


class Place(NamedTuple):
    """Where a key stands in one line; the smallest is first."""

    tag: int
    since: int
    key: str


class Turns:
    """The virtual time of one queue, and for each kind of task the line of the keys that have some.

    A key stands in several lines with one tag. A line is put right when it is looked at: a key that has moved on since
    sinks to its place, one that has nothing there leaves. So a turn costs the logarithm of the keys.
    """

    def __init__(self) -> None:
        self.virtual = 0
        self._tags: dict[str, int] = {}
        self._lines: dict[Kind, list[Place]] = {}
        self._members: dict[Kind, set[str]] = {}
        self._entered = 0
        self._forget_at = _FORGET_AT

    def tag(self, key: str) -> int:
        """Return the tag with which a key would be served now."""
        return max(self._tags.get(key, 0), self.virtual)

    def own_tag(self, key: str) -> int:
        """Return the tag of a key as it was when it was served last or became ready."""
        return self._tags.get(key, 0)

    def enter(self, kind: Kind, key: str) -> None:
        """Let a key stand in line for its tasks of a kind."""
        members = self._members.setdefault(kind, set())
        if key in members:
            return
        members.add(key)
        self._entered += 1
        place = Place(self._tags.setdefault(key, self.virtual), self._entered, key)
        heappush(self._lines.setdefault(kind, []), place)

    def activate(self, key: str) -> None:
        """Let a key that had nothing ready begin at the virtual time."""
        self._tags[key] = self.tag(key)

    def standing(self, kinds: Iterable[Kind]) -> list[Kind]:
        """Return those of the kinds for which somebody stands in line."""
        return [kind for kind in kinds if kind in self._lines]

    def keys(self, kind: Kind) -> Iterable[str]:
        """Return the keys that stand in the line of a kind."""
        return self._members.get(kind, ())

    def first(self, kind: Kind, stays: Callable[[Kind, str], bool]) -> Place | None:
        """Return the first key of a line; those that do not stay leave it."""
        line = self._lines.get(kind)
        if line is None:
            return None
        members = self._members[kind]
        while line:
            place = line[0]
            if not stays(kind, place.key):
                heappop(line)
                members.discard(place.key)
                continue
            tag = self._tags.get(place.key, place.tag)
            if tag > place.tag:
                self._entered += 1
                heapreplace(line, Place(tag, self._entered, place.key))
                continue
            return place
        del self._lines[kind], self._members[kind]
        return None

    def served(self, key: str, weight: int, tasks: int = 1) -> None:
        """Move on the time, and the key by its share for each task that it was given.

        A key that could not be served for long, as nobody handled its tasks or it was at a limit, goes on from now and
        is not given what it missed.
        """
        start = self.tag(key)
        self.virtual = start
        self._tags[key] = start + tasks * (_TURN // weight)
        if len(self._tags) > self._forget_at:
            self._forget()

    def _forget(self) -> None:
        """Drop the tags that say no more than the virtual time does."""
        standing = set().union(*self._members.values())
        self._tags = {
            key: tag for key, tag in self._tags.items() if key in standing or tag > self.virtual
        }
        self._forget_at = 2 * len(self._tags) + _FORGET_AT

    def clear(self) -> None:
        """Empty the lines; times and tags stay."""
        self._lines.clear()
        self._members.clear()
