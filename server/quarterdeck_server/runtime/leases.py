"""Every lease that is held now, in memory.

The store knows who holds a lease; how long it still lasts is known here alone, by the monotonic clock. After a restart
every lease gets a whole term, so that nobody loses work to the server's own absence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from quarterdeck_server.engine.changes import TASK, Change
from quarterdeck_server.engine.deadlines import cancel_deadline
from quarterdeck_server.engine.model import Cancellation, Pause, Task, cancellation_of, pause_of
from quarterdeck_server.engine.states import RUNNING
from quarterdeck_server.runtime.clock import Clock
from quarterdeck_server.runtime.ticks import Ticks

AgentKey = tuple[str, str]


class Lease:
    """One held lease."""

    __slots__ = (
        "agent_id",
        "attempt",
        "cancel",
        "cancel_deadline",
        "deadline",
        "namespace",
        "pause",
        "resumed",
        "task_id",
        "token",
    )

    def __init__(self, task: Task, deadline: float) -> None:
        assert task.lease_token is not None and task.agent_id is not None
        self.namespace = task.namespace
        self.task_id = task.id
        self.token = task.lease_token
        self.attempt = task.attempt
        self.agent_id = task.agent_id
        self.deadline = deadline
        self.cancel: Cancellation | None = None
        self.cancel_deadline: int | None = None
        self.pause: Pause | None = None
        self.resumed = False
        """A pause is over that the agent was told of, and it was not told of the end."""

    @property
    def delivered(self) -> bool:
        """The agent was told of the cancel."""
        return self.cancel is not None and self.cancel.deliver_time is not None

    @property
    def untold(self) -> bool:
        """There is something that the agent was not told of: a cancel, a pause, or its end."""
        if self.cancel is not None:
            return self.cancel.deliver_time is None
        if self.pause is not None:
            return self.pause.deliver_time is None
        return self.resumed


class LeaseTable:
    """Follows the change log: what is RUNNING has a lease here, what is not has none."""

    def __init__(self, clock: Clock, duration: float) -> None:
        self._clock = clock
        self.duration = duration
        self._leases: dict[int, Lease] = {}
        self._of_agent: dict[AgentKey, dict[int, Lease]] = {}
        self._waiting: dict[AgentKey, set[asyncio.Future[None]]] = {}
        self._ticks = Ticks()
        self._lapsed: dict[AgentKey, list[Lease]] = {}
        """For those who are woken: what they are told."""
        self._checked = clock.monotonic()
        self._earliest = self._checked
        """No lease runs out before: renewals only put it off."""

    def __len__(self) -> int:
        return len(self._leases)

    def start(self, running: Iterable[Task]) -> None:
        """Give every lease of the store a whole term."""
        for task in running:
            self._grant(task)

    def apply(self, changes: Sequence[Change], lapsed: Iterable[int] = ()) -> None:
        """Follow the changes of a committed group.

        Args:
            changes: In their order.
            lapsed: Tasks whose leases ended otherwise than by a report: who waits for a directive is told.
        """
        leases = self._leases
        for task_id in lapsed:
            self._tell_lapsed(task_id)
        for change in changes:
            if change.kind != TASK:
                continue
            task: Task = change.row
            if task.state == RUNNING:
                lease = leases.get(task.id)
                if lease is None or lease.token != task.lease_token:
                    self._grant(task)
                elif task.cancel is not None or task.pause is not None or lease.pause is not None:
                    self._note_orders(lease, task)
            elif task.id in leases:
                self._drop(task.id)

    def _tell_lapsed(self, task_id: int) -> None:
        lease = self._leases.get(task_id)
        if lease is None:
            return
        key = (lease.namespace, lease.agent_id)
        if key in self._waiting or key in self._lapsed:
            self._lapsed.setdefault(key, []).append(lease)
            self.wake(*key)

    def _grant(self, task: Task) -> None:
        self._drop(task.id)
        lease = Lease(task, self._clock.monotonic() + self.duration)
        self._leases[task.id] = lease
        self._of_agent.setdefault((lease.namespace, lease.agent_id), {})[task.id] = lease
        if task.cancel is not None or task.pause is not None:
            self._note_orders(lease, task)

    def _drop(self, task_id: int) -> None:
        lease = self._leases.pop(task_id, None)
        if lease is None:
            return
        key = (lease.namespace, lease.agent_id)
        held = self._of_agent[key]
        del held[task_id]
        if not held:
            del self._of_agent[key]

    def _note_orders(self, lease: Lease, task: Task) -> None:
        before, lease.pause = lease.pause, pause_of(task)
        if lease.pause is not None:
            lease.resumed = False
        elif before is not None and before.deliver_time is not None:
            lease.resumed = True
        lease.cancel = cancellation_of(task)
        lease.cancel_deadline = cancel_deadline(task)
        if lease.untold:
            self.wake(lease.namespace, lease.agent_id)

    def renew(self, task_id: int, token: int) -> Lease | None:
        """Let a lease last a whole term from now; None when it is not, or no longer, held."""
        lease = self._leases.get(task_id)
        if lease is None or lease.token != token:
            return None
        lease.deadline = self._clock.monotonic() + self.duration
        return lease

    def undelivered(self, namespace: str, agent_id: str) -> list[Lease]:
        """Return the agent's leases with a cancel, a pause or the end of a pause that it was not told of."""
        held = self._of_agent.get((namespace, agent_id), {})
        return [lease for lease in held.values() if lease.untold]

    def held(self, namespace: str, agent_id: str) -> list[Lease]:
        """Return the agent's leases."""
        return list(self._of_agent.get((namespace, agent_id), {}).values())

    def holders(self, leases: Iterable[tuple[int, int]]) -> set[AgentKey]:
        """Return the agents that hold these leases, given as (task, token)."""
        found = (self._leases.get(task_id) for task_id, _ in leases)
        return {(lease.namespace, lease.agent_id) for lease in found if lease is not None}

    def wake(self, namespace: str, agent_id: str) -> None:
        """Let the agent's waiting heartbeats answer."""
        for future in self._waiting.pop((namespace, agent_id), ()):
            if not future.done():
                future.set_result(None)

    def wake_all(self) -> None:
        """Let every waiting heartbeat answer."""
        for namespace, agent_id in list(self._waiting):
            self.wake(namespace, agent_id)

    async def wait_directive(self, namespace: str, agent_id: str, seconds: float) -> list[Lease]:
        """Return once there is something undelivered for the agent or it is woken, or after `seconds`.

        Returns:
            The leases of the agent that ended meanwhile otherwise than by a report.
        """
        if seconds <= 0 or self.undelivered(namespace, agent_id):
            return []
        key = (namespace, agent_id)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        try:
            await self._ticks.wait(future, seconds)
        finally:
            lapsed = self._lapsed.pop(key, [])
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[key]
        return lapsed

    def overdue(self) -> list[tuple[int, int]]:
        """Return (task, token) of the leases that nobody renewed in time.

        When this was not asked for longer than half a term, the server itself was held up, and so were the
        heartbeats: every lease gets that time on top.
        """
        now = self._clock.monotonic()
        gap, self._checked = now - self._checked, now
        if gap > self.duration / 2:
            for lease in self._leases.values():
                lease.deadline += gap
        if now < self._earliest:
            return []
        deadlines = (lease.deadline for lease in self._leases.values())
        self._earliest = min(deadlines, default=now + self.duration)
        # What is granted later lasts a term from then, which some of these outlast when the server was held up.
        self._earliest = min(self._earliest, now + self.duration)
        return [(x.task_id, x.token) for x in self._leases.values() if x.deadline <= now]
