"""The seam behind which instances are started; `process.py` is the first implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class LaunchError(Exception):
    """An instance could not be started; the text says why, for an operator."""


_WHY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Order:
    """What to start."""

    instance_id: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables to set, besides those that every instance inherits."""
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an instance."""

    how: str
    """Such as `exit 1` or `killed by signal 9`."""
    output: str = ""
    """The last that it wrote. Hostile text."""

    @property
    def why(self) -> str:
        """How it ended, and the last line that it wrote: printable, cut at 200 characters."""
        lines = self.output.strip().splitlines()
        if not lines:
            return self.how
        last = lines[-1].strip()[:_WHY_LENGTH]
        return f"{self.how}: {''.join(char if char.isprintable() else ' ' for char in last)}"


class Handle(Protocol):
    """One started instance."""

    @property
    def pid(self) -> int | None:
        """The process id, of one that is a process."""
        ...

    @property
    def process_start(self) -> int | None:
        """With `pid`, the identity of a process; opaque."""
        ...

    def stop(self) -> None:
        """Ask it to end. Harmless when it has ended."""
        ...

    def kill(self) -> None:
        """End it by force, with all that it started. Harmless when it has ended."""
        ...

    async def wait(self) -> Ended:
        """Wait until it has ended and nothing of it is left."""
        ...


class Launcher(Protocol):
    """Starts instances of one kind."""

    async def start(self, order: Order) -> Handle:
        """Start an instance.

        Raises:
            LaunchError: it could not be started; nothing is left of it.
        """
        ...

    async def adopt(
        self, instance_id: str, pid: int | None, process_start: int | None
    ) -> Handle | None:
        """Take over an instance that an earlier server started.

        `pid` and `process_start` are as the instance's handle told them, None when that server
        ended before it could write them down.

        Returns:
            None when the instance has ended.
        """
        ...
