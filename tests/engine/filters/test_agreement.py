from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.filters import (
    AGENT_FIELDS,
    MAX_LENGTH,
    QUEUE_FIELDS,
    SCHEDULE_FIELDS,
    TASK_FIELDS,
    Field,
    FieldKind,
    FieldTable,
    FilterError,
    parse,
)
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.ids import encode_task_id

TABLES = (TASK_FIELDS, AGENT_FIELDS, SCHEDULE_FIELDS, QUEUE_FIELDS)
NOW = 1_800_000_000_000_000
KEYS = ["k", "a.b", "größe", 'q"t', "b\\s", "a b"]

texts = st.one_of(
    st.sampled_from(["", "a", "ab", "A*b", "a[b]?", "x\u212ay", "ÄÖ", "%_", "0x'\""]),
    st.text("abAB*?[]é ", max_size=5),
)
instants = st.one_of(
    st.integers(NOW - 3_000_000, NOW + 3_000_000), st.sampled_from([0, 1_767_225_600_000_000])
)
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -0.5, 1e20, 2.0, 1e-7, 123456.789])
orders = st.sampled_from([">", ">=", "<", "<="])
equals = st.sampled_from([":", "=", "!="])


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


filter_texts = texts.map(lambda text: text.replace("\x00", ""))
words = st.lists(filter_texts.map(quoted), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([parts[0], "*".join(parts), "*" + parts[0] + "*", "*", '""'])
)
word_lists = st.lists(words, min_size=1, max_size=3).map(",".join)
regexes = st.sampled_from(["a", "^a", "b$", "(?i)AB?", "[^a]+b", "a|é", r"^\W", "^$", ".", "x.y"])
durations = st.integers(0, 3_000_000).map("{}us".format)


@cache
def values_of(field: Field) -> st.SearchStrategy[Any]:
    if field.attributes == ("lane",):
        return st.none() | texts.map(lambda key: lane_text(LaneKey(key, (("a", "b"),))))
    if field.attributes == ("pause",):
        return st.none() | st.just('[1,"ann",""]')
    match field.kind:
        case FieldKind.ENUM:
            known = sorted({value for group in (field.words or {}).values() for value in group})
            found: st.SearchStrategy[Any] = st.sampled_from(known)
        case FieldKind.INT | FieldKind.ID:
            found = st.integers(0, 5)
        case FieldKind.TIME | FieldKind.SINCE:
            found = instants
        case FieldKind.LABELS:
            found = st.dictionaries(st.sampled_from(KEYS), texts, max_size=3).map(json.dumps)
        case FieldKind.ATTRIBUTES:
            facts = st.dictionaries(
                st.sampled_from(KEYS), texts | numbers | st.booleans(), max_size=3
            )
            found = facts.map(json.dumps)
        case FieldKind.LIST:
            found = st.lists(texts, max_size=3).map(json.dumps)
        case _:
            found = texts
    return st.none() | found if field.nullable else found


@cache
def rows_of(table: FieldTable) -> st.SearchStrategy[Any]:
    return st.lists(
        st.fixed_dictionaries(
            {name: values_of(field) for field in table.fields for name in field.attributes}
        ),
        min_size=1,
        max_size=5,
    )


