"""One attempt in this agent's hands, from its claim to the answer to its report."""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable

from quarterdeck._agent import TaskHandler
from quarterdeck._run import Cancelled, Metadata, Run
from quarterdeck._times import from_duration, from_timestamp
from quarterdeck.v1.agent_service_pb2 import AttemptReport, ClaimedTask
from quarterdeck.v1.task_pb2 import LogLine, Progress

_KEPT_LINES = 20_000
_LINE_CHARACTERS = 8_192
_PROGRESS_CHARACTERS = 256

Key = tuple[str, int]
"""Task id and attempt, which name a lease in what the server says."""


class Cause(enum.Enum):
    """Why a handler is interrupted."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    LOST = "lost"


class Lease:
    """What the SDK knows of one attempt; also the sink of its logs and progress.

    The control thread owns it. Handlers' threads only append to `lines`, replace `progress`
    and set `report`, each of which is one atomic step.
    """

    __slots__ = (
        "ack_heard",
        "acknowledged",
        "cancelled",
        "cause",
        "claimed",
        "dirty",
        "expires",
        "finished",
        "handler",
        "key",
        "lines",
        "lines_lost",
        "new_progress",
        "notify_lines",
        "notify_progress",
        "offset",
        "report",
        "started",
        "stop_child",
        "task",
        "timer",
    )

    def __init__(
        self,
        claimed: ClaimedTask,
        handler: TaskHandler,
        expires: float,
        notify_lines: Callable[[Lease], None],
        notify_progress: Callable[[Lease], None],
    ) -> None:
        self.claimed = claimed
        self.key: Key = (claimed.task_id, claimed.attempt)
        self.handler = handler
        self.expires = expires
        """Until when the lease is surely held, by the control loop's clock."""
        self.notify_lines = notify_lines
        self.notify_progress = notify_progress
        self.cancelled = Cancelled()
        self.cause: Cause | None = None
        self.acknowledged = False
        """The handler was told of the cancel."""
        self.ack_heard = False
        """The server knows that."""
        self.started = False
        self.finished = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stop_child: Callable[[], None] | None = None
        self.new_progress: Progress | None = None
        self.lines: deque[LogLine] = deque()
        self.lines_lost = 0
        self.dirty = False
        self.offset = 0
        """Lines that the server has."""
        self.report: AttemptReport | None = None

    def make_run(self, agent_id: str) -> Run:
        """The handler's view of this attempt."""
        claimed = self.claimed
        return Run(
            self,
            id=claimed.task_id,
            attempt=claimed.attempt,
            deadline=from_timestamp(claimed.deadline) if claimed.HasField("deadline") else None,
            cancelled=self.cancelled,
            metadata=Metadata(
                claimed.name,
                claimed.queue,
                dict(claimed.labels),
                claimed.max_attempts,
                claimed.parent_id,
                agent_id,
            ),
        )

    def seconds_to_deadline(self, lease_seconds: float) -> float | None:
        """How long the attempt may take from its claim, whatever the two clocks say."""
        claimed = self.claimed
        if not claimed.HasField("deadline"):
            return None
        left = from_timestamp(claimed.deadline) - from_timestamp(claimed.lease_expire_time)
        return max(0.0, left.total_seconds() + lease_seconds)

    def grace(self) -> float:
        """Seconds that a child process has between SIGTERM and SIGKILL.

        Less than the server's grace, so that the end is reported before the lease is revoked.
        """
        given = from_duration(self.claimed.cancel_grace)
        return max(0.1, given - min(1.0, given * 0.2))

    def log(self, level: str, text: str, stream: str = "log") -> None:
        """Take lines for the server; past 20,000 unsent ones the newest are counted only."""
        if self.finished:
            return
        now = time.time()
        for part in text.splitlines() or [""]:
            if len(self.lines) >= _KEPT_LINES:
                self.lines_lost += 1
                continue
            if self.lines_lost:
                lost, self.lines_lost = self.lines_lost, 0
                self._append(now, "warning", f"{lost} lines were lost here", "log")
            self._append(now, level, part, stream)
        self.notify_lines(self)

    def progress(self, message: str, done: float, total: float) -> None:
        """Take the newest progress."""
        self.new_progress = Progress(
            message=_clean(str(message)[:_PROGRESS_CHARACTERS]), done=done, total=total
        )
        self.notify_progress(self)

    def _append(self, now: float, level: str, text: str, stream: str) -> None:
        line = LogLine(level=level, stream=stream, text=_clean(text[:_LINE_CHARACTERS]))
        line.time.seconds = int(now)
        line.time.nanos = int(now % 1 * 1e6) * 1000
        self.lines.append(line)


def _clean(text: str) -> str:
    """`text` without what UTF-8 cannot carry."""
    return text if text.isascii() else text.encode(errors="replace").decode()
