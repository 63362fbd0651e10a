from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck_server.engine.ids import (
    MAX_TASK_ID,
    IdSource,
    decode_task_id,
    encode_task_id,
)

IN_2026 = 1_767_225_600_000_000
ids = st.integers(0, MAX_TASK_ID)


@given(ids)
def test_an_id_survives_its_text_in_any_case(task_id: int) -> None:
    text = encode_task_id(task_id)
    assert len(text) == 18
    assert decode_task_id(text) == decode_task_id(text.upper()) == task_id


@given(ids, ids)
def test_texts_sort_as_ids_do(first: int, second: int) -> None:
    assert (encode_task_id(first) < encode_task_id(second)) is (first < second)


def test_known_ids_have_known_texts() -> None:
    assert encode_task_id(0) == "task_0000000000000"
    assert encode_task_id(31) == "task_000000000000z"
    assert encode_task_id(32 * 17) == "task_00000000000h0"
    assert encode_task_id(MAX_TASK_ID) == "task_7zzzzzzzzzzzz"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "task_",
        "0000000000000",
        "task_000000000000",
        "task_00000000000000",
        "task_8000000000000",
        "task_000000000000u",
        "task_000000000000l",
        "task_00000000000_0",
        "task_ 000000000000",
        "task_000000000000\n",
        "task_00000000000\u212a0",
        "tas\u212a_0000000000000",
    ],
)
def test_other_texts_are_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected task_ and 13 characters"):
        decode_task_id(text)


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=50), st.integers(0, 1023))
def test_ids_grow_whatever_the_clock_does(offsets: list[int], node: int) -> None:
    source = IdSource(node)
    made = [source.next(IN_2026 + offset) for offset in offsets]
    assert made == sorted(set(made))
    assert all(0 <= task_id <= MAX_TASK_ID for task_id in made)


def test_more_than_a_milliseconds_share_borrows_the_next_milliseconds() -> None:
    source = IdSource(7)
    made = [source.next(IN_2026) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert (made[-1] >> 22) - (made[0] >> 22) == 2


def test_two_nodes_never_make_the_same_id() -> None:
    first, second = IdSource(1), IdSource(2)
    assert {first.next(IN_2026) for _ in range(5000)}.isdisjoint(
        second.next(IN_2026) for _ in range(5000)
    )


def test_an_id_tells_its_millisecond() -> None:
    assert IdSource(3).next(IN_2026 + 1_999) >> 22 == 365 * 86_400_000 + 1


def test_a_node_outside_its_bits_and_a_clock_outside_its_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="node: expected 0 to 1023, got 1024"):
        IdSource(1024)
    with pytest.raises(OverflowError, match="2094"):
        IdSource(0).next(4_102_444_800_000_000)
