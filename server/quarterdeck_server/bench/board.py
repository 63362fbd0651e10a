"""A scoreboard in shared memory: what each agent process has done, readable at any moment without asking it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

PLACES = 8
"""Agent processes that fit."""

_PLACE = struct.Struct("<24sQ")


class Board:
    """The scoreboard of a scenario, in a file that its processes map.

    Args:
        path: The file; made by `create`.
        place: The place that this process writes to.
    """

    def __init__(self, path: Path, place: int = 0) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), PLACES * _PLACE.size)
        self._offset = place * _PLACE.size
        self._done = 0

    @classmethod
    def create(cls, path: Path) -> Board:
        """Make the file, all zero."""
        path.write_bytes(bytes(PLACES * _PLACE.size))
        return cls(path)

    def note(self, task_id: str) -> None:
        """This process has handled one task more."""
        self._done += 1
        _PLACE.pack_into(self._memory, self._offset, task_id.encode(), self._done)

    @property
    def done(self) -> int:
        """Tasks handled by all processes."""
        return sum(count for _, count in _PLACE.iter_unpack(self._memory))

    def last_ids(self) -> list[str]:
        """The task that each process handled last."""
        places = _PLACE.iter_unpack(self._memory)
        return [name.rstrip(b"\0").decode() for name, count in places if count]

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
