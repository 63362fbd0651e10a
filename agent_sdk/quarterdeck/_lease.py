"""One attempt in this agent's hands, from its claim to the answer to its report."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from quarterdeck._agent import TaskHandler
from quarterdeck._flags import CancelFlag, PauseSwitch, promise
from quarterdeck._run import Metadata, Run
from quarterdeck._times import from_duration, from_timestamp
from quarterdeck.v1.agent_service_pb2 import AttemptReport, ClaimedTask
from quarterdeck.v1.task_pb2 import LogLine, Progress

if TYPE_CHECKING:
    from quarterdeck._batches import Batch

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


class Listeners(NamedTuple):
    """Who is told what a handler says; called from its thread."""

    lines: Callable[[Lease], None]
    progress: Callable[[Lease], None]
    save: Callable[[Lease], None]
    standing: Callable[[Lease], None]


class Lease:
    """What the SDK knows of one attempt; also the sink of its logs, progress and details.

    The control thread owns it. Handlers' threads only append to `lines` and `saves`, replace
    `progress` and set `report`, each of which is one atomic step.
    """

    __slots__ = (
        "ack_heard",
        "acknowledged",
        "batch",
        "cancelled",
        "cause",
        "claimed",
        "cleaning",
        "dirty",
        "expires",
        "finished",
        "handler",
        "hold_child",
        "interrupted",
        "key",
        "last_progress",
        "lines",
        "lines_lost",
        "listeners",
        "new_progress",
        "offset",
        "pause",
        "ran_out",
        "report",
        "run",
        "saves",
        "saving",
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
        listeners: Listeners,
    ) -> None:
        self.claimed = claimed
        self.key: Key = (claimed.task_id, claimed.attempt)
        self.handler = handler
        self.expires = expires
        """Until when the lease is surely held, by the control loop's clock."""
        self.listeners = listeners
        self.cancelled = CancelFlag()
        self.pause = PauseSwitch()
        self.batch: Batch | None = None
        self.run: Run | None = None
        self.cause: Cause | None = None
        self.ran_out = False
        """Its time was over without contact; whether the server gave it to another is not known."""
        self.interrupted = 0.0
        """When the handler was interrupted, by the monotonic clock."""
        self.cleaning = False
        """The handler has ended and its clean-up runs."""
        self.acknowledged = False
        """The handler was told of the cancel."""
        self.ack_heard = False
        """The server knows that."""
        self.started = False
        self.finished = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stop_child: Callable[[], None] | None = None
        self.hold_child: Callable[[bool], None] | None = None
        self.saves: list[tuple[bytes, Future[None]]] = []
        """Details for the server, the newest last, and who waits for them."""
        self.saving = False
        """Some of them are on their way."""
        self.new_progress: Progress | None = None
        """What no heartbeat has told yet."""
        self.last_progress: Progress | None = None
        self.lines: deque[LogLine] = deque()
        self.lines_lost = 0
        self.dirty = False
        self.offset = 0
        """Lines that the server has."""
        self.report: AttemptReport | None = None

    def make_run(self, agent_id: str) -> Run:
        """The handler's view of this attempt."""
        claimed = self.claimed
        self.run = Run(
            self,
            id=claimed.task_id,
            attempt=claimed.attempt,
            deadline=from_timestamp(claimed.deadline) if claimed.HasField("deadline") else None,
            cancelled=self.cancelled,
            pause=self.pause,
            saved=claimed.details.data if claimed.HasField("details") else None,
            metadata=Metadata(
                claimed.name,
                claimed.queue,
                dict(claimed.labels),
                claimed.max_attempts,
                claimed.parent_id,
                agent_id,
            ),
        )
        return self.run

    def move_deadline(self, seconds: float) -> None:
        """Tell the handler that its time limit is later than it was."""
        if self.run is not None and self.run.deadline is not None:
            self.run.deadline += dt.timedelta(seconds=seconds)

    def seconds_to_deadline(self, lease_seconds: float) -> float | None:
        """How long the attempt may take from its claim, whatever the two clocks say."""
        claimed = self.claimed
        if not claimed.HasField("deadline"):
            return None
        left = from_timestamp(claimed.deadline) - from_timestamp(claimed.lease_expire_time)
        return max(0.0, left.total_seconds() + lease_seconds)

    def grace(self) -> float:
        """Seconds from a cancel to the report.

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
        self.listeners.lines(self)

    def progress(self, message: str, done: float, total: float) -> None:
        """Take the newest progress."""
        self.new_progress = self.last_progress = Progress(
            message=_clean(str(message)[:_PROGRESS_CHARACTERS]), done=done, total=total
        )
        self.listeners.progress(self)

    def save(self, data: bytes) -> Future[None]:
        """Take details for the next attempt."""
        saved = promise()
        self.saves.append((data, saved))
        self.listeners.save(self)
        return saved

    def standing(self) -> None:
        """Say that the handler begins to stand still."""
        self.listeners.standing(self)

    def end(self) -> None:
        """The handler has ended, and what is left to say is its report.

        Its view of the attempt goes: the two hold each other, and thousands of such pairs would
        be left to the cycle collector.
        """
        self.finished = True
        self.task = None
        self.run = None

    def _append(self, now: float, level: str, text: str, stream: str) -> None:
        line = LogLine(level=level, stream=stream, text=_clean(text[:_LINE_CHARACTERS]))
        line.time.seconds = int(now)
        line.time.nanos = int(now % 1 * 1e6) * 1000
        self.lines.append(line)


def _clean(text: str) -> str:
    """`text` without what UTF-8 cannot carry."""
    return text if text.isascii() else text.encode(errors="replace").decode()
