"""What the words of one filter term mean for the field they are about."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from quarterdeck_server.engine.filters.ast import (
    FLIPPED,
    UNITS_US,
    Any,
    Blank,
    CompareTerm,
    Comparison,
    Contains,
    Equals,
    FactTerm,
    Glob,
    Matches,
    Node,
    Present,
    TextTest,
    ValueTerm,
    combined,
    text_term,
)
from quarterdeck_server.engine.filters.errors import FilterError, nearest, shown
from quarterdeck_server.engine.filters.fields import Field, FieldKind, FieldTable
from quarterdeck_server.engine.filters.regex import compile_regex
from quarterdeck_server.engine.filters.regex_syntax import RegexError

_MAX_INT: Final = (1 << 63) - 1
_MAX_DURATION_US: Final = 36_500 * UNITS_US["d"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION: Final = re.compile(r"(?:[0-9]{1,15}(?:ms|us|[smhdw]))+")
_DURATION_PART: Final = re.compile(r"([0-9]+)([a-z]+)")
_RELATIVE: Final = re.compile(r"(now)?(?:([+-])(.+))?")
_ASCII_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_EQUALITY: Final = (":", "=", "!=")
_ORDER: Final = (">", ">=", "<", "<=")
_TEXT_KINDS: Final = (FieldKind.TEXT, FieldKind.CONTAINS, FieldKind.LIST, FieldKind.LABELS)
_REAL: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_TRUTHS: Final = {"true": True, "false": False}
_OPERATORS: Final = {
    **dict.fromkeys(_TEXT_KINDS, (*_EQUALITY, "~")),
    FieldKind.ATTRIBUTES: (*_EQUALITY, *_ORDER, "~"),
    FieldKind.INT: (*_EQUALITY, *_ORDER),
    FieldKind.ID: (*_EQUALITY, *_ORDER),
    FieldKind.ENUM: _EQUALITY,
    FieldKind.TIME: (*_EQUALITY, *_ORDER),
    FieldKind.SINCE: _ORDER,
}


@dataclass(frozen=True, slots=True)
class Word:
    """A value as written, cut at its wildcards.

    Attributes:
        parts: the literal texts around each unquoted ``*``; one when there is none.
        position: where it starts in the filter.
        quoted: a part of it was in quotes.
    """

    parts: tuple[str, ...]
    position: int
    quoted: bool = False

    @property
    def text(self) -> str:
        """The value with its wildcards as characters."""
        return "*".join(self.parts)


def ascii_lower(text: str) -> str:
    """The text with A-Z in lower case, as SQLite's ``lower`` makes it."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def check_operator(field: Field, operator: str, position: int) -> None:
    """Refuse an operator that the field's kind has no meaning for."""
    allowed = _OPERATORS[field.kind]
    if operator not in allowed:
        raise FilterError(
            f"{field.name} is a {field.kind.value} and takes {' '.join(allowed)}, not {operator}",
            position,
        )


def bare(table: FieldTable, word: Word) -> Node:
    """A word without a field: a task's whole id, or part of one of the text fields."""
    if not any(word.parts) and len(word.parts) == 1:
        raise FilterError("an empty text is in everything; write what to search", word.position)
    if table.id is not None and table.id.codec is not None and not word.quoted:
        try:
            return ValueTerm(table.id, frozenset({table.id.codec.decode(word.text)}))
        except ValueError:
            pass
    return text_term(table.bare, [_text_test(table.bare, word)])


def fuzzy(field: Field, word: Word) -> Node:
    """Letters that appear in this order, with anything between them."""
    letters = ascii_lower(word.text)
    if not letters:
        raise FilterError("letters are missing after ?; write ?abc, or quote it", word.position)
    return text_term(field, [Glob(("", *letters, ""), fold=True)])


def regex(field: Field, key: str, pattern: str, position: int) -> Node:
    """A regular expression over a field of text."""
    if not pattern:
        raise FilterError("the expression is missing after ~", position)
    try:
        compile_regex(pattern)
    except RegexError as error:
        raise FilterError(error.message, position + error.position) from None
    return text_term(field, [Matches(pattern)], key)


def key_exists(field: Field, key: str) -> Node:
    """The label or attribute is there, whatever its value."""
    return text_term(field, [Present()], key)


def compared(field: Field, key: str, operator: str, words: list[Word]) -> Node:
    """A field against its values; the caller negates for ``!=``."""
    if operator in _ORDER:
        if len(words) > 1:
            raise FilterError(f"{operator} takes one value, not a list", words[1].position)
        if field.kind is FieldKind.ATTRIBUTES:
            return _ordered_fact(field, key, cast(Comparison, operator), words[0])
        return _ordered(field, cast(Comparison, operator), words[0])
    if field.kind is FieldKind.ATTRIBUTES:
        return _fact_is(field, key, words)
    if field.kind in _TEXT_KINDS:
        return text_term(field, [_text_test(field, word) for word in words], key)
    values: set[int] = set()
    blank = present = False
    for word in words:
        if word.parts == ("",):
            _check_absent(field, word)
            blank = True
        elif word.parts == ("", "") and field.kind is not FieldKind.ENUM:
            present = True
        else:
            values |= _values(field, word)
    return ValueTerm(field, frozenset(values), blank, present)


