"""What commands of every subject carry, and how an item of one is answered."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """An expected no. `reason` is a name of `quarterdeck.v1.ErrorReason` without its prefix."""

    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...] = ()


class RequestKey(NamedTuple):
    """Identity of a call that its client may repeat."""

    namespace: str
    method: str
    request_id: str
    body_hash: bytes


class Audit(NamedTuple):
    """Who does something by hand, and why: what the audit log is told."""

    actor: str
    action: str
    reason: str = ""
    target: str = ""
    filter: str = ""
    matched: int = 1
    entry_id: int | None = None
    """The entry that this command goes on with, of an act on all that matches a filter; None begins one."""


class ItemResult(NamedTuple):
    """The state of a task after a command's item, or why the item was refused."""

    state: int
    refusal: Refusal | None = None
