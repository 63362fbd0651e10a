"""The opaque tokens of lists and watches.

Each is base64url of a checksum and JSON. The checksum finds damage; it is no secret, because a
token grants nothing that its caller could not ask for anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, NamedTuple

from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.rpc.errors import ApiError

_CHECKSUM_BYTES = 6
_MAX_LENGTH = 4096
_MAX_TIME = 1 << 62
"""Far from what a store can compare."""


class WatchPosition(NamedTuple):
    """What a resume token says."""

    store_id: str
    revision: int
    time: int | None = None
    """When the filter of a list or count was looked at, in microseconds: what `age>5m` is counted from."""


def page_token(scope: str, key: list[Any] | None) -> str:
    """Encode where the next page starts; empty when there is none.

    Args:
        scope: Everything that the next call must repeat: see `page_scope`.
        key: The store's keyset position.
    """
    return "" if key is None else _encode("page", [scope, key])


def page_scope(listing: str, namespace: str, fingerprint: str, order: str = "") -> str:
    """Stand for one list: the same calls give the same text."""
    text = "\n".join((listing, namespace, fingerprint, order))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_page_token(token: str, scope: str) -> list[Any] | None:
    """Decode a page token; None for an empty one.

    Raises:
        ApiError: INVALID_PAGE_TOKEN when it is damaged or of another list.
    """
    if not token:
        return None
    value = _decode("page", token)
    if (
        isinstance(value, list)
        and len(value) == 2
        and value[0] == scope
        and isinstance(value[1], list)
    ):
        return value[1]
    message = (
        "the page token is damaged, or of another list, filter or order; start at the first page"
    )
    raise ApiError(Refusal("INVALID_PAGE_TOKEN", f"page_token: {message}"))


def watch_token(store_id: str, revision: int, time: int | None = None) -> str:
    """Encode a position in a store's change log."""
    return _encode("watch", [store_id, revision] if time is None else [store_id, revision, time])


def read_watch_token(token: str) -> WatchPosition | None:
    """Decode a resume token; None when it is damaged."""
    match _decode("watch", token):
        case [str(store_id), int(revision)] if revision >= 0:
            return WatchPosition(store_id, revision)
        case [str(store_id), int(revision), int(time)] if revision >= 0 <= time < _MAX_TIME:
            return WatchPosition(store_id, revision, time)
    return None


def _encode(kind: str, value: Any) -> str:
    body = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_checksum(kind, body) + body).rstrip(b"=").decode()


def _decode(kind: str, token: str) -> Any:
    """Return the value, or None for what `_encode` did not make."""
    # b64decode takes + and / too, whatever stands for them.
    if len(token) > _MAX_LENGTH or not token.isascii() or "+" in token or "/" in token:
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    checksum, body = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _checksum(kind, body):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _checksum(kind: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES, person=kind.encode()).digest()
