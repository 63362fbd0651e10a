"""Errors as clients see them: one reason, one gRPC code, one shape on the wire.

    ApiError            a call, or one item of a batch, is refused: a Refusal, wrong fields, a wait
    everything else     is mapped to one by `classify`; what is unknown becomes INTERNAL

On the wire an error is a google.rpc.Status: as the trailing metadata `grpc-status-details-bin` of a
call, as the `error` of an item. quarterdeck.v1.status_pb2 has the same bytes as Google's messages,
whose names the type URLs carry.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import grpc
from google.protobuf.message import Message

from quarterdeck.v1 import status_pb2
from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.filters import FilterError
from quarterdeck_server.engine.schedule.errors import CronError, ScheduleError
from quarterdeck_server.runtime.committer import Draining
from quarterdeck_server.store.base import StoreUnavailable

DOMAIN: Final = "quarterdeck"
DETAILS_KEY: Final = "grpc-status-details-bin"

_Code = grpc.StatusCode

CODES: Final[dict[str, grpc.StatusCode]] = {
    "INVALID_FIELD": _Code.INVALID_ARGUMENT,
    "INVALID_FILTER": _Code.INVALID_ARGUMENT,
    "INVALID_SCHEDULE": _Code.INVALID_ARGUMENT,
    "INVALID_PAGE_TOKEN": _Code.INVALID_ARGUMENT,
    "PAYLOAD_TOO_LARGE": _Code.INVALID_ARGUMENT,
    "REQUEST_ID_REUSED": _Code.INVALID_ARGUMENT,
    "IDEMPOTENCY_KEY_REUSED": _Code.ALREADY_EXISTS,
    "TASK_NOT_FOUND": _Code.NOT_FOUND,
    "SCHEDULE_NOT_FOUND": _Code.NOT_FOUND,
    "QUEUE_NOT_FOUND": _Code.NOT_FOUND,
    "AGENT_NOT_FOUND": _Code.NOT_FOUND,
    "LEASE_LOST": _Code.FAILED_PRECONDITION,
    "WRONG_STATE": _Code.FAILED_PRECONDITION,
    "SCHEDULE_ENDED": _Code.FAILED_PRECONDITION,
    "WATCH_TOKEN_EXPIRED": _Code.OUT_OF_RANGE,
    "DRAINING": _Code.UNAVAILABLE,
    "STORE_UNAVAILABLE": _Code.UNAVAILABLE,
    "LIMIT_EXCEEDED": _Code.RESOURCE_EXHAUSTED,
    "ETAG_MISMATCH": _Code.ABORTED,
    "UNIQUE_KEY_TAKEN": _Code.ALREADY_EXISTS,
    "LIST_TOO_OLD": _Code.ABORTED,
    "HOLD_NOT_FOUND": _Code.NOT_FOUND,
    "INTERNAL": _Code.INTERNAL,
}
"""The code of every reason; the proto comments of ErrorReason say the same, and a test compares
them."""

# A client reads at most 8 KiB of metadata by default; the message travels beside the details,
# percent-encoded.
_MAX_DETAILS = 4096
_MAX_MESSAGE = 1000
_MAX_VALUE = 256
_MAX_DESCRIPTION = 400
_MAX_VIOLATIONS = 20

_RETRY_SECONDS = 1.0


class Violation(NamedTuple):
    """One wrong field."""

    field: str
    description: str
    reason: str = "INVALID_FIELD"
    metadata: tuple[tuple[str, str], ...] = ()


class ApiError(Exception):
    """A call or an item is refused.

    Attributes:
        refusal: Reason, message and metadata.
        violations: The wrong fields, for the BadRequest detail.
        retry_after: Seconds after which the client may try again, for the RetryInfo detail.
    """

    def __init__(
        self,
        refusal: Refusal,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.refusal = refusal
        self.violations = violations
        self.retry_after = retry_after

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC code of its reason."""
        return CODES[self.refusal.reason]


def invalid(violations: Sequence[Violation], prefix: str = "") -> ApiError:
    """Refuse for wrong fields, whose paths are below `prefix`.

    The reason is that of the first violation that has a more telling one than INVALID_FIELD.
    """
    full = [v._replace(field=prefix + v.field) for v in violations]
    first = next((v for v in full if v.reason != "INVALID_FIELD"), full[0])
    metadata = (("field", first.field), *first.metadata)
    return ApiError(Refusal(first.reason, f"{first.field}: {first.description}", metadata), full)


