"""Small repositories with a history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Workspace:
    """A git repository that a test writes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> None:
        """Runs git with an identity of its own and none of this machine's settings."""
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null"},
            check=True,
            capture_output=True,
        )

    def write(self, path: str, content: str | bytes) -> None:
        """Writes a file and has git track it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--", path)

    def commit(self) -> None:
        """Commits what was written."""
        self.git("commit", "--quiet", "--allow-empty-message", "--message=")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty repository."""
    return Workspace(tmp_path / "repository")
