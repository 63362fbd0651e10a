"""What attempts save for the next one, in the store."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine.commands import Beat, Expire, RecordBeats
from quarterdeck_server.engine.model import Payload, Task

from ..engine import make
from .desk import Desk


async def save(desk: Desk, task: Task, data: bytes) -> None:
    """A heartbeat with details."""
    await desk.do(
        RecordBeats([Beat(task.id, task.lease_token or 0, details=Payload("text/plain", data))])
    )


@pytest.mark.parametrize("size", [0, 1, 16 * 1024 - 1, 16 * 1024, 1024 * 1024])
async def test_details_of_any_size_reach_the_next_attempt(desk: Desk, size: int) -> None:
    saved = Payload("text/plain", b"x" * size)
    (task_id,) = await desk.submit(make.spec())
    (task,) = await desk.claim()
    assert await desk.store.get_details(task_id) is None
    await save(desk, task, saved.data)
    assert await desk.store.get_details(task_id) == saved
    detail = await desk.store.get_task("default", task_id)
    assert detail is not None and detail.details == saved
    await desk.do(Expire([(task_id, task.lease_token or 0)]))
    claim = make.claim()
    await desk.group(claims=[claim])
    assert claim.details == {task_id: saved}


async def test_large_details_that_were_replaced_leave_others_alone(desk: Desk) -> None:
    large = b"x" * 40_000
    first, second = await desk.submit(make.spec(data=large), make.spec())
    one, other = await desk.claim(2)
    await save(desk, one, large)
    await save(desk, other, large)
    await save(desk, one, b"small")
    assert (await desk.store.get_details(second) or b"") == Payload("text/plain", large)
    await save(desk, other, b"small")
    detail = await desk.store.get_task("default", first)
    assert detail is not None and detail.input is not None
    assert detail.input.data == large
