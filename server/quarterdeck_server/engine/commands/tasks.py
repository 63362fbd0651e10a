"""What producers and operators ask of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quarterdeck_server.engine.commands.common import Audit, Refusal, RequestKey
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.policy import Policy


class Unique(NamedTuple):
    """At most one task of a name has the key at a time; the numbers are those of the API's enums."""

    key: str
    scope: int
    policy: int
    period: int


class Debounce(NamedTuple):
    """Submits with the key are folded into one waiting task. Spans are microseconds."""

    key: str
    delay: int
    max_wait: int | None


class Throttle(NamedTuple):
    """At most `limit` submits with the key are let through in a period (microseconds)."""

    key: str
    limit: int
    period: int


class Spec(NamedTuple):
    """One task to create. Exactly the columns of the row that a producer decides, plus what stands beside it."""

    queue: str
    name: str
    priority: int
    run_at: int | None
    delay: int
    policy: str | None
    labels: str | None
    attributes: str | None
    lane: str | None
    parent_id: int | None
    idempotency_key: str | None
    content_hash: bytes | None
    """Set together with `idempotency_key`."""
    depends_on: tuple[int, ...]
    """Task ids; a negative -n means item n - 1 of the same command."""
    input: Payload | None
    admission: Unique | Debounce | Throttle | None = None
    key_ttl: int | None = None
    """How long the idempotency key is kept; None means for as long as the task is."""


class Submit(NamedTuple):
    """Create tasks. Answered with a list of Submitted."""

    namespace: str
    specs: Sequence[Spec]
    request: RequestKey | None = None


class Submitted(NamedTuple):
    """What became of one spec."""

    task_id: int
    existed: bool = False
    refusal: Refusal | None = None


class Cancel(NamedTuple):
    """Request cancels. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    reason: str
    actor: str
    keep_children: bool = False
    request: RequestKey | None = None
    audit: Audit | None = None


class Retry(NamedTuple):
    """Put ended tasks back. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    request: RequestKey | None = None
    audit: Audit | None = None


class TaskChange(NamedTuple):
    """What to change of a task. What is None stays."""

    priority: int | None = None
    run_at: int | None = None
    delay: int | None = None
    """From now; not together with `run_at`."""
    queue: str | None = None
    retry: Policy | None = None
    """How failed attempts are retried; nothing else of it is looked at."""
    timeouts: Policy | None = None
    """The time limits; nothing else of it is looked at."""
    labels: tuple[tuple[str, str], ...] = ()
    """Those to set; an empty value removes."""


class UpdateTasks(NamedTuple):
    """Change tasks that have not ended. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    change: TaskChange
    request: RequestKey | None = None
    audit: Audit | None = None


class Rerun(NamedTuple):
    """Run ended tasks again as new ones. Answered with a list of Rerunning."""

    namespace: str
    task_ids: Sequence[int]
    input: Payload | None = None
    """Instead of the old one, of exactly one task."""
    with_dependents: bool = False
    request: RequestKey | None = None
    audit: Audit | None = None


class Rerunning(NamedTuple):
    """What became of one rerun: the new task and the copies of what depended on the old one."""

    task_id: int
    dependents: tuple[int, ...] = ()
    refusal: Refusal | None = None


class PauseTasks(NamedTuple):
    """Ask that running tasks stand still. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    reason: str
    actor: str
    request: RequestKey | None = None
    audit: Audit | None = None


class ResumeTasks(NamedTuple):
    """Let paused tasks go on. Answered with a list of ItemResult."""

    namespace: str
    task_ids: Sequence[int]
    request: RequestKey | None = None
    audit: Audit | None = None


class BeginAct(NamedTuple):
    """Enter an act on all that matches a filter before its first page. Answered with the id of its audit entry."""

    namespace: str
    audit: Audit
