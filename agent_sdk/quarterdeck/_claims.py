"""Asking for work: one Claim at a time, for all free slots."""

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
    from quarterdeck._errors import ApiError

logger = logging.getLogger("quarterdeck")

_WAIT_SECONDS = 20.0
_MARGIN_SECONDS = 10.0
_MOST_TASKS = 1_000
_SETTLE_SECONDS = 0.2
_HOPELESS = frozenset({"INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})


class Claims:
    """The loop that claims. Lives on the control thread.

    Args:
        link: The server.
        template: What is the same in every request.
        free: How many tasks may be taken now; 0 while draining.
        accept: Takes what an answer brought.
    """

    def __init__(
        self,
        link: Link,
        template: ClaimRequest,
        free: Callable[[], int],
        accept: Callable[[ClaimResponse], None],
    ) -> None:
        self._link = link
        self._template = template
        self._free = free
        self._accept = accept
        self._slot = asyncio.Event()
        self._open: ClaimRequest | None = None

    def wake(self) -> None:
        """There may be a free slot."""
        self._slot.set()

    async def run(self) -> None:
        """Claim until cancelled.

        Raises:
            ApiError: The server will never accept a claim like this.
        """
        failures = 0
        while True:
            free = self._free()
            if free <= 0:
                self._slot.clear()
                await self._slot.wait()
                continue
            request = self._open or self._request(free)
            try:
                response = await self._link.agent_polls.Claim(
                    request, timeout=_WAIT_SECONDS + _MARGIN_SECONDS
                )
            except aio.AioRpcError as error:
                failures += 1
                await self._pause(error_from_rpc(error), failures)
                continue
            if failures:
                logger.info("in contact with %s again", self._link.address)
                failures = 0
            self._open = None
            self._accept(response)

    async def settle(self) -> ClaimResponse | None:
        """After `run` was cut: what the server may have handed out to the call that was cut.

        The same request again brings the same leases. Where the first one brought none, this
        may take new ones, which the caller gives back. The server waits a moment, because it
        may hear of the cut later than of this call.
        """
        request, self._open = self._open, None
        if request is None:
            return None
        request.wait.CopyFrom(to_duration(_SETTLE_SECONDS))
        try:
            return await self._link.agent_polls.Claim(request, timeout=_SETTLE_SECONDS + 2.0)
        except aio.AioRpcError:
            return None

    def _request(self, free: int) -> ClaimRequest:
        request = ClaimRequest()
        request.CopyFrom(self._template)
        request.max_tasks = min(free, _MOST_TASKS)
        request.request_id = uuid.uuid4().hex
        self._open = request
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
        names=names[:_MOST_TASKS],
        wait=to_duration(_WAIT_SECONDS),
    )
