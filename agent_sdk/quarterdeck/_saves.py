"""Details on their way to the server: with the next short heartbeat, the newest of each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from quarterdeck._errors import ApiError
from quarterdeck._lease import Cause, Lease
from quarterdeck._link import MAX_BATCH_BYTES
from quarterdeck._status import error_from_status, is_final
from quarterdeck.v1.agent_service_pb2 import HeartbeatResponse, LeaseBeat
from quarterdeck.v1.payload_pb2 import Payload

Waiting = list[tuple[bytes, Future[None]]]


class Saves:
    """The details in one heartbeat. Lives on the control thread.

    Args:
        settled: Takes leases of which nothing is on its way any more.
    """

    def __init__(self, settled: Callable[[Lease], None]) -> None:
        self._settled = settled
        self._taken: list[tuple[Lease, Waiting]] = []

    def take(self, leases: Iterable[Lease], beats: Iterable[LeaseBeat]) -> bool:
        """Put what waits into the beats of a heartbeat; False when there was not room for all.

        One that is larger than a heartbeat may be goes alone.
        """
        room, complete = MAX_BATCH_BYTES, True
        for lease, beat in zip(leases, beats, strict=True):
            if not lease.saves or lease.saving:
                continue
            size = len(lease.saves[-1][0])
            if size > room and self._taken:
                complete = False
                continue
            room -= size
            # Handlers append meanwhile.
            waiting = lease.saves[:]
            lease.saving = True
            self._taken.append((lease, waiting))
            beat.details.CopyFrom(Payload(data=waiting[-1][0]))
        return complete

    def heard(self, response: HeartbeatResponse) -> None:
        """The heartbeat was answered, so what was not refused is safe."""
        refused = {
            (directive.task_id, directive.attempt): error_from_status(directive.details_error)
            for directive in response.directives
            if directive.HasField("details_error")
        }
        for lease, waiting in self._taken:
            if lease.cause is Cause.LOST:
                self._end(lease, waiting, asyncio.CancelledError("the lease was lost"))
            else:
                self._end(lease, waiting, refused.get(lease.key))

    def failed(self, problem: ApiError) -> None:
        """The heartbeat failed: what it carried goes with the next, unless no server will take it."""
        for lease, waiting in self._taken:
            if is_final(problem):
                self._end(lease, waiting, problem)
            else:
                lease.saving = False
                if lease.cause is Cause.LOST:
                    give_up(lease)

    def _end(self, lease: Lease, waiting: Waiting, problem: BaseException | None) -> None:
        lease.saving = False
        del lease.saves[: len(waiting)]
        resolve(waiting, problem)
        if lease.cause is Cause.LOST:
            give_up(lease)
        self._settled(lease)


def give_up(lease: Lease) -> None:
    """The lease is lost: nothing of it will be saved any more. What is on its way ends with its answer."""
    if not lease.saving:
        waiting, lease.saves = lease.saves, []
        resolve(waiting, asyncio.CancelledError("the lease was lost"))


def resolve(waiting: Waiting, problem: BaseException | None) -> None:
    """Tell those who wait."""
    for _, future in waiting:
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
