"""Calls that their clients may repeat, and the refusal of a whole call."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from quarterdeck_server.engine.commands import Command, Refusal, RequestKey
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError
from quarterdeck_server.rpc.validate import Violations


class _Repeatable(Protocol):
    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


def request_key(namespace: str, method: str, request: _Repeatable) -> RequestKey | None:
    """The identity of a call; None without a request id.

    Raises:
        ApiError: the request id is none.
    """
    request_id = request.request_id
    if not request_id:
        return None
    out: Violations = []
    validate.text(request_id, "request_id", validate.MAX_REQUEST_ID, out)
    validate.refuse(out)
    body = request.SerializeToString(deterministic=True)
    return RequestKey(namespace, method, request_id, hashlib.sha256(body).digest())


async def execute(core: Core, command: Command) -> Any:
    """Carry out a command; a refusal of the whole of it ends the call.

    Raises:
        ApiError: such as REQUEST_ID_REUSED.
    """
    reply = await core.execute(command)
    if isinstance(reply, Refusal):
        raise ApiError(reply)
    return reply
