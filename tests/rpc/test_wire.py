"""Finding out why a request cannot be parsed."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.v1 import task_service_pb2
from quarterdeck_server.rpc.wire import find_fault

REQUEST = task_service_pb2.SubmitRequest
DESCRIPTOR = REQUEST.DESCRIPTOR


def sample() -> task_service_pb2.SubmitRequest:
    """A request with something of every wire type."""
    request = REQUEST(namespace="NSNSNS")
    for number in range(3):
        task = request.tasks.add(name=f"name{number}", depends_on=["#0", f"dep{number}"])
        task.labels["label"] = f"value{number}"
        task.retry.factor = 2.5
        task.run_time.seconds = 10**12
        task.input.data = b"\xff\xfe"
    return request


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"NSNSNS", "namespace"),
        (b"name2", "tasks[2].name"),
        (b"dep1", "tasks[1].depends_on[1]"),
        (b"value0", "tasks[0].labels[0].value"),
    ],
)
def test_text_that_is_not_utf8_is_found(text: bytes, field: str) -> None:
    raw = sample().SerializeToString().replace(text, b"\xc3" * len(text))
    with pytest.raises(DecodeError):
        REQUEST.FromString(raw)
    assert find_fault(DESCRIPTOR, raw) == (field, "the text is not valid UTF-8")


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    fault = find_fault(DESCRIPTOR, data)
    assert fault.description


@given(st.integers(0, 400))
def test_a_request_that_was_cut_off_is_answered(length: int) -> None:
    assert find_fault(DESCRIPTOR, sample().SerializeToString()[:length]).description
