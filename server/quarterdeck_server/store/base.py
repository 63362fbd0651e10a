"""The seam between the server and its database.

A store does two things: it carries out groups of commands, each group in one transaction and durable when the call
returns, and it answers reads from committed state without waiting for writes. Every back end passes the suite in
tests/store. The interface is internal and will change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Claim, Command
from quarterdeck_server.engine.explain.facts import Handler, Stored
from quarterdeck_server.engine.filters import Filter
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.model import (
    Admission,
    AdmissionKey,
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    LogRow,
    Payload,
    Queue,
    Task,
)
from quarterdeck_server.engine.namespaces import NamespaceSettings
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.selection import Selection

Row = TypeVar("Row")


class StoreError(Exception):
    """The store cannot be used; the message says what to do. Raised at start."""


class StoreUnavailable(Exception):
    """This group could not be made durable and nothing of it was applied."""


@dataclass(slots=True)
class GroupResult:
    """What a group did, valid once it is returned: everything in it is durable."""

    replies: list[Any]
    """A reply for every command in order; an Exception for one that failed unexpectedly, alone."""
    changes: list[Change]
    claims: list[Claim]
    """The waiting claims that were given something, with it in `taken`."""
    inputs: dict[int, Payload]
    """Inputs of the tasks that were given."""
    ready: dict[tuple[str, str], dict[str, int]]
    """Of every queue that the group looked at: ready tasks by name, nothing while it is paused."""
    wake_at: int | None
    """The earliest instant at which a changed row wants a Sweep; None when no changed row does."""
    lapsed: list[int] = field(default_factory=list)
    """Tasks whose leases ended otherwise than by a report of their agents."""
    reopen: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    """Instants at which a queue has more to give to the claims that wait, though nothing happens until then."""
    walk: bool = False
    """Something was too large for this group: Walk goes on with it."""
    failure: Exception | None = None
    """What kept the rest from being done, after what is told here was: the replies of commands that were not carried
    out are that error, or the claims were not looked at."""


class TaskDetail(NamedTuple):
    """One task with all that belongs to it."""

    task: Task
    input: Payload | None
    result: Payload | None
    attempts: list[Attempt]
    depends_on: list[int]
    details: Payload | None
    """What attempts have saved for the next one."""
    keys: list[tuple[AdmissionKey, Admission]]
    """The keys by which it was let in."""


class Page(NamedTuple, Generic[Row]):
    """Rows of a list, and how to go on."""

    rows: list[Row]
    next_key: list[Any] | None
    """Keyset position of the next page as plain JSON values; None on the last."""
    revision: int
    """The last revision that the page has seen."""


class Store(Protocol):
    """One database.

    `now` is microseconds since the epoch, UTC. Lists have at most `limit` rows, those after the position `after`, which
    is the `next_key` of the page before or None for the first one; a `filter` of None takes every row. What names one
    row that is not there, or is in another namespace, is answered with None. Every method but `open` raises
    StoreUnavailable when the disk fails.
    """

    store_id: str
    """Random identity of this database; a restored copy gets a new one."""

    async def open(self) -> None:
        """Open or create the database and migrate it; raise StoreError when it cannot be used."""

    async def close(self) -> None:
        """Finish the running group and close. Idempotent."""

    async def run_group(
        self, commands: Sequence[Command], waiting: Waiting, now: int
    ) -> GroupResult:
        """Carry out commands in order, then give ready tasks to the waiting claims, in one transaction.

        One group at a time: the caller awaits it before it hands over the next. A command with an unexpected error
        fails alone, with that error as its reply.

        Raises:
            StoreUnavailable: Nothing of the group was applied.
        """

    async def probe(self) -> None:
        """Make a durable write that changes nothing; raise StoreUnavailable when that fails."""

    # Reads: committed state only.

    async def get_task(self, namespace: str, task_id: int) -> TaskDetail | None:
        """One task with all that belongs to it, at one revision."""

    async def explain_task(
        self, namespace: str, task_id: int, handlers: Sequence[Handler]
    ) -> Stored | None:
        """What is known of a task and of what is in its way; the agents in contact say what competes with it."""

    async def get_tasks(self, task_ids: Sequence[int]) -> list[Task]:
        """Those of these tasks that exist, in any order, of whatever namespace."""

    async def get_result(self, task_id: int) -> Payload | None:
        """What a task came to, of whatever namespace."""

    async def get_details(self, task_id: int) -> Payload | None:
        """What attempts of a task have saved for the next one."""

    async def list_tasks(
        self,
        namespace: str,
        filter: Filter | None,
        order_by: str,
        descending: bool,
        limit: int,
        after: list[Any] | None,
        now: int,
    ) -> Page[Task]:
        """`order_by` is a column of Task: create_time, run_at, end_time, priority, name or state; then by id."""

    async def count_tasks(
        self, namespace: str, filter: Filter | None, now: int
    ) -> tuple[dict[int, int], int]:
        """Count by state; also return the last revision that the count has seen."""

    async def select_tasks(
        self, namespace: str, filter: Filter | None, now: int, keep: int
    ) -> Selection:
        """Find the ids of all tasks that match at one revision; keep the first so many of them, and count the rest."""

    async def read_logs(
        self, namespace: str, task_id: int, after: int, attempt: int, limit: int
    ) -> list[LogRow]:
        """Lines with a larger sequence, in order; a negative `after` means the last -after lines.

        An `attempt` of 0 takes the lines of all attempts.
        """

    async def list_agents(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Agent]:
        """The newest first, then by id."""

    async def list_queues(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Queue]:
        """By name."""

    async def get_queues(self, namespace: str, names: Sequence[str]) -> list[Queue]:
        """Those of these names that exist, in any order."""

    async def list_schedules(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Schedule]:
        """By id."""

    async def get_agent(self, namespace: str, agent_id: str) -> Agent | None:
        """One agent, whatever its state."""

    async def get_schedule(self, namespace: str, schedule_id: str) -> Schedule | None:
        """One schedule, paused and ended ones too."""

    async def list_audit(
        self, namespace: str, limit: int, after: list[Any] | None
    ) -> Page[AuditEntry]:
        """The newest first."""

    async def list_holds(self, namespace: str, limit: int, after: list[Any] | None) -> Page[Hold]:
        """By kind and subject."""

    async def get_namespace(self, namespace: str) -> NamespaceSettings:
        """What a namespace has set of its own; NO_SETTINGS where that is nothing."""

    async def list_pools(self, namespace: str) -> list[PoolStatus]:
        """All of a namespace, by name."""

    async def list_instances(self, namespace: str | None, ended: bool = False) -> list[Instance]:
        """What pools run, the oldest first, of every namespace where it is None; with `ended` also what has ended."""

    async def ready_counts(self) -> dict[tuple[str, str], dict[str, int]]:
        """Ready tasks by (namespace, queue) and name, nothing for paused queues."""

    async def running_tasks(self) -> list[Task]:
        """Every task under a lease, of all namespaces: what a starting server watches over."""

    async def live_agents(self) -> list[Agent]:
        """Every agent that is not GONE, of all namespaces."""

    async def revision(self) -> int:
        """The revision of the last committed change; 0 in an empty store."""

    async def changes_after(self, revision: int, limit: int) -> list[Change] | None:
        """At most about `limit` changes after `revision`, in order; None when some of them are no longer kept."""
