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

from quarterdeck_server.rpc.errors import Violation, invalid

_CHECKSUM_BYTES = 6
_MAX_LENGTH = 4096
_MAX_TIME = 1 << 62
"""Far from what a store can compare."""
_MAX_NUMBER = 1 << 63
"""What a store can compare: ids of tasks have 63 bits."""

Key = tuple[type[int] | type[str], ...]
"""What a position in a list is made of."""


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


def read_page_token(token: str, scope: str, key: Key) -> list[Any] | None:
    """Decode a page token; None for an empty one.

    Raises:
        ApiError: INVALID_PAGE_TOKEN when it is damaged, forged or of another list.
    """
    if not token:
        return None
    match _decode("page", token):
        case [str(own), [*position]] if own == scope and _is_key(position, key):
            return position
    rule = "damaged, or of another list, filter or order; start at the first page"
    raise invalid([Violation("page_token", rule, "INVALID_PAGE_TOKEN")])


def _is_key(position: list[Any], key: Key) -> bool:
    """Whether a store can compare it: whoever knows the checksum can write anything."""
    return [type(part) for part in position] == [*key] and all(map(_comparable, position))


def _comparable(part: int | str) -> bool:
    if isinstance(part, int):
        return -_MAX_NUMBER < part < _MAX_NUMBER
    # Half of a surrogate pair is no UTF-8.
    return "\0" not in part and not any("\ud800" <= c <= "\udfff" for c in part)


def watch_token(store_id: str, revision: int, time: int | None = None) -> str:
    """Encode a position in a store's change log."""
    return _encode("watch", [store_id, revision] if time is None else [store_id, revision, time])


def read_watch_token(token: str) -> WatchPosition | None:
    """Decode a resume token; None when it is damaged."""
    match _decode("watch", token):
        case [str(store_id), revision] if _is_natural(revision):
            return WatchPosition(store_id, revision)
        case [str(store_id), revision, time] if _is_natural(revision) and _is_natural(time):
            return WatchPosition(store_id, revision, time) if time < _MAX_TIME else None
    return None


def _is_natural(number: Any) -> bool:
    # A truth value is an int too.
    return type(number) is int and 0 <= number < _MAX_NUMBER


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
