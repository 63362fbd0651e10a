from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest


class Mailbox:
    """A named pipe: a child process tells a test where it is, and waits until the test has heard.

    In a child: `open(sys.argv[1], "w").write("...")`.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path

    async def read(self) -> str:
        """The next message; waits for it."""
        return await asyncio.to_thread(self.path.read_text)


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mailbox")
