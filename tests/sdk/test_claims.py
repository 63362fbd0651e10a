"""How many claims are under way, and who asks for the slots that are left; the server's answers are written here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quarterdeck._claims import Claims
from quarterdeck.v1.agent_pb2 import AgentInfo
from quarterdeck.v1.agent_service_pb2 import ClaimRequest, ClaimResponse


class Desk:
    """Hands the test what is asked for, and the claims what the test answers."""

    address = "nowhere"

    def __init__(self, slots: int) -> None:
        self.free = slots
        self._asked: asyncio.Queue[tuple[ClaimRequest, asyncio.Future[ClaimResponse]]] = (
            asyncio.Queue()
        )
        template = ClaimRequest(agent=AgentInfo(slots=slots))
        self.claims = Claims(self, template, lambda: self.free, self._accept)  # type: ignore[arg-type]

    async def claim(self, request: ClaimRequest, timeout: float) -> ClaimResponse:  # noqa: ASYNC109 - the SDK's signature
        future: asyncio.Future[ClaimResponse] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait((request, future))
        return await future

    async def asked(self) -> tuple[int, asyncio.Future[ClaimResponse]]:
        """For how many tasks the next claim asks, and its answer to be."""
        async with asyncio.timeout(5):
            request, answer = await self._asked.get()
        return request.max_tasks, answer

    def _accept(self, response: ClaimResponse) -> None:
        self.free -= len(response.tasks)

    def end_tasks(self, count: int) -> None:
        """Free their slots."""
        self.free += count
        self.claims.wake()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """An agent of four slots that claims."""
    desk = Desk(4)
    run = asyncio.create_task(desk.claims.run())
    yield desk
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


def tasks(count: int) -> ClaimResponse:
    """An answer."""
    response = ClaimResponse()
    for _ in range(count):
        response.tasks.add()
    return response


async def burst(desk: Desk) -> list[Any]:
    """Take all four slots and give them back; the answers that are waited for then, of claims for two."""
    most, answer = await desk.asked()
    assert most == 4
    answer.set_result(tasks(4))
    await asyncio.sleep(0)
    while desk.free:
        await asyncio.sleep(0)
    desk.end_tasks(4)
    (one, first), (two, second) = await desk.asked(), await desk.asked()
    assert (one, two) == (2, 2)
    return [first, second]


async def test_an_agent_that_was_busy_goes_on_asking_when_nothing_is_left(desk: Desk) -> None:
    for answer in await burst(desk):
        answer.set_result(tasks(0))
    most, _ = await desk.asked()
    assert most >= 2


async def test_slots_that_an_answer_left_are_asked_for(desk: Desk) -> None:
    for answer in await burst(desk):
        answer.set_result(tasks(1))
    most, _ = await desk.asked()
    assert most >= 1
