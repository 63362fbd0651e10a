"""What agents ask and say: claims, reports, logs and heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quarterdeck_server.engine.model import Failure, Payload, Progress, Task


class Batch(NamedTuple):
    """Tasks to be given together, of one queue, one name and one group key."""

    size: int
    """How many at most."""
    linger: int
    """How long the oldest may wait for the others once it is ready, in microseconds."""


class Profile(NamedTuple):
    """What a claim may be given: all claims of one profile are alike but for their place and size."""

    namespace: str
    queues: tuple[str, ...]
    names: frozenset[str] | None
    """None means any name."""
    batch: Batch | None = None
    """Set when a claim wants tasks to be worked on together; its `max_tasks` is not looked at then."""


@dataclass(slots=True, eq=False)
class Claim:
    """A waiting request for work, up to `max_tasks`. Being given nothing is not an answer but a wait."""

    profile: Profile
    agent_id: str
    max_tasks: int
    place: int = 0
    """Rises with every claim: its place in the waiting line."""
    agent_version: str = ""
    """`name@version` of the agent's code."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """The agent's."""
    taken: list[Task] = field(default_factory=list)
    details: dict[int, Payload] = field(default_factory=dict)
    """What earlier attempts of the taken tasks have saved."""


class Claimed(NamedTuple):
    """A leased task with its input."""

    task_id: int
    token: int
    input: Payload | None
    details: Payload | None = None
    """What an earlier attempt saved."""


class Succeed(NamedTuple):
    """The attempt succeeded."""

    result: Payload | None


class Fail(NamedTuple):
    """The attempt failed. `retry_delay` (microseconds) replaces the policy's backoff."""

    failure: Failure
    retry_delay: int | None = None
    back_off: int | None = None
    """For how long (microseconds) nothing is handed out from the task's queue."""
    key_only: bool = False
    """Nothing of the task's group key, rather."""


class StopCancelled(NamedTuple):
    """The attempt stopped because of a cancel, or its handler gave the task up."""

    message: str


class Release(NamedTuple):
    """The attempt is given back and consumes nothing."""

    message: str


class ReportItem(NamedTuple):
    """How one attempt ended, with the proof that it is the caller's."""

    task_id: int
    token: int
    outcome: Succeed | Fail | StopCancelled | Release
    progress: Progress | None = None
    """The last, which heartbeats may not have told in time."""


class Report(NamedTuple):
    """End attempts. Answered with a list of ItemResult."""

    namespace: str
    agent_id: str
    items: Sequence[ReportItem]


class Line(NamedTuple):
    """One log line."""

    time: int | None
    level: str
    stream: str
    text: str


class LogItem(NamedTuple):
    """Lines of one attempt; `offset` is the position of the first, counted by the agent."""

    task_id: int
    token: int
    offset: int
    lines: Sequence[Line]


class AppendLogs(NamedTuple):
    """Append to logs. Answered with a list of `Refusal | None`."""

    namespace: str
    items: Sequence[LogItem]


class Beat(NamedTuple):
    """What a heartbeat says of one lease beyond that it is alive."""

    task_id: int
    token: int
    progress: Progress | None = None
    delivered: bool = False
    acknowledged: bool = False
    pause_delivered: bool = False
    pause_acknowledged: bool = False
    details: Payload | None = None
    """What the next attempt is to be given."""
    late: bool = False
    """It came under a lease that had ended, and was refused."""


class RecordBeats(NamedTuple):
    """Record progress, details, deliveries and acknowledgements. Answered with None.

    Of stale ones those that are `late` are counted on their attempt, if the server took its lease away; nothing else.
    """

    beats: Sequence[Beat]
