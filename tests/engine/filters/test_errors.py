from __future__ import annotations

import pytest

from quarterdeck_server.engine.filters import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TERMS,
    QUEUE_FIELDS,
    TASK_FIELDS,
    FilterError,
    parse,
)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a stat:x", 2, 'tasks have no field "stat"; did you mean state?'),
        ("zzzzzz:x", 0, "known are id, name, queue"),
        ("http://x", 0, "put it in double quotes"),
        ("-name:x", 0, 'no field "-name"; did you mean name?'),
        ("queue:q !\u200bname:x", 9, 'no field "\N{REPLACEMENT CHARACTER}name"'),
        ("näme=x", 0, 'no field "näme"'),
        ("/a:b", 0, "put it in double quotes"),
        ("state:runing", 6, "did you mean running?"),
        ("state:a,b", 6, 'unknown state "a"'),
        ("state:q", 6, "known are blocked, scheduled"),
        ('state:""', 6, "state is never absent"),
        ("state>ready", 5, "state is a name and takes : = !=, not >"),
        ("name>a", 4, "name is a text and takes : = != ~, not >"),
        ("age:5m", 3, "age is a duration and takes > >= < <=, not :"),
        ("age~5m", 3, "not ~"),
        ("age>5", 4, "expected a duration"),
        ("age>5y", 4, "such as 10s, 5m"),
        ("age>99999999w", 4, "up to 36500d"),
        ("created>yesterday", 8, "expected a time from 1970"),
        ("created>1969-12-31", 8, "from 1970"),
        ("created>9999-12-31T23:59-10:00", 8, "from 1970"),
        ("created>0001-01-01T00:00+10:00", 8, "from 1970"),
        ("created>5m", 8, "now-5m"),
        ("created:2026-01-01", 8, "an instant is never hit exactly"),
        ("priority:high", 9, "priority: expected a whole number"),
        ("priority>9223372036854775808", 9, "whole number"),
        ("priority>1,2", 11, "> takes one value"),
        ("id:17", 3, "expected task_ and 13 characters"),
        ("name:", 5, "a value is missing"),
        ("name:a,,b", 7, "a value is missing"),
        ("name: a", 5, "a value is missing"),
        ("age:>5m", 3, "age is a duration"),
        ("priority:>5", 9, "write priority>1"),
        ("name==a", 5, "a value cannot start with ="),
        ("name:~a", 5, "name~regex"),
        (">5", 0, "a comparison needs a field"),
        ('""', 0, "an empty text is in everything"),
        ("?", 1, "letters are missing"),
        ("label:x", 0, "label.KEY"),
        ("label.", 6, "the label's key is missing"),
        ("label.a>1", 7, "label is a label and takes"),
        ("label.a:", 8, "a value is missing"),
        ("label.a!b", 7, "after the label's key"),
        ("attr.", 5, "the attribute's key is missing; write attr.KEY:value"),
        ("attr.a!b", 6, "after the attribute's key"),
        ("attr.a>x", 7, "attr.a: expected a number such as 5 or 0.5"),
        ('attr.a>"5"', 7, "expected a number"),
        ("attr.a>true", 7, "expected a number"),
        ("attr.a>1e999", 7, "expected a number"),
        ("attr.a<1,2", 9, "< takes one value"),
        ("attr:x", 0, "attr.KEY"),
        ("(a", 0, "this ( is never closed"),
        ("a)", 1, "this ) closes nothing"),
        ("()", 1, "a term is missing"),
        ("a |", 3, "a term is missing"),
        ("| a", 0, "a term is missing"),
        ("a OR", 4, "a term is missing"),
        ("AND a", 0, "a term is missing"),
        ("!", 1, "a term is missing"),
        ('a "b', 2, 'this " is never closed'),
        ('a "b\\"', 2, 'this " is never closed'),
        ('~"a"b', 4, "after a quoted expression"),
        ("~", 1, "the expression is missing"),
        ("name~[a", 5, "this [ is never closed"),
        ("name~(a", 5, "this ( is never closed"),
        ("name~a(?=b)", 6, "only plain groups"),
        (r"name~(a)\1", 8, "back references"),
        ("name~a**", 7, "a repeat of a repeat"),
        ("name~*a", 5, "nothing before *"),
        ("name~^*", 6, "^ cannot be repeated"),
        ("name~a{3,2}", 6, "counts must go upwards"),
        ("name~a{101}", 6, "to 100 at most"),
        ("name~a{x}", 6, "expected {m}"),
        ("name~[b-a]", 7, "a range"),
        ("name~(a{100}){100}", 5, "too large"),
        ("name~" + "a" * 201, 5, "at most 200"),
        ('name~"a\\\\\\"', 5, "never closed"),
        ("a\x00b", 1, "control characters"),
        ("a\ud800b", 1, "control characters"),
        ("a " * MAX_LENGTH, MAX_LENGTH, "at most 2000"),
        ("a " * (MAX_TERMS + 1), MAX_TERMS * 2, "more than 50 terms"),
        ("(" * (MAX_DEPTH + 1) + "a", MAX_DEPTH + 1, "nested deeper than 20"),
        ("!" * (MAX_DEPTH + 1) + "a", MAX_DEPTH + 1, "nested deeper than 20"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_to_write(
    text: str, position: int, message: str
) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, TASK_FIELDS)
    assert message in caught.value.message
    assert caught.value.position == position
    assert str(caught.value).endswith(f"(at character {position + 1})")


def test_limits_themselves_are_allowed() -> None:
    parse("a " * MAX_TERMS, TASK_FIELDS)
    parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, TASK_FIELDS)
    parse('"' + "a" * (MAX_LENGTH - 2) + '"', TASK_FIELDS)


def test_a_resource_without_labels_says_so() -> None:
    with pytest.raises(FilterError, match="queues have no labels"):
        parse("label.a:b", QUEUE_FIELDS)


def test_the_users_text_is_shown_short_and_printable() -> None:
    with pytest.raises(FilterError) as caught:
        parse("priority:" + "\u202e" + "x" * 500, TASK_FIELDS)
    assert "\u202e" not in caught.value.message
    assert len(caught.value.message) < 120
