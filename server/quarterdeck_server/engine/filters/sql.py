"""A filter as a condition for a store's WHERE.

A filter's shape is only known when it is asked, so this is the one place where SQL is put
together at run time. Nothing of the user's text becomes SQL: the fragment is made of fixed
pieces and the field table's column names, and every value is a bound parameter. Every piece
is true or false and never NULL, so that a negation takes exactly what the predicate takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

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

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_./:@-]+")
_GLOB_SPECIAL: Final = re.compile(r"[*?\[]")


class Fragment(NamedTuple):
    """A condition with ``?`` for each of its parameters, in order."""

    sql: str
    params: tuple[str | float, ...] = ()


_TRUE: Final = Fragment("1")
_FALSE: Final = Fragment("0")


def compile_sql(flt: Filter, now_us: int, columns: Mapping[str, str] | None = None) -> Fragment:
    """The condition of a filter in SQLite's dialect.

    Args:
        flt: the filter; its regular expressions need the function ``regex.regexp`` registered
            on the connection as ``regexp`` with two arguments.
        now_us: the instant that ``now`` and ``age`` are counted from, in microseconds.
        columns: SQL of the store's own for an attribute, such as ``{"error_type": "e.type"}``
            after a join; an attribute that is not named is the column of that name.

    Returns:
        A fragment that can stand alone after WHERE or in a conjunction.
    """
    return _Compiler(now_us, columns or {}).node(flt.root)


def _joined(word: str, parts: Iterable[Fragment], empty: Fragment) -> Fragment:
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else empty
    sql = f" {word} ".join(part.sql for part in found)
    return Fragment(f"({sql})", tuple(param for part in found for param in part.params))


class _Compiler:
    def __init__(self, now_us: int, columns: Mapping[str, str]) -> None:
        self._now = now_us
        self._columns = columns

    def node(self, node: Node) -> Fragment:
        match node:
            case Not(child):
                inner = self.node(child)
                return Fragment(f"NOT ({inner.sql})", inner.params)
            case All(children):
                return _joined("AND", map(self.node, children), _TRUE)
            case Any(children):
                return _joined("OR", map(self.node, children), _FALSE)
            case TextTerm():
                return self._text(node)
            case ValueTerm():
                return self._value(node)
            case CompareTerm():
                return self._compare(node)
            case FactTerm():
                return self._fact(node)

    def _column(self, attribute: str) -> str:
        return self._columns.get(attribute, attribute)

    def _subject(self, field: Field) -> str:
        return field.sql or self._column(field.attributes[0])

    def _value(self, term: ValueTerm) -> Fragment:
        column = self._subject(term.field)
        parts = []
        if term.values:
            values = _in(column, sorted(term.values, key=str))
            parts.append(_guarded(column, values) if term.field.nullable else values)
        if term.blank:
            parts.append(Fragment(f"{column} IS NULL"))
        if term.present:
            parts.append(Fragment(f"{column} IS NOT NULL"))
        return _joined("OR", parts, _FALSE)

    def _compare(self, term: CompareTerm) -> Fragment:
        column = self._subject(term.field)
        bound = term.bound + self._now if term.relative else term.bound
        found = Fragment(f"{column} {term.comparison} ?", (bound,))
        return _guarded(column, found) if term.field.nullable else found

    def _text(self, term: TextTerm) -> Fragment:
        columns = [self._column(attribute) for attribute in term.field.attributes]
        if term.field.sql is not None:
            columns = [term.field.sql]
        tests = [test for test in term.tests if not isinstance(test, Blank)]
        blank = len(tests) < len(term.tests)
        match term.field.kind:
            case FieldKind.LABELS:
                return self._label(columns[0], term.key, tests, blank=blank)
            case FieldKind.ATTRIBUTES:
                return _attribute(columns[0], term.key, tests, blank=blank)
            case FieldKind.LIST:
                return _each(columns[0], None, tests, blank=blank)
        parts = [_tests(column, tests, null=term.field.nullable) for column in columns]
        if blank:
            empty = [Fragment(f"ifnull({column}, '') = ''") for column in columns]
            parts.append(_joined("AND", empty, _TRUE))
        return _joined("OR", [part for part in parts if part != _FALSE], _FALSE)

    def _fact(self, term: FactTerm) -> Fragment:
        place = _Place(self._column(term.field.attributes[0]), term.key)
        if isinstance(term.bound, bool):
            return place.has(Fragment("{type} = ?", (str(term.bound).lower(),)))
        number = f"{{type}} IN ('integer', 'real') AND {{value}} {term.comparison} ?"
        return place.has(Fragment(number, (term.bound,)))

    def _label(self, column: str, key: str, tests: Sequence[TextTest], *, blank: bool) -> Fragment:
        # SQLite compares a path's key with the raw JSON, so a key that JSON may have
        # escaped has to be found by walking the object.
        if not _PLAIN_KEY.fullmatch(key):
            return _each(column, key, tests, blank=blank)
        path = f'$."{key}"'
        value = f"json_extract({column}, ?)"
        parts = [
            Fragment(f"ifnull({part.sql}, 0)", (path, *part.params))
            for part in _each_test(value, tests)
        ]
        if blank:
            parts.append(Fragment(f"ifnull({value}, '') = ''", (path,)))
        return _joined("OR", parts, _FALSE)


class _Place:
    """An attribute in its column, asked with conditions over ``{type}`` and ``{value}`` in this order."""

    def __init__(self, column: str, key: str) -> None:
        self._column = column
        self._key = key
        # As for labels: other keys have to be found by walking the object.
        self._plain = _PLAIN_KEY.fullmatch(key) is not None

    def has(self, condition: Fragment) -> Fragment:
        """It is there and the condition holds."""
        if not self._plain:
            sql = condition.sql.format(type="item.type", value="item.value")
            source = f"SELECT 1 FROM json_each({self._column}) AS item WHERE item.key = ?"
            return Fragment(f"EXISTS ({source} AND ({sql}))", (self._key, *condition.params))
        path = f'$."{self._key}"'
        names = {
            "type": f"json_type({self._column}, ?)",
            "value": f"json_extract({self._column}, ?)",
        }
        count = condition.sql.count("{type}") + condition.sql.count("{value}")
        sql = condition.sql.format(**names)
        return Fragment(f"ifnull({sql}, 0)", (*[path] * count, *condition.params))


def _attribute(column: str, key: str, tests: Sequence[TextTest], *, blank: bool) -> Fragment:
    """An attribute that is a text which passes; or there at all; or absent or an empty text."""
    place = _Place(column, key)
    there = place.has(Fragment("{type} IS NOT NULL"))
    if any(isinstance(test, Present) for test in tests):
        return _TRUE if blank else there
    parts = [
        place.has(Fragment(f"{{type}} = 'text' AND {part.sql}", part.params))
        for part in _each_test("{value}", tests)
    ]
    if blank:
        empty = place.has(Fragment("{type} = 'text' AND {value} = ''"))
        parts += [empty, Fragment(f"NOT {there.sql}", there.params)]
    return _joined("OR", parts, _FALSE)


def _guarded(column: str, part: Fragment) -> Fragment:
    return Fragment(f"({column} IS NOT NULL AND {part.sql})", part.params)


def _in(expression: str, values: Iterable[str | int]) -> Fragment:
    params = tuple(values)
    if len(params) == 1:
        return Fragment(f"{expression} = ?", params)
    return Fragment(f"{expression} IN ({', '.join('?' * len(params))})", params)


def _tests(expression: str, tests: Sequence[TextTest], *, null: bool) -> Fragment:
    found = _joined("OR", _each_test(expression, tests), _FALSE)
    return _guarded(expression, found) if null and found != _FALSE else found


def _each_test(expression: str, tests: Sequence[TextTest]) -> list[Fragment]:
    equal = [test.text for test in tests if isinstance(test, Equals)]
    parts = [_in(expression, equal)] if equal else []
    return parts + [_test(expression, test) for test in tests if not isinstance(test, Equals)]


def _test(expression: str, test: TextTest) -> Fragment:
    match test:
        case Contains(part):
            return Fragment(f"instr(lower({expression}), ?) > 0", (part,))
        case Glob(parts, fold):
            subject = f"lower({expression})" if fold else expression
            pattern = "*".join(_GLOB_SPECIAL.sub(r"[\g<0>]", part) for part in parts)
            return Fragment(f"{subject} GLOB ?", (pattern,))
        case Matches(pattern):
            return Fragment(f"{expression} REGEXP ?", (pattern,))
    return Fragment(f"{expression} IS NOT NULL")


def _each(column: str, key: str | None, tests: Sequence[TextTest], *, blank: bool) -> Fragment:
    source = f"SELECT 1 FROM json_each({column}) AS item WHERE"
    params: tuple[str | float, ...] = ()
    if key is not None:
        source += " item.key = ? AND"
        params = (key,)
    parts = []
    if tests:
        found = _tests("item.value", tests, null=False)
        parts.append(Fragment(f"EXISTS ({source} {found.sql})", (*params, *found.params)))
    if blank:
        parts.append(Fragment(f"NOT EXISTS ({source} item.value <> '')", params))
    return _joined("OR", parts, _FALSE)
