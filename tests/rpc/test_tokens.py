"""Page and watch tokens."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck_server.rpc.errors import ApiError
from quarterdeck_server.rpc.tokens import (
    WatchPosition,
    page_scope,
    page_token,
    read_page_token,
    read_watch_token,
    watch_token,
)

numbers = st.integers(1 - 2**63, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
keys = st.lists(numbers | texts, min_size=1)


@given(keys)
def test_a_page_token_brings_its_position_back(key: list[Any]) -> None:
    scope = page_scope("tasks", "default", "f")
    token = page_token(scope, key)
    assert token.isascii()
    assert read_page_token(token, scope, tuple(type(part) for part in key)) == key


@pytest.mark.parametrize(
    "position",
    [
        [],
        [1],
        ["a"],
        ["a", 1],
        [1, "a", 1],
        [1, None],
        [True, "a"],
        [1.0, "a"],
        [1e400, "a"],
        [2**63, "a"],
        [-(2**63), "a"],
        [10**4000, "a"],
        [[1], "a"],
        [1, {"a": 1}],
        [1, "\0"],
        [1, "\ud800"],
        [1, "a\udfff"],
    ],
)
def test_a_position_that_no_store_gave_is_refused(position: list[Any]) -> None:
    with pytest.raises(ApiError, match="INVALID_PAGE_TOKEN") as caught:
        read_page_token(page_token("scope", position), "scope", (int, str))
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


@pytest.mark.parametrize("number", [-1, True, 1.5, None, "1", [], 2**63, 10**4000])
def test_a_watch_position_that_no_store_gave_is_none(number: Any) -> None:
    assert read_watch_token(watch_token("store", number)) is None
    if number is not None:
        assert read_watch_token(watch_token("store", 1, number)) is None


def test_there_is_no_token_after_the_last_page_and_none_means_the_first() -> None:
    assert page_token("scope", None) == ""
    assert read_page_token("", "scope", (int,)) is None


@given(keys, st.data())
def test_a_damaged_page_token_is_refused(key: list[Any], data: st.DataObject) -> None:
    token = page_token("scope", key)
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.sampled_from("AZaz09-_=+/.é\0").filter(lambda c: c != token[place]))
    with pytest.raises(ApiError, match="INVALID_PAGE_TOKEN"):
        read_page_token(
            token[:place] + other + token[place + 1 :], "scope", tuple(type(part) for part in key)
        )


@given(st.text(max_size=200))
def test_any_other_text_is_no_token(text: str) -> None:
    assert read_watch_token(text) is None
    if text:
        with pytest.raises(ApiError, match="INVALID_PAGE_TOKEN"):
            read_page_token(text, "scope", (int,))


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"[" * 2900, b"9" * 2900])
def test_a_forged_token_whose_checksum_is_right_is_no_token(body: bytes) -> None:
    # The checksum is no secret: whoever reads this can make one.
    checksum = hashlib.blake2b(body, digest_size=6, person=b"watch").digest()
    token = base64.urlsafe_b64encode(checksum + body).rstrip(b"=").decode()
    assert read_watch_token(token) is None


@given(st.text(max_size=40), st.integers(0, 2**63 - 1))
def test_a_watch_token_brings_its_position_back(store_id: str, revision: int) -> None:
    token = watch_token(store_id, revision)
    assert read_watch_token(token) == WatchPosition(store_id, revision)


def test_one_kind_of_token_is_not_the_other() -> None:
    with pytest.raises(ApiError, match="INVALID_PAGE_TOKEN"):
        read_page_token(watch_token("store", 1), "store", (int,))
    assert read_watch_token(page_token("scope", [1])) is None


def test_scopes_differ_in_every_part() -> None:
    parts = ("tasks", "default", "f", "name")
    scopes = {page_scope(*parts)}
    for place in range(4):
        scopes.add(page_scope(*(part + "x" * (place == n) for n, part in enumerate(parts))))
    assert len(scopes) == 5
