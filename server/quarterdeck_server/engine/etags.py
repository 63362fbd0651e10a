"""Versions of what operators set: opaque texts by which an update says what it was made from.

They are made from the settings themselves and not from a revision, which for a queue rises with every task: whoever
wants to change what somebody else changed to and back has missed nothing.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.model import Queue
from quarterdeck_server.engine.namespaces import NamespaceSettings


def queue_etag(queue: Queue) -> str:
    """Return the version of what operators set of a queue."""
    return _digest((queue.paused, queue.pause_note, queue.drops, queue.limits))


def namespace_etag(settings: NamespaceSettings) -> str:
    """Return the version of a namespace's own settings."""
    return _digest(settings)


@lru_cache(maxsize=4096)
def _digest(values: tuple[object, ...]) -> str:
    return hashlib.blake2b(repr(values).encode(), digest_size=9).hexdigest()


def conflict(kind: str, name: str) -> Refusal:
    """Refuse an update of a queue or a namespace that was made from another version."""
    return Refusal(
        "ETAG_MISMATCH",
        f"{kind} {name!r} was changed meanwhile; read it again, and send the etag that it has now",
        ((kind, name),),
    )
