"""One task in full: its attempts, payloads, proof of cancel and log."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from dataclasses import dataclass

from quarterdeck.v1 import payload_pb2, task_pb2, task_service_pb2
from quarterdeck_console.model.format import duration, size
from quarterdeck_console.model.parts import FailureRow, seconds
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.text import MAX_LINE, MAX_TEXT, sanitize

LOG_LINES = 20_000
"""Log lines held of one task; the oldest go first."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One execution."""

    number: int
    agent_id: str
    started: float
    ended: float
    outcome: int
    failure: FailureRow | None
    late_reports: int
    late_heartbeats: int

    @classmethod
    def of(cls, attempt: task_pb2.Attempt) -> AttemptRow:
        """From the wire."""
        return cls(
            attempt.attempt,
            sanitize(attempt.agent_id),
            seconds(attempt.start_time),
            seconds(attempt.end_time),
            int(attempt.outcome),
            FailureRow.of(attempt.failure) if attempt.HasField("failure") else None,
            attempt.late_reports,
            attempt.late_heartbeats,
        )


@dataclass(frozen=True, slots=True)
class PayloadText:
    """A payload for reading: JSON laid out, other text as it is, bytes only named."""

    content_type: str
    bytes: int
    text: str

    @classmethod
    def of(cls, payload: payload_pb2.Payload) -> PayloadText:
        """From the wire."""
        kind = sanitize(payload.content_type) or "application/json"
        return cls(kind, len(payload.data), _payload_text(kind, payload.data))


def _payload_text(kind: str, data: bytes) -> str:
    if not data:
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"({size(len(data))} that are not text)"
    if "json" in kind and len(data) <= MAX_TEXT:
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return sanitize(text, MAX_TEXT, lines=True)


def _wants(answer: task_service_pb2.GetTaskResponse) -> tuple[tuple[str, str], ...]:
    """Titles and texts of what a task takes and waits for, and of the keys that let it in."""
    found = [("units", str(answer.units))] if answer.units > 1 else []
    chosen = answer.affinity
    names = [f"{key}={value}" for key, value in sorted(chosen.preferred.items())]
    names += [f"agent of {chosen.same_agent_as}"] if chosen.same_agent_as else []
    if names:
        patience = duration(seconds(chosen.patience))
        found.append(("prefers", sanitize(f"{'  '.join(names)}   for {patience}", 1_024)))
    for key in answer.keys:
        free = "" if key.held else "   free again"
        found.append((_KEY_KINDS.get(key.kind, "key"), sanitize(key.key, 256) + free))
    return tuple(found)


_KEY_KINDS: dict[int, str] = {
    task_service_pb2.TASK_KEY_KIND_UNIQUE: "unique",
    task_service_pb2.TASK_KEY_KIND_DEBOUNCE: "debounce",
    task_service_pb2.TASK_KEY_KIND_THROTTLE: "throttle",
}


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """What GetTask says.

    Attributes:
        task: The task.
        input: Its input.
        result: Its result, once it succeeded.
        attempts: The oldest first.
        depends_on: Tasks that it waits or waited for.
        saved: What its attempts saved for the next one.
        wants: Titles and texts of its units, of the agents that it prefers and of its keys.
    """

    task: TaskRow
    input: PayloadText
    result: PayloadText | None
    attempts: tuple[AttemptRow, ...]
    depends_on: tuple[str, ...]
    saved: PayloadText | None
    wants: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, answer: task_service_pb2.GetTaskResponse) -> TaskDetail:
        """From the wire."""
        return cls(
            TaskRow.of(answer.task),
            PayloadText.of(answer.input),
            PayloadText.of(answer.result) if answer.HasField("result") else None,
            tuple(AttemptRow.of(attempt) for attempt in answer.attempts),
            tuple(sanitize(task_id) for task_id in answer.depends_on),
            PayloadText.of(answer.details) if answer.HasField("details") else None,
            _wants(answer),
        )

    def failure(self) -> FailureRow | None:
        """The newest failure in full: that of the attempts has the stack trace."""
        for attempt in reversed(self.attempts):
            if attempt.failure is not None:
                return attempt.failure
        return self.task.failure


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of a log."""

    sequence: int
    time: float
    level: str
    stream: str
    attempt: int
    text: str

    @classmethod
    def of(cls, entry: task_pb2.LogLine) -> LogRow:
        """From the wire."""
        return cls(
            entry.sequence,
            seconds(entry.time),
            sanitize(entry.level, 16).lower() or "info",
            sanitize(entry.stream, 16) or "log",
            entry.attempt,
            sanitize(entry.text, MAX_LINE),
        )


class LogBuffer:
    """The newest lines of one log.

    Attributes:
        dropped: Lines that were let go because there were too many.
        ended: True when the task has ended and every line is here.
    """

    def __init__(self, limit: int = LOG_LINES) -> None:
        self.lines: deque[LogRow] = deque(maxlen=limit)
        self.next_sequence = 0
        self.dropped = 0
        self.ended = False
        self.version = 0

    def extend(self, answer: task_service_pb2.ReadLogsResponse) -> None:
        """Takes the answer of a ReadLogs."""
        overflow = len(self.lines) + len(answer.lines) - (self.lines.maxlen or 0)
        self.dropped += max(0, overflow)
        self.lines.extend(LogRow.of(entry) for entry in answer.lines)
        self.next_sequence = max(self.next_sequence, answer.next_sequence)
        self.ended = answer.end
        self.version += 1
