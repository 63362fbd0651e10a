"""Every limit of time ends in a named reason, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.v1 import task_pb2

from .api import Api, spec
from .api import tasks_pb as tasks
from .conftest import Server

SHORT = {"nanos": 1_000_000}
ONCE = {"max_attempts": 1}


async def ended(api: Api, task_id: str) -> Any:
    """A task that has ended, with all that belongs to it."""
    request = tasks.WaitTaskRequest(task_id=task_id, wait={"seconds": 20})
    assert (await api.tasks.WaitTask(request)).ended
    return await api.get(task_id)


async def test_a_task_that_nobody_starts_in_time_expires(api: Api) -> None:
    (task_id,) = await api.submit(spec(timeouts={"schedule_to_start": SHORT}))
    task = (await ended(api, task_id)).task
    assert (task.state, task.reason) == (
        task_pb2.TASK_STATE_EXPIRED,
        "SCHEDULE_TO_START_TIMEOUT",
    )


@pytest.mark.parametrize(
    ("limit", "reason", "failure"),
    [
        ("attempt", "ATTEMPTS_EXHAUSTED", "ATTEMPT_TIMEOUT"),
        ("stall", "ATTEMPTS_EXHAUSTED", "STALLED"),
        ("task", "TASK_TIMEOUT", "TASK_TIMEOUT"),
    ],
)
async def test_an_attempt_that_takes_too_long_is_revoked(
    api: Api, limit: str, reason: str, failure: str
) -> None:
    # Long enough to be claimed in time.
    (task_id,) = await api.submit(spec(timeouts={limit: {"nanos": 200_000_000}}, retry=ONCE))
    assert (await api.claim_one()).task_id == task_id
    details = await ended(api, task_id)
    assert (details.task.state, details.task.reason) == (task_pb2.TASK_STATE_FAILED, reason)
    (attempt,) = details.attempts
    assert (attempt.outcome, attempt.failure.type) == (
        task_pb2.ATTEMPT_OUTCOME_REVOKED,
        failure,
    )


async def test_a_lease_that_nobody_renews_is_lost(make_server: Callable[..., Server]) -> None:
    server = await make_server(lease_duration=1.0, heartbeat_interval=0.2).start()
    try:
        (task_id,) = await server.api.submit(spec(retry={"max_crashes": 1}))
        await server.api.claim_one()
        details = await ended(server.api, task_id)
    finally:
        await server.stop()
    assert (details.task.state, details.task.reason) == (task_pb2.TASK_STATE_FAILED, "POISON")
    (attempt,) = details.attempts
    assert (attempt.outcome, attempt.failure.type) == (
        task_pb2.ATTEMPT_OUTCOME_LOST,
        "LEASE_LOST",
    )
