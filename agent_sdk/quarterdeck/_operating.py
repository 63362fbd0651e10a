"""What operators ask for and are answered with, as plain frozen values like those of `_models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quarterdeck._errors import ApiError
from quarterdeck._models import Instant, Task
from quarterdeck._spans import Span

ActName = Literal["cancel", "retry", "update", "pause", "resume"]
HoldKind = Literal["task_name", "agent", "agent_version"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many tasks.

    Attributes:
        task_id: The task.
        state: Its state now; empty when it was refused.
        error: Why it was refused; its neighbours are not affected.
    """

    task_id: str
    state: str
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """What became of one task that was to be run again.

    Attributes:
        task_id: The new task; empty when it was refused.
        dependent_ids: The copies of what depended on it, in the order of the originals.
        rerun_of: The task that was named.
        error: Why it was refused; its neighbours are not affected.
    """

    task_id: str
    dependent_ids: tuple[str, ...]
    rerun_of: str
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class ActProgress:
    """How far an act on all tasks that match a filter has come.

    Attributes:
        matched: Tasks that match.
        done: Tasks for which it was done.
        refused: Tasks for which it was refused, such as because they ended meanwhile.
        errors: The first refusals of this page, at most 10.
        complete: True in the last one, of an act that came to its end.
        audit_id: Its entry in the audit log; empty when it only counts.
    """

    matched: int
    done: int
    refused: int
    errors: tuple[ApiError, ...]
    complete: bool
    audit_id: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a task from running.

    Attributes:
        kind: What it is, such as `queue_paused`, `key_concurrency`, `no_agent_for_name`.
        message: The same for a person: what it is, whose doing, what to do about it.
        until: When it ends by itself; None when that is not known.
        actor: Who brought it about, of what an operator did.
        task_ids: Tasks that it is about, at most 10.
        agent_ids: Agents that it is about, at most 10.
    """

    kind: str
    message: str
    until: Instant
    actor: str
    task_ids: tuple[str, ...]
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LifeSpan:
    """One span of a task's life.

    Attributes:
        phase: `blocked`, `delayed`, `ready`, `running` or `backoff`.
        start_time: When it began.
        end_time: When it ended; None for what goes on.
        attempt: The attempt, of `running` and of the `backoff` after it.
    """

    phase: str
    start_time: Instant
    end_time: Instant
    attempt: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task is not running, why it failed, and where its time went.

    Attributes:
        task: The task.
        summary: The answer in one or two sentences.
        obstacles: All that keeps it from running, what has to end first standing first.
        ahead: How many ready tasks of its queue come before it; 0 unless it is ready.
        ahead_is_minimum: True when there are more than were counted.
        estimated_start_time: When it will probably start; None when nothing can be said.
        spans: Its life so far in order.
        time_summary: Where most of the time went, in one sentence.
    """

    task: Task
    summary: str
    obstacles: tuple[Obstacle, ...]
    ahead: int
    ahead_is_minimum: bool
    estimated_start_time: Instant
    spans: tuple[LifeSpan, ...]
    time_summary: str


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended tasks are kept, by how they ended; None is the server's setting."""

    succeeded: Span | None = None
    failed: Span | None = None
    cancelled: Span | None = None
    expired: Span | None = None


@dataclass(frozen=True, slots=True)
class QuarantineRules:
    """After how many failed or lost attempts in a row something is held; 0 means never.

    Attributes:
        task_name: Of one task name.
        agent: Of one agent.
        agent_version: Of all agents of one name and version together.
    """

    task_name: int = 0
    agent: int = 0
    agent_version: int = 0


@dataclass(frozen=True, slots=True)
class Namespace:
    """A tenant's settings.

    Attributes:
        name: Its name.
        retention: Its own rules; what is None follows the server's setting.
        quarantine: When something is put in quarantine.
        effective_retention: How long ended tasks are kept now.
        etag: Another one whenever its own settings are others.
    """

    name: str
    retention: Retention | None
    quarantine: QuarantineRules | None
    effective_retention: Retention | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did by hand, or what the server did by a rule.

    Attributes:
        id: Sortable by time.
        namespace: The tenant it belongs to.
        time: When.
        actor: Who, in the caller's words; `server` for what a rule did.
        action: The call, such as `CancelTasks`.
        reason: Why, in the actor's words.
        target: What it was done to; empty for several.
        filter: Of an act on all that matches.
        matched: How many were named or matched.
        done: For how many it was done so far.
        change: What it changed, in words, as `paused` or `concurrency any → 10`; empty where the
            action says all.
    """

    id: str
    namespace: str
    time: Instant
    actor: str
    action: str
    reason: str
    target: str
    filter: str
    matched: int
    done: int
    change: str = ""