def _fact_is(field: Field, key: str, words: list[Word]) -> Node:
    """An attribute that is one of these; a word without quotes that can be a number or a boolean is one."""
    facts: list[Node] = []
    tests: list[TextTest] = []
    for word in words:
        fact = _fact(word)
        if fact is None:
            tests.append(_text_test(field, word))
        else:
            facts.append(FactTerm(field, key, "=", fact))
    return combined(Any, [*facts, text_term(field, tests, key)] if tests else facts)


def _fact(word: Word) -> float | bool | None:
    if word.quoted or len(word.parts) > 1:
        return None
    truth = _TRUTHS.get(word.text.lower())
    if truth is not None:
        return truth
    number = float(word.text) if _REAL.fullmatch(word.text) else math.inf
    return number if math.isfinite(number) else None


def _ordered_fact(field: Field, key: str, comparison: Comparison, word: Word) -> Node:
    bound = _fact(word)
    if bound is None or isinstance(bound, bool):
        raise FilterError(
            f"{field.name}.{key}: expected a number such as 5 or 0.5, got {shown(word.text)}",
            word.position,
        )
    return FactTerm(field, key, comparison, bound)


def _check_absent(field: Field, word: Word) -> None:
    if not field.nullable:
        raise FilterError(f'{field.name} is never absent, so "" cannot match', word.position)


def _text_test(field: Field, word: Word) -> TextTest:
    contains = field.kind is FieldKind.CONTAINS
    if len(word.parts) == 1:
        if not word.text:
            return Blank()
        return Contains(ascii_lower(word.text)) if contains else Equals(word.text)
    first, *middle, last = word.parts
    inner = [part for part in middle if part]
    if not (first or inner or last):
        return Present()
    if contains:
        pieces = [ascii_lower(part) for part in (first, *inner, last) if part]
        return Glob(("", *pieces, ""), fold=True)
    return Glob((first, *inner, last))


def _values(field: Field, word: Word) -> set[int]:
    if field.kind is FieldKind.ENUM:
        return _named(field, word)
    if field.kind is FieldKind.TIME:
        raise FilterError(
            f"an instant is never hit exactly; write {field.name}>… or {field.name}<…",
            word.position,
        )
    return {_id(field, word) if field.kind is FieldKind.ID else _number(field, word)}


def _named(field: Field, word: Word) -> set[int]:
    words = field.words or {}
    parts = [re.escape(part.lower()) for part in word.parts]
    pattern = re.compile(".*".join(parts))
    found = {value for name in words if pattern.fullmatch(name) for value in words[name]}
    if not found:
        raise FilterError(
            f"unknown {field.name} {shown(word.text)}{nearest(word.text, words)} "
            f"(known are {', '.join(words)})",
            word.position,
        )
    return found


def _id(field: Field, word: Word) -> int:
    if field.codec is None:
        return _number(field, word)
    try:
        return field.codec.decode(word.text)
    except ValueError as error:
        raise FilterError(f"{field.name}: {error}", word.position) from None


def _number(field: Field, word: Word) -> int:
    text = word.text
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or abs(int(text)) > _MAX_INT:
        raise FilterError(
            f"{field.name}: expected a whole number, got {shown(text)}", word.position
        )
    return int(text)


def _ordered(field: Field, comparison: Comparison, word: Word) -> Node:
    match field.kind:
        case FieldKind.SINCE:
            length = _duration(field, word.text, word.position)
            return CompareTerm(field, FLIPPED[comparison], -length, relative=True)
        case FieldKind.TIME:
            bound, relative = _instant(field, word)
            return CompareTerm(field, comparison, bound, relative)
        case FieldKind.ID:
            return CompareTerm(field, comparison, _id(field, word))
    return CompareTerm(field, comparison, _number(field, word))


def _duration(field: Field, text: str, position: int) -> int:
    total = -1
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        total = sum(int(count) * UNITS_US[unit] for count, unit in parts)
    if not 0 <= total <= _MAX_DURATION_US:
        raise FilterError(
            f"{field.name}: expected a duration up to 36500d such as 10s, 5m, 2h, 3d or 1h30m, "
            f"got {shown(text)}",
            position,
        )
    return total


def _instant(field: Field, word: Word) -> tuple[int, bool]:
    text = word.text
    found = _RELATIVE.fullmatch(text)
    if found and text:
        length = _duration(field, found[3], word.position) if found[3] else 0
        return (-length if found[2] == "-" else length), True
    try:
        instant = datetime.fromisoformat(text)
        known = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        bound = (known - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        bound = -1
    if not 0 <= bound < 253_402_300_800_000_000:  # 9999-12-31 ends
        raise FilterError(
            f"{field.name}: expected a time from 1970 such as 2026-01-31, 2026-01-31T15:00Z, "
            f"now, now-5m or now+1h, got {shown(text)}",
            word.position,
        )
    return bound, False
