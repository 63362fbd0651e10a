from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.filters.regex import MAX_TEXT, Regex, regexp
from quarterdeck_server.engine.filters.regex_syntax import RegexError

atoms = st.sampled_from(
    [
        "a",
        "b",
        "B",
        ".",
        "[ab]",
        "[^a]",
        "[a-cx]",
        r"\d",
        r"\w",
        r"\s",
        r"\W",
        r"\.",
        "",
        "^",
        r"\b",
    ]
)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeats = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "{1,2}?"])
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("({}){}".format, inner, repeats),
    )


patterns = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "(?i)"]),
    st.recursive(atoms, larger, max_leaves=6),
    st.sampled_from(["", "$"]),
)


@settings(max_examples=500)
@given(patterns, st.text("abBcx1. \n_", max_size=8))
def test_a_search_finds_what_re_finds(pattern: str, text: str) -> None:
    # Ours ends at the end of the text only; re's $ also stops before a last line end.
    oracle = re.compile(pattern.removesuffix("$") + (r"\Z" if pattern.endswith("$") else ""))
    assert Regex(pattern).search(text) is (oracle.search(text) is not None)


@pytest.mark.parametrize(
    "pattern",
    ["(a|a)*c", "(a*)*c", "a*a*a*a*a*a*a*a*c", "(a|aa)+$", "(.*)(.*)(.*)(.*)c", "(a?){30}a{30}c"],
)
def test_patterns_that_make_re_hang_are_answered(pattern: str) -> None:
    assert Regex(pattern).search("a" * MAX_TEXT + "!") is (pattern == "(a|aa)+$")


def test_a_pattern_with_more_states_than_are_kept_is_still_right() -> None:
    machine = Regex("(a|b)*a(a|b){40}c")
    text = "".join("ab"[(i * i // 7) % 2] for i in range(3_000))
    assert not machine.search(text)
    assert machine.search(text + "a" + "b" * 40 + "c")


def test_only_the_start_of_a_long_text_is_seen() -> None:
    assert Regex("x+y").search("a" * (MAX_TEXT - 2) + "xy")
    assert not Regex("x+y").search("a" * (MAX_TEXT - 1) + "xy")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(?i)ÄRGER", "ärger"),
        ("(?i)[a-z]+5", "QX5"),
        (r"\t", "\t"),
        ("[]a]", "]"),
        ("[a-]", "-"),
        (r"[\d-]x", "-x"),
        (r"[^\W]", "é"),
        ("a{2,}", "aaa"),
        ("(a|)b", "b"),
        (r"\{", "{"),
    ],
)
def test_forms_that_users_write_are_known(pattern: str, text: str) -> None:
    assert Regex(pattern).search(text)


@given(st.text("ab()[]{}|*+?.^$\\d-,19:!i", max_size=30))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        Regex(text)
    except RegexError as error:
        assert 0 <= error.position <= len(text)


def test_deep_and_large_patterns_are_refused_at_once() -> None:
    for pattern in ("(" * 100 + ")" * 100, "((((((){100}){100}){100}){100}){100}){100}"):
        with pytest.raises(RegexError, match=r"nested deeper|too large"):
            Regex(pattern)


def test_the_sql_function_never_takes_null() -> None:
    assert regexp("a", "cat") and not regexp("", None)
