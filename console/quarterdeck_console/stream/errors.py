"""What a refusal says: the server's own reason and words, made safe to show."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError

from quarterdeck.v1 import status_pb2
from quarterdeck_console.model.text import sanitize

_DETAILS = "grpc-status-details-bin"
_INFO = "google.rpc.ErrorInfo"

# What a server never says: the client's library describes these with its own sockets and threads.
_AWAY = {
    "UNAVAILABLE": "no contact with the server",
    "DEADLINE_EXCEEDED": "the server did not answer in time",
    "CANCELLED": "the call was broken off",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call, or one item of a batch, was refused.

    Attributes:
        reason: A value of ErrorReason without its prefix, or the name of the status code.
        message: The server's sentence, sanitised.
        metadata: The facts of the error, sanitised.
        code: Name of the gRPC status code; empty for one item of a batch.
    """

    reason: str
    message: str
    metadata: dict[str, str]
    code: str = ""

    @property
    def words(self) -> str:
        """For people: the sentence with its reason; of a server that is away only that it is."""
        if self.away:
            return _AWAY[self.code]
        return f"{self.message} ({self.reason})" if self.message else self.reason

    @property
    def away(self) -> bool:
        """True when it is not the server that refused."""
        return self.reason == self.code and self.code in _AWAY

    @property
    def transient(self) -> bool:
        """True when the server is away or busy: the same call may succeed later."""
        return self.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"}


def refusal_of(status: status_pb2.Status) -> Refusal:
    """Reads one item's error of a batched answer."""
    reason, metadata = _info(status)
    return Refusal(reason or f"CODE_{status.code}", sanitize(status.message, 1_024), metadata)


def _info(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    for detail in status.details:
        if detail.type_url.endswith(_INFO):
            info = status_pb2.ErrorInfo()
            try:
                info.ParseFromString(detail.value)
            except DecodeError:
                continue
            facts = {sanitize(key): sanitize(value) for key, value in info.metadata.items()}
            return sanitize(info.reason), facts
    return "", {}


def refusal(error: grpc.RpcError) -> Refusal:
    """Reads the error of a call."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return Refusal("UNKNOWN", sanitize(str(error), 1_024), {}, "UNKNOWN")
    code = error.code().name
    message = sanitize(error.details() or "", 1_024)
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                break
            reason, metadata = _info(status)
            return Refusal(reason or code, message, metadata, code)
    return Refusal(code, message, {}, code)
