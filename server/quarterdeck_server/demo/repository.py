"""What git knows: which files it tracks, what changed, and how often."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HISTORY_SECONDS = 10.0
"""How long the history is read; of a longer one the newest part counts."""

_COMMIT = "\x01"
_TIMEOUT = 120.0


class RepositoryError(Exception):
    """git refused, or is not there."""


@dataclass(frozen=True)
class History:
    """What became of one file.

    Attributes:
        commits: How many changed it.
        added: Lines that they added.
        deleted: Lines that they removed.
        first: When the oldest of them was made, in seconds since the epoch.
        last: When the newest was made.
    """

    commits: int
    added: int
    deleted: int
    first: int
    last: int


class Repository:
    """The files that git tracks under a folder. Paths are relative to that folder, with `/`.

    Args:
        folder: A folder of a work tree.

    Raises:
        RepositoryError: it is none, or git is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not self.folder.is_dir():
            raise RepositoryError(f"{folder} is not a folder")
        if self._run("rev-parse", "--is-inside-work-tree").strip() != b"true":
            raise RepositoryError(f"{folder} is not in the work tree of a git repository")

    def files(self) -> list[str]:
        """Tracked files that exist, links and submodules left out, in git's order."""
        paths = _paths(self._run("ls-files", "-z", "--", "."))
        return [path for path in dict.fromkeys(paths) if self._is_file(path)]

    def base(self) -> str:
        """The tree that later changes are compared with: HEAD's, or the empty one before it."""
        try:
            return self._run("rev-parse", "--verify", "HEAD^{tree}").decode().strip()
        except RepositoryError:
            return self._run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def changed(self, base: str) -> list[str]:
        """Tracked files whose content is another than in `base`, committed or not."""
        output = self._run("diff", "--name-only", "--no-renames", "--relative", "-z", base, "--")
        return [path for path in _paths(output) if self._is_file(path)]

    def read(self, path: str) -> bytes:
        """The content of a file."""
        return (self.folder / path).read_bytes()

    def history(
        self, paths: Iterable[str] = (), *, told: Callable[[int], None] = lambda commits: None
    ) -> dict[str, History]:
        """What became of files, without following renames.

        Args:
            paths: Only these; none means all.
            told: Called with the number of commits read so far, now and then.
        """
        with subprocess.Popen(
            [
                *self._git(),
                *("log", "--no-merges", "--no-renames", "--numstat", "--relative"),
                *("-z", f"--format={_COMMIT}%ct", "--", *(paths or ["."])),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as log:
            assert log.stdout is not None
            try:
                return _read_history(_records(log.stdout.fileno()), told)
            finally:
                log.kill()

    def _is_file(self, path: str) -> bool:
        file = self.folder / path
        return file.is_file() and not file.is_symlink()

    def _git(self) -> list[str]:
        # Paths come out as they are, and nothing that the repository configures is run.
        return [
            *("git", "-C", str(self.folder), "-c", "core.quotePath=false"),
            *("-c", "core.fsmonitor=false", "-c", "diff.external="),
        ]

    def _run(self, *arguments: str) -> bytes:
        try:
            done = subprocess.run(
                [*self._git(), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                env=_environment(),
                check=False,
            )
        except FileNotFoundError as error:
            raise RepositoryError("git is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise RepositoryError(f"git {arguments[0]} took over {_TIMEOUT:g} s") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()
            raise RepositoryError(f"git {arguments[0]}: {words or f'exit {done.returncode}'}")
        return done.stdout


def _environment() -> dict[str, str]:
    # GIT_DIR and its kin, as hooks set them, would lead to another repository than the folder's.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _paths(output: bytes) -> list[str]:
    return [os.fsdecode(path) for path in output.split(b"\0") if path]


def _records(descriptor: int) -> Iterator[str]:
    """Pieces of git's output between NULs, for as long as history may be read."""
    end = time.monotonic() + HISTORY_SECONDS
    rest = b""
    while time.monotonic() < end and (chunk := os.read(descriptor, 1 << 16)):
        *records, rest = (rest + chunk).split(b"\0")
        yield from map(os.fsdecode, records)


def _read_history(records: Iterator[str], told: Callable[[int], None]) -> dict[str, History]:
    found: dict[str, History] = {}
    commits = time_of_commit = 0
    for record in records:
        line = record.lstrip("\n")
        if line.startswith(_COMMIT):
            time_of_commit = int(line[1:])
            commits += 1
            if commits % 500 == 0:
                told(commits)
        elif line.count("\t") >= 2:
            added, deleted, path = line.split("\t", 2)
            found[path] = _later(found.get(path), added, deleted, time_of_commit)
    return found


def _later(known: History | None, added: str, deleted: str, when: int) -> History:
    # git writes `-` for the lines of a binary file.
    plus, minus = (int(count) if count.isdigit() else 0 for count in (added, deleted))
    if known is None:
        return History(1, plus, minus, when, when)
    return History(
        known.commits + 1,
        known.added + plus,
        known.deleted + minus,
        min(known.first, when),
        max(known.last, when),
    )
