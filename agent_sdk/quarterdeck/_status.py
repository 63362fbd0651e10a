"""Errors from the wire: `google.rpc.Status` bytes become the exceptions of `_errors`.

Read with the private copies in `quarterdeck.v1.status_pb2`, because grpcio-status pins
grpcio to its own version.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from quarterdeck._errors import (
    ApiError,
    ConflictError,
    HoldNotFoundError,
    InvalidArgumentError,
    LimitExceededError,
    ListTooOldError,
    NotFoundError,
    UnavailableError,
    UniqueKeyTakenError,
    WatchTokenExpiredError,
    WrongStateError,
)
from quarterdeck.v1 import status_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
_NO_ANSWER = {
    "UNAVAILABLE": (
        "the server at {address} cannot be reached: start one there (`quarterdeck server`), or "
        "name another (the argument `address`, or QUARTERDECK_SERVER)"
    ),
    "DEADLINE_EXCEEDED": (
        "the server at {address} did not answer in time, and may have done it: look, or call again"
    ),
}
_CLASSES: dict[str, type[ApiError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": ConflictError,
    "ABORTED": ConflictError,
    "FAILED_PRECONDITION": WrongStateError,
    "OUT_OF_RANGE": WatchTokenExpiredError,
    "RESOURCE_EXHAUSTED": LimitExceededError,
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": UnavailableError,
}

# Reasons that callers tell apart from others of the same code.
_REASONS: dict[str, type[ApiError]] = {
    "UNIQUE_KEY_TAKEN": UniqueKeyTakenError,
    "LIST_TOO_OLD": ListTooOldError,
    "HOLD_NOT_FOUND": HoldNotFoundError,
}


def error_from_status(status: status_pb2.Status) -> ApiError:
    """The exception for one item's error in a batch."""
    code = _NAMES.get(status.code, "UNKNOWN")
    info = status_pb2.ErrorInfo()
    wrong = status_pb2.BadRequest()
    retry = status_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        # The type URLs are those of google.rpc; only the bytes are ours as well.
        kind = detail.type_url.rpartition("/")[2].rpartition(".")[2]
        if kind == "ErrorInfo":
            info.ParseFromString(detail.value)
        elif kind == "BadRequest":
            wrong.ParseFromString(detail.value)
        elif kind == "RetryInfo":
            retry.ParseFromString(detail.value)
            has_retry = True
    problem = _REASONS.get(info.reason) or _CLASSES.get(code, ApiError)
    return problem(
        status.message,
        code=code,
        reason=info.reason,
        metadata=info.metadata,
        fields={v.field: v.description for v in wrong.field_violations},
        retry_delay=retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None,
    )


def error_from_rpc(error: aio.AioRpcError, address: str) -> ApiError:
    """The exception for a call to `address` that failed as a whole."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return error_from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    code = error.code().name
    details = error.details() or ""
    text = _NO_ANSWER[code].format(address=address) if code in _NO_ANSWER else details or code
    return _CLASSES.get(code, ApiError)(text, code=code, details=details)


def closed_error(address: str) -> UnavailableError:
    """The exception for a call whose client was closed meanwhile."""
    return UnavailableError(
        f"the client of {address} was closed before the server had answered: what was under way "
        "may have been done or not; close a client after its last call",
        code="CANCELLED",
    )


def is_final(error: ApiError) -> bool:
    """True when the same call would be refused again.

    RESOURCE_EXHAUSTED without a reason is gRPC's own: a message over its size limit. With one
    it is the server's wish that the caller slows down.
    """
    if error.code == "RESOURCE_EXHAUSTED":
        return not error.reason
    return error.code in ("INVALID_ARGUMENT", "OUT_OF_RANGE", "UNIMPLEMENTED")
