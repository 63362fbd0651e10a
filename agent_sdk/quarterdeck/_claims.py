"""Asking for work: one Claim at a time while work is scarce, three while the queue is full.

While one answer is carried out the server prepares the next: with a single claim server and agent
would take turns, and the server would idle while handlers run.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from grpc import aio

from quarterdeck._link import Link, backoff
from quarterdeck._status import error_from_rpc
from quarterdeck._times import to_duration
from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import ClaimRequest, ClaimResponse

if TYPE_CHECKING:
    from quarterdeck._agent import TaskHandler
    from quarterdeck._errors import ApiError

logger = logging.getLogger("quarterdeck")

_WAIT_SECONDS = 30.0
_MARGIN_SECONDS = 10.0
_MOST_TASKS = 1_000
MOST_NAMES = 1_000
_LOOPS = 3
_SETTLE_SECONDS = 0.2
_HOPELESS = frozenset({"INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})


class Claims:
    """The loop that claims. Lives on the control thread.

    Args:
        link: The server.
        template: What is the same in every request.
        free: How many tasks may be taken now; 0 while draining. Of a claim for a batch, how many
            batches.
        accept: Takes what an answer brought.
        loops: Claims under way at once, at most.
    """

    def __init__(
        self,
        link: Link,
        template: ClaimRequest,
        free: Callable[[], int],
        accept: Callable[[ClaimResponse], None],
        loops: int = _LOOPS,
    ) -> None:
        self._link = link
        self._template = template
        self._slots = max(1, template.agent.slots)
        self._free = free
        self._accept = accept
        self._loops = loops
        self._slot = asyncio.Event()
        self._open: dict[int, ClaimRequest] = {}
        """The request that each loop has under way; repeated with its id until it is answered."""
        self._plenty = False
        """The last answer was a full one: there is more where it came from."""

    def wake(self) -> None:
        """There may be a free slot."""
        self._slot.set()

    async def run(self) -> None:
        """Claim until cancelled.

        Raises:
            ApiError: The server will never accept a claim like this.
        """
        loops = [asyncio.ensure_future(self._loop(place)) for place in range(self._loops)]
        try:
            await asyncio.gather(*loops)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _loop(self, place: int) -> None:
        failures = 0
        while True:
            request = self._open.get(place) or self._request(place)
            if request is None:
                self._slot.clear()
                await self._slot.wait()
                continue
            try:
                response = await self._link.claim(request, timeout=_WAIT_SECONDS + _MARGIN_SECONDS)
            except aio.AioRpcError as error:
                failures += 1
                await self._pause(error_from_rpc(error, self._link.address), failures)
                continue
            if failures:
                # As loud as what it ends.
                logger.warning("in contact with %s again", self._link.address)
                failures = 0
            del self._open[place]
            plenty = len(response.tasks) == request.max_tasks
            if plenty != self._plenty or (place > 0 and not plenty):
                # More loops ask, or this one rests and leaves its slots to the first, which may
                # wait for some.
                self._slot.set()
            self._plenty = plenty
            self._accept(response)

    async def settle(self) -> list[ClaimResponse]:
        """After `run` was cut: what the server may have handed out to the calls that were cut.

        The same request again brings the same leases. Where the first one brought none, it
        may take new ones, which the caller gives back. The server waits a moment, because it
        may hear of the cut later than of this call.
        """
        requests, self._open = list(self._open.values()), {}
        answers = await asyncio.gather(*map(self._settle, requests))
        return [answer for answer in answers if answer is not None]

    async def _settle(self, request: ClaimRequest) -> ClaimResponse | None:
        request.wait.CopyFrom(to_duration(_SETTLE_SECONDS))
        try:
            return await self._link.agent_polls.Claim(request, timeout=_SETTLE_SECONDS + 2.0)
        except aio.AioRpcError as error:
            logger.info(
                "a cut claim was not settled: %s", error_from_rpc(error, self._link.address)
            )
            return None

    def _request(self, place: int) -> ClaimRequest | None:
        """The next claim of a loop; None while it has nothing to ask for."""
        if place > 0 and not self._plenty:
            return None
        asked = sum(request.max_tasks for request in self._open.values())
        free = self._free() - asked
        if self._plenty:
            # An equal share of the slots each, so that all loops have something to ask for.
            free = min(free, -(-self._slots // self._loops))
        if free <= 0:
            return None
        request = ClaimRequest()
        request.CopyFrom(self._template)
        request.max_tasks = min(free, _MOST_TASKS)
        request.request_id = uuid.uuid4().hex
        self._open[place] = request
        return request

    async def _pause(self, problem: ApiError, failures: int) -> None:
        if problem.code in _HOPELESS:
            raise problem
        if failures == 1:
            logger.warning("%s; claims go on when it is back", problem)
        await asyncio.sleep(max(backoff(failures), problem.retry_delay or 0.0))


def claim_template(
    namespace: str, info: AgentInfo, queues: Sequence[str], names: list[str]
) -> ClaimRequest:
    """What all claims of an agent have in common."""
    return ClaimRequest(
        namespace=namespace,
        agent=info,
        queues=queues,
        names=names,
        wait=to_duration(_WAIT_SECONDS),
    )


def batch_template(
    namespace: str, info: AgentInfo, queues: Sequence[str], handler: TaskHandler
) -> ClaimRequest:
    """What all claims for a handler that takes batches have in common."""
    template = claim_template(namespace, info, queues, [handler.name])
    template.batch.size = handler.batch
    template.batch.linger.CopyFrom(to_duration(handler.linger))
    return template
