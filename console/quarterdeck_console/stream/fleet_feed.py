"""Feeds the stores of everything but tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.holds import HoldRow
from quarterdeck_console.model.rows import AgentRow, InstanceRow, PoolRow, QueueRow, ScheduleRow
from quarterdeck_console.model.store import Row, Store
from quarterdeck_console.stream.channel import Link
from quarterdeck_console.stream.errors import Refusal

R = TypeVar("R", bound=Row)

_GONE = (watch_pb.CHANGE_TYPE_DELETED, watch_pb.CHANGE_TYPE_LEFT)
_ROWS: dict[str, Callable[[Any], Any]] = {
    "agent": AgentRow.of,
    "queue": QueueRow.of,
    "schedule": ScheduleRow.of,
    "instance": InstanceRow.of,
    "pool": PoolRow.of,
    "hold": HoldRow.of,
}


class FleetFeed:
    """The sink of the one watch over all kinds but tasks; it also keeps the connection's state."""

    kinds: Sequence[watch_pb.ResourceKind.ValueType] = (
        watch_pb.RESOURCE_KIND_AGENT,
        watch_pb.RESOURCE_KIND_QUEUE,
        watch_pb.RESOURCE_KIND_SCHEDULE,
        watch_pb.RESOURCE_KIND_INSTANCE,
        watch_pb.RESOURCE_KIND_POOL,
        watch_pb.RESOURCE_KIND_HOLD,
    )
    filter = ""

    def __init__(self, fleet: Fleet, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._snapshot = False
        self._stores: dict[str, Store[Any]] = {
            "agent": fleet.agents,
            "queue": fleet.queues,
            "schedule": fleet.schedules,
            "instance": fleet.instances,
            "pool": fleet.pools,
            "hold": fleet.holds,
        }

    async def begin(self, link: Link, token: str) -> str:
        """Makes sure that the server is there, so that a silent watch counts as live."""
        await link.greet()
        self._snapshot = not token
        if self._snapshot:
            for store in self._stores.values():
                store.begin_snapshot()
        self.came()
        return token

    def take(self, answer: watch_pb.WatchResponse) -> None:
        """Puts changes into the stores."""
        self._fleet.connection.changes += len(answer.changes)
        for change in answer.changes:
            kind = change.WhichOneof("resource")
            store = self._stores.get(kind or "")
            if store is None or kind is None:
                continue
            row = _ROWS[kind](getattr(change, kind))
            if change.type in _GONE:
                store.drop((row.id,))
            else:
                store.put(row)
        if answer.snapshot_complete and self._snapshot:
            self._snapshot = False
            for store in self._stores.values():
                store.end_snapshot()

    def came(self) -> None:
        """The server is there."""
        self._fleet.connection.came(self._clock())

    def went(self, why: Refusal, retry_in: float) -> None:
        """The server is away; what is known stays."""
        now = self._clock()
        self._fleet.connection.went(now, why.words, now + retry_in)

    def refused(self, why: Refusal) -> None:
        """The server does not know this watch: it is older than this console."""
        self._fleet.connection.went(self._clock(), why.words, 0.0)


class FilteredFeed(Generic[R]):
    """The rows of one kind that match a filter of the operator."""

    def __init__(self, kind: watch_pb.ResourceKind.ValueType, field: str, filter_text: str) -> None:
        self.kinds: Sequence[watch_pb.ResourceKind.ValueType] = (kind,)
        self.filter = filter_text
        self.store: Store[R] = Store()
        self._field = field

    async def begin(self, link: Link, token: str) -> str:
        """Forgets what may have left the filter unseen."""
        if not token:
            self.store.begin_snapshot()
        return token

    def take(self, answer: watch_pb.WatchResponse) -> None:
        """Puts changes into the store."""
        for change in answer.changes:
            row: R = _ROWS[self._field](getattr(change, self._field))
            if change.type in _GONE:
                self.store.drop((row.id,))
            else:
                self.store.put(row)
        if answer.snapshot_complete:
            self.store.end_snapshot()

    def came(self) -> None:
        """The fleet's own feed keeps the connection's state."""

    def went(self, why: Refusal, retry_in: float) -> None:
        """The fleet's own feed keeps the connection's state."""

    def refused(self, why: Refusal) -> None:
        """The filter was tried before it came here."""