@cache
def terms_of(field: Field) -> st.SearchStrategy[str]:
    name = st.sampled_from([field.name, *field.aliases])
    absent = st.sampled_from(["*", '""'] if field.nullable else ["*"])
    match field.kind:
        case FieldKind.ENUM:
            known = st.sampled_from([*(field.words or {}), "*"])
            return st.builds("{}{}{}".format, name, equals, known)
        case FieldKind.INT | FieldKind.ID:
            value = st.integers(0, 5).map(encode_task_id if field.codec else str)
            return st.one_of(
                st.builds("{}{}{}".format, name, orders, value),
                st.builds("{}{}{},{}".format, name, equals, value, value | absent),
            )
        case FieldKind.TIME:
            return st.one_of(
                st.builds("{}{}now{}{}".format, name, orders, st.sampled_from("+-"), durations),
                st.builds("{}{}2026-01-01T00:00Z".format, name, orders),
                st.builds("{}{}{}".format, name, equals, absent),
            )
        case FieldKind.SINCE:
            return st.builds("{}{}{}".format, name, orders, durations)
        case FieldKind.LABELS:
            label = st.sampled_from(KEYS).map(lambda key: f"label.{quoted(key)}")
            return st.one_of(label, _text_terms(label))
        case FieldKind.ATTRIBUTES:
            fact = st.sampled_from(KEYS).map(lambda key: f"attr.{quoted(key)}")
            value = numbers.map(repr) | st.sampled_from(["true", "FALSE", "*", '""', "a"])
            return st.one_of(
                fact,
                st.builds("{}{}{}".format, fact, orders, numbers.map(repr)),
                st.builds("{}{}{},{}".format, fact, equals, value, value | words),
                _text_terms(fact),
            )
    return _text_terms(name)


def _text_terms(name: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}{}".format, name, equals, word_lists),
        st.builds('{}~"{}"'.format, name, regexes),
    )


@cache
def filters_of(table: FieldTable) -> st.SearchStrategy[str]:
    letters = filter_texts.filter(bool)
    bare = st.one_of(
        letters.map(quoted),
        letters.map(lambda text: "?" + quoted(text)),
        regexes.map('~"{}"'.format),
        st.builds("{}*{}".format, letters.map(quoted), letters.map(quoted)),
    )
    term = st.one_of(bare, *[terms_of(field) for field in table.fields])
    return st.recursive(
        term,
        lambda inner: st.one_of(
            st.builds("({} {})".format, inner, inner),
            st.builds("({} | {})".format, inner, inner),
            st.builds("!{}".format, inner),
        ),
        max_leaves=5,
    )


cases = st.sampled_from(TABLES).flatmap(
    lambda table: st.tuples(st.just(table), filters_of(table), rows_of(table))
)


@settings(max_examples=400, deadline=None)
@given(cases)
def test_sql_and_predicate_take_the_same_rows(
    store: Any, case: tuple[FieldTable, str, list[dict[str, Any]]]
) -> None:
    table, text, rows = case
    flt = parse(text, table)
    taken = store.taken(flt, rows, NOW)
    canonical = flt.canonical()
    if len(canonical) <= MAX_LENGTH:
        again = parse(canonical, table)
        assert again.canonical() == canonical
        assert store.taken(again, rows, NOW) == taken
    assert store.taken(parse(f"!({text})", table), rows, NOW) == [
        place for place in range(len(rows)) if place not in taken
    ]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(TABLES),
    st.one_of(
        st.text(max_size=60),
        st.text('ab:=!<>~?*()|",.\\ 059mhTZ-', max_size=40),
        st.lists(
            st.sampled_from(
                [
                    "state:",
                    "age>",
                    "5m",
                    "label.",
                    "attr.",
                    "attr.k>",
                    "1e5",
                    "(",
                    ")",
                    "!",
                    "|",
                    " ",
                    '"',
                    "~",
                    "\\",
                    "now",
                    "-",
                    "OR",
                    "NOT",
                    "AND",
                    "name",
                    "=",
                    "*",
                    "{",
                    "}",
                    "[",
                    ",",
                    "2026-01-01",
                    "\n",
                ]
            ),
            max_size=15,
        ).map("".join),
    ),
)
def test_any_text_is_a_filter_or_refused_with_a_place(table: FieldTable, text: str) -> None:
    try:
        flt = parse(text, table)
    except FilterError as error:
        assert 0 <= error.position <= len(text)
        assert error.message
    else:
        assert parse(flt.canonical(), table).canonical() == flt.canonical()


@pytest.mark.parametrize("pattern", ["a*" * 30 + "b", "?" + "a" * 60 + "b"])
def test_wildcards_do_not_make_a_search_slow(store: Any, task: Any, pattern: str) -> None:
    flt = parse(pattern, TASK_FIELDS)
    assert store.taken(flt, [task(error_message="a" * 20_000)], NOW) == []
