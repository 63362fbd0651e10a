from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck._text import MAX_COMBINING, display_width, fit, sanitize


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;cm0gLXJm\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("\x1b]52;never ended", "52;never ended"),
        ("\x1bcreset", "reset"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("a\u2066b\u2069c\u200fd", "abcd"),
        ("a\x00b\x7fc\x85d", "abcd"),
        ("one\ntwo\tthree\r\nfour", "one two three four"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("[/x] [@click=app.quit]", "[/x] [@click=app.quit]"),
        ("日本語 ok é", "日本語 ok é"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(hostile: str, safe: str) -> None:
    assert sanitize(hostile) == safe


def test_lines_are_kept_when_asked_for() -> None:
    assert sanitize("one\r\ntwo\n\tthree\rfour", multiline=True) == "one\ntwo\n    three\nfour"


def test_long_text_is_cut_and_says_so() -> None:
    assert sanitize("x" * 5000, limit=10) == "xxxxxxxxx…"
    assert sanitize("x" * 10, limit=10) == "x" * 10


def test_a_pile_of_combining_marks_is_cut_down() -> None:
    assert sanitize("e" + "\u0301" * 100) == "e" + "\u0301" * MAX_COMBINING


@given(st.text(st.characters()), st.booleans())
def test_no_text_gets_a_control_character_through(text: str, multiline: bool) -> None:
    safe = sanitize(text, multiline=multiline)
    allowed = "\n" if multiline else ""
    assert not [c for c in safe if unicodedata.category(c) in ("Cc", "Cs") and c not in allowed]
    assert sanitize(safe, multiline=multiline) == safe


def test_wide_characters_take_two_cells_and_marks_none() -> None:
    assert display_width("日本") == 4
    assert display_width("e\u0301") == 1


@given(st.text("abc日本é\u0301🚀"), st.integers(0, 12))
def test_fitted_text_never_takes_more_cells_than_there_are(text: str, width: int) -> None:
    assert display_width(fit(text, width)) <= width
