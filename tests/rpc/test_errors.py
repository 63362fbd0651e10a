"""The reasons, and errors as bytes."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from quarterdeck.v1 import error_reason_pb2
from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.filters import FilterError
from quarterdeck_server.engine.schedule.errors import CronError, ScheduleError
from quarterdeck_server.rpc.errors import (
    CODES,
    ApiError,
    Violation,
    classify,
    internal,
    invalid,
    refusal_status,
    status_of,
)
from quarterdeck_server.runtime.committer import Draining
from quarterdeck_server.store.base import StoreUnavailable

from .api import Error

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "ERROR_REASON_"


def documented() -> dict[str, str]:
    """The code that the comment of each reason names."""
    text = (ROOT / "proto/quarterdeck/v1/error_reason.proto").read_text("utf-8")
    found = re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(\w+) =", text)
    return {
        reason: comment.strip(" /\n").split(".")[0]
        for comment, reason in found
        if reason != "UNSPECIFIED"
    }


def test_every_reason_has_the_code_that_its_comment_names() -> None:
    names = {name.removeprefix(PREFIX) for name, _ in error_reason_pb2.ErrorReason.items()}
    assert documented().keys() == CODES.keys() == names - {"UNSPECIFIED"}
    assert documented() == {reason: code.name for reason, code in CODES.items()}


def test_every_reason_says_what_its_metadata_is() -> None:
    text = (ROOT / "proto/quarterdeck/v1/error_reason.proto").read_text("utf-8")
    for comment in re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(?!UNSPECIFIED)", text):
        assert "Metadata: " in comment.replace("\n  // ", " ")


def test_every_reason_is_used() -> None:
    package = ROOT / "server" / "quarterdeck_server"
    sources = [
        path.read_text("utf-8")
        for path in package.rglob("*.py")
        if path != package / "rpc" / "errors.py"
    ]
    sources.append((package / "rpc" / "errors.py").read_text("utf-8").split("class Violation")[1])
    unused = {reason for reason in CODES if not any(f'"{reason}"' in text for text in sources)}
    assert unused == set()


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (StoreUnavailable("x"), "STORE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
        (Draining(), "DRAINING", grpc.StatusCode.UNAVAILABLE),
        (FilterError("bad", 3), "INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT),
        (ScheduleError("once", "bad"), "INVALID_SCHEDULE", grpc.StatusCode.INVALID_ARGUMENT),
        (CronError("cron", "bad"), "INVALID_SCHEDULE", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_what_the_server_raises_has_its_reason(
    error: Exception, reason: str, code: grpc.StatusCode
) -> None:
    known = classify(error)
    assert known is not None
    assert (known.refusal.reason, known.code) == (reason, code)


def test_anything_else_is_a_defect_with_an_incident_of_its_own() -> None:
    assert classify(KeyError("x")) is None
    first, second = Error(status_of(internal())), Error(status_of(internal()))
    assert first.reason == "INTERNAL"
    assert first.metadata["incident"] != second.metadata["incident"]


def test_the_reason_of_several_wrong_fields_is_the_most_telling() -> None:
    too_large = Violation("input.data", "too large", "PAYLOAD_TOO_LARGE", (("size", "9"),))
    error = Error(status_of(invalid([Violation("name", "bad"), too_large], "tasks[3].")))
    assert error.reason == "PAYLOAD_TOO_LARGE"
    assert error.metadata == {"field": "tasks[3].input.data", "size": "9"}
    assert list(error.fields) == ["tasks[3].name", "tasks[3].input.data"]


def test_a_refused_item_names_its_field_from_the_request() -> None:
    refusal = Refusal("INVALID_FIELD", "depends_on: no", (("field", "depends_on"),))
    error = Error(refusal_status(refusal, "tasks[7]."))
    assert error.metadata == {"field": "tasks[7].depends_on"}
    assert list(error.fields) == ["tasks[7].depends_on"]


def test_an_error_fits_into_the_metadata_that_clients_read() -> None:
    violations = [Violation("f" * 5000, "d" * 5000) for _ in range(100)]
    status = status_of(
        ApiError(Refusal("INVALID_FIELD", "m" * 9000, (("field", "v" * 9000),)), violations)
    )
    # gRPC's default limit is 8 KiB, and the message travels twice.
    assert status.ByteSize() + len(status.message) < 7000
    assert len(Error(status).fields) >= 1
