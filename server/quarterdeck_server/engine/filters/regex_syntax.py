"""The regular expressions a filter may use, parsed to a tree.

The syntax is the part of Python's ``re`` that a finite automaton can run: literals, ``.``,
classes, ``\\d \\w \\s`` and their opposites, groups, ``|``, ``* + ? {m,n}`` (also lazy, which
makes no difference to a yes or no), ``^``, ``$`` (the end of the text only), ``\\b`` and a
leading ``(?i)``. Back references and look-around are refused: no linear matcher has them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_PATTERN: Final = 200
MAX_COUNT: Final = 100
MAX_GROUPS: Final = 20


class RegexError(ValueError):
    """A pattern outside the supported syntax; ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


CharTest = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character: any of the literals, the ranges or the tests, or none of them.

    Attributes:
        literals: characters that belong to the set.
        ranges: pairs of first and last code point.
        tests: classes such as ``\\d``.
        negated: the set is everything else.
        fold: a character belongs when its lower or upper form does.
    """

    literals: frozenset[str]
    ranges: tuple[tuple[str, str], ...] = ()
    tests: tuple[CharTest, ...] = ()
    negated: bool = False
    fold: bool = False

    def has(self, ch: str) -> bool:
        """Whether the set takes this character."""
        forms = (ch, ch.lower(), ch.upper()) if self.fold else (ch,)
        return any(self._holds(form) for form in forms) is not self.negated

    def _holds(self, ch: str) -> bool:
        return (
            ch in self.literals
            or any(first <= ch <= last for first, last in self.ranges)
            or any(test(ch) for test in self.tests)
        )


class Assertion(enum.Enum):
    """A place in the text rather than a character."""

    START = "^"
    END = "$"
    WORD = r"\b"


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item ``low`` to ``high`` times; ``high`` None means without end."""

    item: Node
    low: int
    high: int | None


Node = CharSet | Assertion | Sequence | Choice | Repeat


def is_word(ch: str) -> bool:
    """Whether ``\\w`` takes this character."""
    return ch.isalnum() or ch == "_"


def _not(test: CharTest) -> CharTest:
    return lambda ch: not test(ch)


_CLASSES: Final[dict[str, CharTest]] = {
    "d": str.isdecimal,
    "D": _not(str.isdecimal),
    "w": is_word,
    "W": _not(is_word),
    "s": str.isspace,
    "S": _not(str.isspace),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_ANY: Final = CharSet(frozenset("\n"), negated=True)


def parse_regex(pattern: str) -> Node:
    """The tree of a pattern.

    Raises:
        RegexError: the pattern is longer than ``MAX_PATTERN`` or outside the syntax.
    """
    if len(pattern) > MAX_PATTERN:
        raise RegexError(
            f"the expression has {len(pattern)} characters, at most {MAX_PATTERN} are taken", 0
        )
    return _Parser(pattern).parse()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._fold = pattern.startswith("(?i)")
        self._at = 4 if self._fold else 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._choice()
        if self._at < len(self._text):
            raise RegexError("this ) closes nothing; write \\) for the character", self._at)
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, expected: str) -> bool:
        found = self._text.startswith(expected, self._at)
        if found:
            self._at += len(expected)
        return found

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            items.append(self._repeated(self._item()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _item(self) -> Node:
        start = self._at
        ch = self._peek()
        self._at += 1
        match ch:
            case "(":
                return self._group(start)
            case "[":
                return self._set(start)
            case "\\":
                return self._escape(start)
            case ".":
                return _ANY
            case "^":
                return Assertion.START
            case "$":
                return Assertion.END
            case "*" | "+" | "?":
                raise RegexError(f"nothing before {ch} to repeat; write \\{ch} for it", start)
        return self._literal(ch)

    def _literal(self, ch: str) -> CharSet:
        return CharSet(frozenset(ch), fold=self._fold)

    def _group(self, start: int) -> Node:
        if self._peek() == "?" and not self._take("?:"):
            raise RegexError(
                "only plain groups (…) and (?:…) are supported, and (?i) at the very start", start
            )
        self._depth += 1
        if self._depth > MAX_GROUPS:
            raise RegexError(f"groups are nested deeper than {MAX_GROUPS}", start)
        node = self._choice()
        if not self._take(")"):
            raise RegexError("this ( is never closed; write \\( for the character", start)
        self._depth -= 1
        # A group may be repeated even when a lone assertion in it may not.
        return Sequence((node,)) if isinstance(node, Assertion) else node

    def _escape(self, start: int) -> Node:
        ch = self._peek()
        if ch == "b":
            self._at += 1
            return Assertion.WORD
        member = self._escaped_member(start)
        if isinstance(member, str):
            return self._literal(member)
        return CharSet(frozenset(), tests=(member,))

    def _escaped_member(self, start: int) -> str | CharTest:
        ch = self._peek()
        self._at += 1
        if ch in _CLASSES:
            return _CLASSES[ch]
        if ch in _CONTROLS:
            return _CONTROLS[ch]
        if ch == "":
            raise RegexError("the expression ends in a single \\; write \\\\ for it", start)
        if ch.isascii() and ch.isalnum():
            raise RegexError(
                f"\\{ch} is not supported; back references and look-around never are", start
            )
        return ch

    def _set(self, start: int) -> Node:
        negated = self._take("^")
        literals: set[str] = set()
        ranges: list[tuple[str, str]] = []
        tests: list[CharTest] = []
        first = True
        while first or self._peek() != "]":
            first = False
            member = self._set_member(start)
            if not isinstance(member, str):
                tests.append(member)
            elif self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                ranges.append(self._range(member))
            else:
                literals.add(member)
        self._at += 1
        return CharSet(frozenset(literals), tuple(ranges), tuple(tests), negated, self._fold)

    def _set_member(self, start: int) -> str | CharTest:
        at = self._at
        ch = self._peek()
        if ch == "":
            raise RegexError("this [ is never closed; write \\[ for the character", start)
        self._at += 1
        return self._escaped_member(at) if ch == "\\" else ch

    def _range(self, first: str) -> tuple[str, str]:
        at = self._at
        self._at += 1
        last = self._set_member(at)
        if not isinstance(last, str) or last < first:
            raise RegexError("a range in [ ] must go from a lower character to a higher one", at)
        return first, last

    def _repeated(self, item: Node) -> Node:
        start = self._at
        counts = self._counts()
        if counts is None:
            return item
        if isinstance(item, Assertion):
            raise RegexError(f"{item.value} cannot be repeated", start)
        self._take("?")
        again = self._at
        if self._counts() is not None:
            raise RegexError("a repeat of a repeat needs a group around the first", again)
        return Repeat(item, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        if self._peek() == "{":
            return self._braces()
        return None

    def _braces(self) -> tuple[int, int | None]:
        start = self._at
        end = self._text.find("}", start)
        low, comma, high = self._text[start + 1 : max(end, start + 1)].partition(",")
        numbers = [part for part in (low, high) if part]
        if end < 0 or not low or not all(part.isdecimal() and part.isascii() for part in numbers):
            raise RegexError("expected {m}, {m,} or {m,n}; write \\{ for the character", start)
        counts = [int(part[:6]) for part in numbers]
        if max(counts) > MAX_COUNT or counts != sorted(counts):
            raise RegexError(f"counts must go upwards and to {MAX_COUNT} at most", start)
        self._at = end + 1
        if not comma:
            return counts[0], counts[0]
        return counts[0], counts[1] if high else None
