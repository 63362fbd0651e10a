"""What the RPC layer needs of the server behind it. The runtime provides it; tests provide a
double."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from quarterdeck_server.config import Settings
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Beat, Claim, Claimed, Command
from quarterdeck_server.engine.explain.facts import Handler
from quarterdeck_server.engine.model import Agent, Cancellation, Pause, Task
from quarterdeck_server.runtime.clock import Clock
from quarterdeck_server.store.base import Store


class Lease(Protocol):
    """A lease that is held now."""

    @property
    def task_id(self) -> int: ...

    @property
    def token(self) -> int: ...

    @property
    def attempt(self) -> int: ...

    @property
    def agent_id(self) -> str: ...

    @property
    def cancel(self) -> Cancellation | None:
        """Set once a cancel of the task was requested."""
        ...

    @property
    def cancel_deadline(self) -> int | None:
        """When the lease is revoked, in microseconds; None until the cancel is delivered."""
        ...

    @property
    def delivered(self) -> bool:
        """The agent was told of the cancel."""
        ...

    @property
    def pause(self) -> Pause | None:
        """Set while the attempt is paused, or asked to."""
        ...

    resumed: bool
    """A pause is over that the agent was told of, and it was not told of the end."""


class Leases(Protocol):
    """Every lease that is held now, in memory."""

    @property
    def duration(self) -> float:
        """How long a lease lasts without a heartbeat, in seconds."""
        ...

    def renew(self, task_id: int, token: int) -> Lease | None:
        """Let the lease last from now on; None when it is not, or no longer, held."""

    def undelivered(self, namespace: str, agent_id: str) -> Sequence[Lease]:
        """Leases of the agent with a cancel, a pause or the end of a pause that it was not told of."""

    async def wait_directive(
        self, namespace: str, agent_id: str, seconds: float, /
    ) -> Sequence[Lease]:
        """Return once there is an undelivered cancel or pause, a lost lease or a drain for the
        agent, or at the timeout.

        Returns:
            The leases of the agent that ended meanwhile otherwise than by a report.
        """


class Agents(Protocol):
    """The agents in contact, in memory."""

    def contact(self, namespace: str, info: Agent, queues: Sequence[str]) -> bool:
        """Note that the agent called; return whether it is to drain.

        Args:
            namespace: Its tenant.
            info: As it describes itself; what only the server knows is zero or None.
            queues: Where it claims from; empty leaves the known ones as they are.
        """

    def handles(self, namespace: str, agent_id: str, names: frozenset[str] | None) -> None:
        """Note the task names of an agent's claim; None means any."""

    def handlers(self, namespace: str) -> list[Handler]:
        """The agents in contact with what they take."""

    def seen(self, row: Agent) -> Agent:
        """An agent as the store has it, with the time of its last contact to the moment."""

    def draining(self, namespace: str, agent_id: str) -> bool:
        """Whether a known agent is to drain."""

    async def goodbye(self, namespace: str, agent_id: str) -> None:
        """Note that the agent stops."""


class Hub(Protocol):
    """The change log as watchers see it."""

    @property
    def revision(self) -> int:
        """The last revision that can be read."""
        ...

    @property
    def closing(self) -> bool:
        """Watches are to end."""
        ...

    def starts(self, namespace: str, queue: str, now: int) -> float | None:
        """Tasks of a queue that start in a second now; None when too little is known."""

    def since(self, after_revision: int, /) -> list[Change] | None:
        """All later changes, with what was before them; None when they are not in memory any more."""

    async def wait(self, after_revision: int, seconds: float, /) -> None:
        """Return once `revision` is larger, the hub is closing, or after `seconds`."""

    async def read(self, after_revision: int, limit: int) -> list[Change] | None:
        """At most about `limit` changes, in order; None when some are no longer kept."""


class Core(Protocol):
    """The running server."""

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def store(self) -> Store: ...

    @property
    def agents(self) -> Agents: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def hub(self) -> Hub: ...

    @property
    def draining(self) -> bool: ...

    @property
    def start_time(self) -> int:
        """Microseconds."""
        ...

    async def execute(self, command: Command) -> Any:
        """Carry out a command; durable once it returns. The reply is as documented at the command.

        Raises:
            StoreUnavailable: nothing was applied.
            Draining: the server is stopping.
        """

    async def claim(self, claim: Claim, wait: float) -> list[tuple[Task, Claimed]]:
        """Wait for work; empty when the wait is over or the server begins to drain.

        Cancelling it gives back, or never takes, what it would have returned.

        Raises:
            Draining: the server hands out nothing more.
        """

    def beats(self, beats: list[Beat]) -> None:
        """Record these with the next group, at the latest after 1 s."""

    async def wait_ended(self, task_id: int, seconds: float, /) -> None:
        """Return once the task has ended, the server drains, or after `seconds`."""

    async def wait_logs(self, task_id: int, after: int, seconds: float, /) -> None:
        """Return once the task's log has a line after this sequence, or the task has ended.

        Also when the server drains, or after `seconds`.
        """
