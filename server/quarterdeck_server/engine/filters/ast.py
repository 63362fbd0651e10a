"""A parsed filter: its tree, and the one text that stands for everything that means the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from quarterdeck_server.engine.filters.fields import Field, FieldKind, FieldTable

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./@+-]+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNITS_US: Final = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
Comparison = Literal["<", "<=", ">", ">="]
FLIPPED: Final[dict[Comparison, Comparison]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Equals:
    """The whole text, in its own case."""

    text: str


@dataclass(frozen=True, slots=True)
class Contains:
    """A part of the text, ASCII letters in any case; ``text`` is in lower case already."""

    text: str


@dataclass(frozen=True, slots=True)
class Glob:
    """Texts in this order with anything between them, up to a NUL in the value.

    Attributes:
        parts: at least two; an empty first or last one leaves that end open.
        fold: ASCII letters match in any case, and the parts are in lower case.
    """

    parts: tuple[str, ...]
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression, valid for ``regex.compile_regex``, found anywhere in the text."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Blank:
    """No text: absent or empty."""


@dataclass(frozen=True, slots=True)
class Present:
    """Any text, also an empty one."""


TextTest = Equals | Contains | Glob | Matches | Blank | Present


@dataclass(frozen=True, slots=True)
class TextTerm:
    """A text passes any of the tests; ``key`` names the label or attribute, whose only texts are looked at."""

    field: Field
    tests: tuple[TextTest, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class ValueTerm:
    """A number, id, named value or instant is one of these, or is absent, or is there at all."""

    field: Field
    values: frozenset[int]
    blank: bool = False
    present: bool = False


@dataclass(frozen=True, slots=True)
class CompareTerm:
    """A number or instant on one side of a bound; an absent one is on neither.

    Attributes:
        comparison: between the stored value and the bound; for SINCE the stored instant,
            so the opposite of what the user wrote about the duration.
        bound: the number, the instant, or with ``relative`` what is added to now.
    """

    field: Field
    comparison: Comparison
    bound: int
    relative: bool = False


@dataclass(frozen=True, slots=True)
class FactTerm:
    """A number or boolean among the attributes; one that is absent or of another type never passes.

    Attributes:
        field: of kind ATTRIBUTES.
        key: the attribute.
        comparison: between the attribute and the bound; "=" only for a boolean.
        bound: a number, or a boolean.
    """

    field: Field
    key: str
    comparison: Comparison | Literal["="]
    bound: float | bool


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that the child does not take."""

    child: Node


@dataclass(frozen=True, slots=True)
class All:
    """What every child takes; without children, everything."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """What one child or more takes."""

    children: tuple[Node, ...]


Node = TextTerm | ValueTerm | CompareTerm | FactTerm | Not | All | Any


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter over one kind of resource; equal trees make equal filters."""

    table: FieldTable
    root: Node

    @property
    def takes_everything(self) -> bool:
        """The text was empty: nothing is filtered."""
        return self.root == All(())

    def canonical(self) -> str:
        """A text that parses to the same meaning, equal for filters that differ only in form.

        Order, spacing, repetition, aliases, quotes and the case of names do not show in it. It
        can be longer than the text it came from, and so than what ``parse`` takes.
        """
        return _node_text(self.root)

    def fingerprint(self) -> str:
        """32 hex digits that stand for the resource and the canonical text, for page tokens."""
        text = f"{self.table.resource}\n{self.canonical()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def text_term(field: Field, tests: Iterable[TextTest], key: str = "") -> TextTerm:
    """A term whose tests are in one order, each once."""
    by_text = {_test_text(test): test for test in tests}
    return TextTerm(field, tuple(by_text[text] for text in sorted(by_text)), key)


def combined(kind: type[All | Any], children: Iterable[Node]) -> Node:
    """The children under one node: flat, in one order, each once; a single one is itself."""
    flat: list[Node] = []
    for child in children:
        flat += child.children if isinstance(child, kind) else (child,)
    by_text = {_node_text(child): child for child in flat}
    ordered = tuple(by_text[text] for text in sorted(by_text))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def duration_text(microseconds: int) -> str:
    """A duration that is not negative in the grammar's words, such as ``1h30m``."""
    text = ""
    for unit, size in UNITS_US.items():
        count, microseconds = divmod(microseconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _node_text(node: Node) -> str:
    match node:
        case Not(child):
            return "!" + _grouped(child, (All, Any))
        case All(children):
            return " ".join(_grouped(child, (Any,)) for child in children)
        case Any(children):
            return " | ".join(_node_text(child) for child in children)
        case TextTerm():
            return _text_term_text(node)
        case ValueTerm(field, values, blank, present):
            words = sorted({_value_text(field, value) for value in values})
            words += ['""'] * blank + ["*"] * present
            return f"{field.name}:{','.join(words)}"
        case CompareTerm():
            return _compare_text(node)
        case FactTerm(field, key, comparison, bound):
            sign = ":" if comparison == "=" else comparison
            value = str(bound).lower() if isinstance(bound, bool) else repr(bound)
            return f"{field.name}.{_quoted(key)}{sign}{value}"


def _grouped(node: Node, kinds: tuple[type[All | Any], ...]) -> str:
    text = _node_text(node)
    return f"({text})" if isinstance(node, kinds) else text


def _text_term_text(term: TextTerm) -> str:
    bare = term.field.name == ""
    name = "" if bare else term.field.name
    if term.field.keyed:
        name = f"{term.field.name}.{_quoted(term.key)}"
    first = term.tests[0]
    if isinstance(first, Matches):
        return f"{name}~{_quoted_pattern(first.pattern)}"
    # In quotes it is a text, though it looks like a number.
    always = term.field.kind is FieldKind.ATTRIBUTES
    words = ",".join(_test_text(test, always=always) for test in term.tests)
    return words if bare else f"{name}:{words}"


def _test_text(test: TextTest, *, always: bool = False) -> str:
    match test:
        case Glob(parts):
            return "*".join(_quoted(part) if part else "" for part in parts)
        case Equals(text) | Contains(text):
            return _quoted(text, always=always or isinstance(test, Contains))
        case Blank():
            return '""'
    return "*"


def _quoted(text: str, *, always: bool = False) -> str:
    if not always and _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted_pattern(pattern: str) -> str:
    # Inside quotes a pattern keeps its backslashes, so only a bare quote needs one.
    escaped = re.sub(r'(\\.)|"', lambda found: found[1] or '\\"', pattern, flags=re.DOTALL)
    return f'"{escaped}"'


def _value_text(field: Field, value: int) -> str:
    if field.codec is not None:
        return field.codec.encode(value)
    if field.words is not None:
        return next(word for word, values in field.words.items() if values == (value,))
    return str(value)


def _compare_text(term: CompareTerm) -> str:
    field, comparison, bound = term.field, term.comparison, term.bound
    if field.kind is FieldKind.SINCE:
        return f"{field.name}{FLIPPED[comparison]}{duration_text(-bound)}"
    if term.relative:
        sign = "-" if bound < 0 else "+"
        return f"{field.name}{comparison}now{sign}{duration_text(abs(bound))}"
    if field.kind is FieldKind.TIME:
        instant = _EPOCH + timedelta(microseconds=bound)
        return f"{field.name}{comparison}{instant.strftime('%Y-%m-%dT%H:%M:%S.%f')}Z"
    return f"{field.name}{comparison}{_value_text(field, bound)}"
