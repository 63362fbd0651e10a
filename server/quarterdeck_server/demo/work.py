"""What the demo's tasks are asked and what they answer: the payloads on the wire."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from quarterdeck_server.demo.analysis import FileFacts
from quarterdeck_server.demo.repository import History

QUEUE = "demo"
SURVEY, INSPECT, GATHER, REPORT, REINSPECT = "survey", "inspect", "gather", "report", "reinspect"
RUN_LABEL = "demo"
"""The label that every task of one run of the demo has, with the run's name as its value."""


@dataclass(frozen=True)
class SurveyOrder:
    """Look through a folder.

    Attributes:
        run: Name of this run of the demo.
        folder: Absolute path of the folder.
        report: Absolute path of the report to write.
    """

    run: str
    folder: str
    report: str


@dataclass(frozen=True)
class Surveyed:
    """What a survey submitted.

    Attributes:
        files: Source files to be inspected.
        skipped: Tracked files that are no source code.
        commits: Files whose history is known.
        report: Id of the report's task.
    """

    files: int
    skipped: int
    commits: int
    report: str


@dataclass(frozen=True)
class InspectOrder:
    """Look into one file.

    Attributes:
        folder: Absolute path of the folder.
        path: The file's path in it, as it is shown.
        language: As its name says.
        history: What git knows about it; None when that is still to be asked.
        raw_path: The path's bytes in hexadecimal, of one that is not UTF-8.
    """

    folder: str
    path: str
    language: str
    history: History | None = None
    raw_path: str = ""

    @property
    def file(self) -> str:
        """The path as the operating system knows it."""
        return os.fsdecode(bytes.fromhex(self.raw_path)) if self.raw_path else self.path


@dataclass(frozen=True)
class Inspected:
    """What is known about one file."""

    path: str
    language: str
    size: int
    facts: FileFacts = field(default_factory=FileFacts)
    history: History | None = None


@dataclass(frozen=True)
class ReportOrder:
    """Write the report of a run."""

    run: str
    folder: str
    report: str
    skipped: int


@dataclass(frozen=True)
class Reported:
    """What the report holds."""

    report: str
    files: int
    failed: int


@dataclass(frozen=True)
class ReinspectOrder:
    """Look for files that changed since `base`, a tree of git."""

    run: str
    folder: str
    base: str


@dataclass(frozen=True)
class Reinspected:
    """How many files differ from the base, and how many of those had not been inspected so."""

    changed: int
    submitted: int


def inspect_order(folder: str, path: str, language: str, history: History | None) -> InspectOrder:
    """The order for a file, whatever bytes its path is made of."""
    raw = os.fsencode(path)
    shown = raw.decode(errors="replace")
    return InspectOrder(folder, shown, language, history, "" if shown == path else raw.hex())


def inspect_key(run: str, path: str, data: bytes) -> str:
    """The idempotency key of an inspection: one for each content of each file in a run.

    So neither a survey that is run again nor a schedule inspects the same content twice.
    """
    digest = hashlib.sha256(os.fsencode(path) + b"\0" + data).hexdigest()
    return f"{INSPECT}:{run}:{digest}"
