"""Task ids: the number the store keeps, the text the wire carries, and where new ones come from.

A task id is a 63-bit integer that grows with time, so the store can use it as its primary
key and a list ordered by id is ordered by creation. On the wire it is ``task_`` and 13
characters of Crockford's base 32 in lower case (https://www.crockford.com/base32.html),
which sort as the numbers do.
"""

from __future__ import annotations

from typing import Final

TASK_ID_PREFIX: Final = "task_"
AUDIT_ID_PREFIX: Final = "audit_"
MAX_TASK_ID: Final = (1 << 63) - 1
NODE_BITS: Final = 10

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_HEADS: Final = tuple(TASK_ID_PREFIX + _ALPHABET[top] for top in range(8))
_LENGTH: Final = len(TASK_ID_PREFIX) + 13
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_TO_BASE_32: Final = bytes(
    ord(_DIGITS[place]) if (place := _ALPHABET.find(chr(byte).lower())) >= 0 else ord("!")
    for byte in range(256)
)
"""From a byte of a task id to the digit that `int` knows for it; to ! for any other byte."""

_EPOCH_MS: Final = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_SEQUENCE_BITS: Final = 12
_MAX_SEQUENCE: Final = (1 << _SEQUENCE_BITS) - 1
_TIME_SHIFT: Final = NODE_BITS + _SEQUENCE_BITS
_MAX_MS: Final = (1 << 41) - 1


def encode_task_id(task_id: int) -> str:
    """The wire text of a task id.

    Args:
        task_id: 0 to ``MAX_TASK_ID``; other numbers have no text and raise IndexError or
            give a wrong one, because this runs for every row of every list.
    """
    pairs = _PAIRS
    return (
        f"{_HEADS[task_id >> 60]}{pairs[task_id >> 50 & 1023]}{pairs[task_id >> 40 & 1023]}"
        f"{pairs[task_id >> 30 & 1023]}{pairs[task_id >> 20 & 1023]}"
        f"{pairs[task_id >> 10 & 1023]}{pairs[task_id & 1023]}"
    )


def encode_audit_id(entry_id: int) -> str:
    """The wire text of the id of an entry in the audit log: a number of the same kind."""
    return AUDIT_ID_PREFIX + encode_task_id(entry_id).removeprefix(TASK_ID_PREFIX)


def decode_task_id(text: str) -> int:
    """The number of a task id's wire text; capitals are accepted.

    Raises:
        ValueError: the text is not a task id; the message says what one looks like.
    """
    if len(text) == _LENGTH and text.isascii() and text[:5].lower() == TASK_ID_PREFIX:
        try:
            task_id = int(text[5:].encode().translate(_TO_BASE_32), 32)
        except ValueError:
            task_id = -1
        if 0 <= task_id <= MAX_TASK_ID:
            return task_id
    raise ValueError(
        f"expected task_ and 13 characters of 0-9 a-z without i, l, o, u, got {text[:40]!r}"
    )


class IdSource:
    """Makes task ids: 41 bits of milliseconds since 2025, 10 bits of node, 12 bits of sequence.

    Ids of one source always grow: when the clock stands still, goes back or more than 4,096
    ids are asked for in a millisecond, the source goes on from its last id and borrows the
    milliseconds that follow. Two sources differ by their node. Not for several threads.
    """

    __slots__ = ("_ms", "_node", "_sequence")

    def __init__(self, node: int) -> None:
        """Start a source.

        Args:
            node: 0 to 1,023, random per process; what keeps two processes apart.
        """
        if not 0 <= node < 1 << NODE_BITS:
            raise ValueError(f"node: expected 0 to {(1 << NODE_BITS) - 1}, got {node}")
        self._node = node << _SEQUENCE_BITS
        self._ms = 0
        self._sequence = -1

    def next(self, now_us: int) -> int:
        """A new id, greater than every earlier one of this source.

        Args:
            now_us: the wall clock in microseconds since 1970, UTC.

        Raises:
            OverflowError: the clock is past the year 2094, where 41 bits end.
        """
        ms = now_us // 1000 - _EPOCH_MS
        if ms > self._ms:
            self._enter(ms)
        elif self._sequence < _MAX_SEQUENCE:
            self._sequence += 1
        else:
            self._enter(self._ms + 1)
        return self._ms << _TIME_SHIFT | self._node | self._sequence

    def _enter(self, ms: int) -> None:
        if ms > _MAX_MS:
            raise OverflowError("the clock is past 2094: task ids have no bits left for it")
        self._ms = ms
        self._sequence = 0
