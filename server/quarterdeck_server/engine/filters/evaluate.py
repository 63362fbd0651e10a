"""A filter as a Python predicate, for watches: built once, asked on every change."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any as AnyValue
from typing import Final

from quarterdeck_server.engine.filters.ast import (
    All,
    Any,
    Blank,
    CompareTerm,
    Contains,
    Equals,
    FactTerm,
    Filter,
    Glob,
    Matches,
    Node,
    Not,
    Present,
    TextTerm,
    TextTest,
    ValueTerm,
)
from quarterdeck_server.engine.filters.fields import Field, FieldKind
from quarterdeck_server.engine.filters.regex import compile_regex
from quarterdeck_server.engine.filters.terms import ascii_lower

Predicate = Callable[[object, int], bool]
"""Whether a row (an object with the field table's attributes) passes at ``now`` in microseconds."""

_TextCheck = Callable[[str], bool]
_Texts = Callable[[object], Sequence[str | None]]

_COMPARISONS: Final[dict[str, Callable[[AnyValue, AnyValue], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


def compile_predicate(flt: Filter) -> Predicate:
    """The predicate that takes exactly the rows that the filter's SQL takes.

    The row's label and list attributes are JSON texts, or None, as the store holds them.
    """
    return _predicate(flt.root)


def _predicate(node: Node) -> Predicate:
    match node:
        case Not(child):
            inner = _predicate(child)
            return lambda row, now: not inner(row, now)
        case All(children):
            return _all([_predicate(child) for child in children])
        case Any(children):
            options = tuple(_predicate(child) for child in children)
            return lambda row, now: any(option(row, now) for option in options)
        case TextTerm():
            return _text_predicate(node)
        case ValueTerm():
            return _value_predicate(node)
        case CompareTerm():
            return _compare_predicate(node)
        case FactTerm():
            return _fact_predicate(node)


def _all(parts: list[Predicate]) -> Predicate:
    # Two by two: a generator under all() would cost more than the comparisons themselves.
    if not parts:
        return lambda row, now: True
    if len(parts) == 1:
        return parts[0]
    first, rest = parts[0], _all(parts[1:])
    return lambda row, now: first(row, now) and rest(row, now)


def _value_predicate(term: ValueTerm) -> Predicate:
    read = term.field.getter
    values: frozenset[int | None] = term.values
    if term.blank:
        values |= {None}
    if term.present:
        return lambda row, now: (value := read(row)) is not None or value in values
    if len(values) == 1:
        (only,) = values
        return lambda row, now: bool(read(row) == only)
    return lambda row, now: read(row) in values


def _compare_predicate(term: CompareTerm) -> Predicate:
    read = term.field.getter
    holds = _COMPARISONS[term.comparison]
    bound = term.bound
    if term.relative:
        return lambda row, now: (value := read(row)) is not None and holds(value, now + bound)
    return lambda row, now: (value := read(row)) is not None and holds(value, bound)


def _fact_predicate(term: FactTerm) -> Predicate:
    read, key, bound = term.field.getter, term.key, term.bound
    if isinstance(bound, bool):
        return lambda row, now: _pairs(read(row)).get(key) is bound
    holds = _COMPARISONS[term.comparison]

    def passes(row: object, now: int) -> bool:
        value = _pairs(read(row)).get(key)
        return (
            isinstance(value, int | float)
            and value is not True
            and value is not False
            and holds(value, bound)
        )

    return passes


def _attribute_predicate(term: TextTerm) -> Predicate:
    read, key = term.field.getter, term.key
    present, blank = Present() in term.tests, Blank() in term.tests
    check = _any_check([_check(t) for t in term.tests if not isinstance(t, Blank | Present)])

    def passes(row: object, now: int) -> bool:
        value = _pairs(read(row)).get(key)
        if value is None:
            return blank
        return present or (isinstance(value, str) and ((blank and not value) or check(value)))

    return passes


def _text_predicate(term: TextTerm) -> Predicate:
    if term.field.kind is FieldKind.ATTRIBUTES:
        return _attribute_predicate(term)
    blank = Blank() in term.tests
    tests = tuple(test for test in term.tests if not isinstance(test, Blank))
    field = term.field
    if field.kind is FieldKind.TEXT and all(isinstance(test, Equals) for test in tests):
        return _equal_predicate(field, tests, blank=blank)
    texts = _texts(field, term.key)
    check = _any_check([_check(test) for test in tests])

    def passes(row: object, now: int) -> bool:
        found = texts(row)
        return any(text is not None and check(text) for text in found) or (blank and not any(found))

    return passes


def _equal_predicate(field: Field, tests: tuple[TextTest, ...], *, blank: bool) -> Predicate:
    read = field.getter
    values = frozenset({test.text for test in tests if isinstance(test, Equals)})
    if blank:
        return lambda row, now: not (value := read(row)) or value in values
    if len(values) == 1:
        (only,) = values
        return lambda row, now: bool(read(row) == only)
    return lambda row, now: read(row) in values


def _texts(field: Field, key: str) -> _Texts:
    read = field.getter
    if field.kind is FieldKind.LABELS:
        return lambda row: (_pairs(read(row)).get(key),)
    if field.kind is FieldKind.LIST:
        return lambda row: _list(read(row))
    if len(field.attributes) == 1:
        return lambda row: (read(row),)
    return read


@lru_cache(maxsize=1024)
def _pairs(text: str | None) -> dict[str, AnyValue]:
    # Cached because many tasks carry the same labels, and decoding is most of the cost.
    return dict(json.loads(text)) if text else {}


@lru_cache(maxsize=1024)
def _list(text: str | None) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _any_check(checks: list[_TextCheck]) -> _TextCheck:
    if len(checks) == 1:
        return checks[0]
    return lambda text: any(check(text) for check in checks)


def _check(test: TextTest) -> _TextCheck:
    match test:
        case Equals(wanted):
            return lambda text: text == wanted
        case Contains(part):
            return lambda text: part in ascii_lower(text)
        case Glob():
            return _glob_check(test)
        case Matches(pattern):
            return compile_regex(pattern).search
    return lambda text: True


def _glob_check(test: Glob) -> _TextCheck:
    first, *middle, last = test.parts
    fold = test.fold

    def check(text: str) -> bool:
        # SQLite's GLOB sees a text up to its first NUL, so this does too.
        seen = text.partition("\0")[0] if "\0" in text else text
        seen = ascii_lower(seen) if fold else seen
        end = len(seen) - len(last)
        at = len(first)
        if end < at or not seen.startswith(first) or not seen.endswith(last):
            return False
        for part in middle:
            found = seen.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return check