def invalid_field(field: str, description: str) -> ApiError:
    """Refuse for one wrong field."""
    return invalid([Violation(field, description)])


def limit_exceeded(field: str, count: int, limit: int) -> ApiError:
    """Refuse a request with too many items."""
    message = f"{field}: expected at most {limit} items, got {count}; send them in several requests"
    return ApiError(Refusal("LIMIT_EXCEEDED", message, (("limit", str(limit)),)))


def classify(error: Exception) -> ApiError | None:
    """The refusal that an exception stands for; None for one that is a defect."""
    match error:
        case ApiError():
            return error
        case Draining():
            message = "the server is stopping; call again, it or its successor will answer"
            return ApiError(Refusal("DRAINING", message), retry_after=_RETRY_SECONDS)
        case StoreUnavailable():
            message = "the server cannot write its store now; nothing was applied, try again later"
            return ApiError(Refusal("STORE_UNAVAILABLE", message), retry_after=_RETRY_SECONDS)
        case FilterError():
            place = (("field", "filter"), ("position", str(error.position)))
            refusal = Refusal("INVALID_FILTER", f"filter: {error}", place)
            return ApiError(refusal, [Violation("filter", str(error))])
        case ScheduleError():
            return schedule_error(error.field, error.message)
        case CronError():
            return schedule_error(error.field, error.message)
    return None


_SCHEDULE_FIELDS: Final = {
    "id": "schedule_id",
    "kind": "spec.when",
    "cron": "spec.cron.expression",
    "time_zone": "spec.cron.time_zone",
    "interval": "spec.interval",
    "once": "spec.once",
    "start_at": "spec.start_time",
    "end_at": "spec.end_time",
    "count": "count",
}


def schedule_error(field: str, message: str) -> ApiError:
    """Refuse a schedule; `field` is the engine's name of what is wrong."""
    path = _SCHEDULE_FIELDS[field]
    return invalid([Violation(path, message, "INVALID_SCHEDULE")])


def internal() -> ApiError:
    """Stand for a defect: the client learns an incident number, under which the log has the
    rest."""
    incident = secrets.token_hex(6)
    message = f"a defect of the server; its log has more under incident {incident}"
    return ApiError(Refusal("INTERNAL", message, (("incident", incident),)))


def status_of(error: ApiError) -> status_pb2.Status:
    """Encode for the wire, within what a client accepts as metadata."""
    refusal = error.refusal
    status = status_pb2.Status(
        code=error.code.value[0], message=_cut(refusal.message, _MAX_MESSAGE)
    )
    metadata = {key: _cut(value, _MAX_VALUE) for key, value in refusal.metadata}
    _pack(
        status,
        "ErrorInfo",
        status_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=metadata),
    )
    if error.retry_after is not None:
        retry = status_pb2.RetryInfo()
        retry.retry_delay.FromMicroseconds(round(error.retry_after * 1e6))
        _pack(status, "RetryInfo", retry)
    if error.violations:
        _pack(
            status, "BadRequest", _bad_request(error.violations, _MAX_DETAILS - status.ByteSize())
        )
    return status


def refusal_status(refusal: Refusal, prefix: str = "") -> status_pb2.Status:
    """Encode the refusal of one item, whose fields are below `prefix`."""
    field = dict(refusal.metadata).get("field")
    if field is None:
        return status_of(ApiError(refusal))
    metadata = tuple(
        (key, prefix + value if key == "field" else value) for key, value in refusal.metadata
    )
    named = refusal._replace(metadata=metadata)
    return status_of(ApiError(named, [Violation(prefix + field, refusal.message)]))


def _bad_request(violations: Sequence[Violation], room: int) -> status_pb2.BadRequest:
    bad_request = status_pb2.BadRequest()
    for violation in violations[:_MAX_VIOLATIONS]:
        bad_request.field_violations.add(
            field=_cut(violation.field, _MAX_VALUE),
            description=_cut(violation.description, _MAX_DESCRIPTION),
        )
        if bad_request.ByteSize() > room - 100 and len(bad_request.field_violations) > 1:
            del bad_request.field_violations[-1]
            break
    return bad_request


def _pack(status: status_pb2.Status, name: str, detail: Message) -> None:
    status.details.add(
        type_url=f"type.googleapis.com/google.rpc.{name}", value=detail.SerializeToString()
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
