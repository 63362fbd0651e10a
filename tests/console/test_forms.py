"""What is typed into forms becomes exactly that message, or an error that names its field."""

from __future__ import annotations

import json

import pytest

from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck_console.model.forms import (
    FieldError,
    editable_input,
    edited_input,
    queue_limits,
    task_update,
)
from quarterdeck_console.model.parts import NO_LIMITS, LimitsRow
from quarterdeck_console.model.text import sanitize


@pytest.mark.parametrize(
    ("concurrency", "per_key", "rate", "key_rate", "ageing", "weights"),
    [
        ("50", "5:reject", "100/1m,burst=200", "10/1s", "5m", "acme=3 b=1"),
        ("1:cancel-oldest", "2:cancel-newest", "7/1h30m", "", "500ms", ""),
        ("", "", "", "", "", ""),
    ],
)
def test_limits_read_as_they_are_typed(
    concurrency: str, per_key: str, rate: str, key_rate: str, ageing: str, weights: str
) -> None:
    row = LimitsRow.of(queue_limits(concurrency, per_key, rate, key_rate, ageing, weights))
    shares = " ".join(f"{key}={share}" for key, share in row.weights)
    shown = (row.concurrency, row.per_key, row.rate, row.key_rate, row.ageing, shares)
    assert shown == (concurrency, per_key, rate, key_rate, ageing, weights)
    assert row.any == any(shown)


def test_zero_is_no_limit_and_a_unit_alone_is_one_of_it() -> None:
    assert LimitsRow.of(queue_limits("0", "0", "0", "0", "0s", "")) == NO_LIMITS
    assert LimitsRow.of(queue_limits("", "", "5/m", "", "", "")).rate == "5/1m"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("concurrency", "many"), ("per_key", "5:perhaps"), ("rate", "100"), ("key_rate", "1/x"),
        ("ageing", "soon"), ("weights", "acme"), ("weights", "acme=x"),
    ],
)  # fmt: skip
def test_a_wrong_limit_names_its_field(field: str, text: str) -> None:
    fields = dict.fromkeys(
        ("concurrency", "per_key", "rate", "key_rate", "ageing", "weights"), ""
    ) | {field: text}
    with pytest.raises(FieldError) as caught:
        queue_limits(**fields)
    assert caught.value.field == field


def test_a_change_has_only_what_was_filled_in() -> None:
    update = task_update("", "now", "", "team=ml old=")
    assert update.HasField("delay")
    assert update.delay.seconds == 0
    assert not (update.HasField("priority") or update.HasField("queue"))
    assert dict(update.labels) == {"team": "ml", "old": ""}
    assert task_update("0", "", "", "").priority == 0
    assert task_update("", "2026-05-01T08:00+02:00", "", "").run_time.ToJsonString() == (
        "2026-05-01T06:00:00Z"
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (("10", "", "", ""), "priority"), (("", "then", "", ""), "start"),
        (("", "2026-99-99", "", ""), "start"), (("", "", "", "novalue"), "labels"),
        (("", "", "", ""), "labels"),
    ],
)  # fmt: skip
def test_a_wrong_change_names_its_field(values: tuple[str, str, str, str], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        task_update(*values)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1, "b": [null, true]}', b"12345678901234567890", b"",
        '{"escape": "\x1b[2J", "bidi": "\u202e", "wide": "漢字"}'.replace("\x1b", "\\u001b").encode(),
    ],
)  # fmt: skip
def test_an_edited_input_loses_nothing_and_shows_nothing_that_a_terminal_obeys(data: bytes) -> None:
    payload = Payload(content_type="application/json", data=data)
    text = editable_input(payload)
    assert text is not None
    assert sanitize(text, 10_000, lines=True) == text
    assert json.loads(text) == json.loads(data or b"null")
    assert edited_input(payload, text, text) is None
    changed = edited_input(payload, text, text + " ")
    assert changed is not None
    assert json.loads(changed.data) == json.loads(data or b"null")


@pytest.mark.parametrize(
    ("kind", "data"),
    [("application/octet-stream", b"\xff\x00"), ("text/plain", b"a\x1bb"), ("", b"x" * 300_000)],
)
def test_an_input_that_cannot_be_edited_without_loss_is_not_offered(kind: str, data: bytes) -> None:
    assert editable_input(Payload(content_type=kind, data=data)) is None


def test_an_input_that_is_no_json_any_more_is_refused() -> None:
    payload = Payload(content_type="application/json", data=b"[1]")
    with pytest.raises(FieldError, match="input: expected JSON"):
        edited_input(payload, "[1]", "[1")
