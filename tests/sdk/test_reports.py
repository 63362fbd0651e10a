"""How reports reach a server that refuses them or is away, against a server in memory."""

from __future__ import annotations

import grpc
import pytest

import quarterdeck

from .conftest import Fleet
from .fake import FakeServer, refusal


async def test_report_is_repeated_until_it_is_answered(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> None: ...

    fake.failures["Report"] = [
        (grpc.StatusCode.UNAVAILABLE, "away"),
        (grpc.StatusCode.INTERNAL, "oops"),
    ]
    fleet(agent)
    await fake.report_of(fake.give("quick"))
    assert fake.failures["Report"] == []


async def test_report_that_is_too_large_becomes_a_failure_and_spares_its_neighbours(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> int:
        return 1

    fleet(agent)
    large, small = "task_large", "task_small"
    fake.refuse[large] = refusal(3, "PAYLOAD_TOO_LARGE", "result: 9 bytes, the limit is 8")
    fake.give("quick", task_id=large)
    fake.give("quick", task_id=small)
    await fake.until(lambda: len(fake.reports.get(large, ())) == 2)
    first, second = fake.reports[large]
    assert first.HasField("succeeded")
    assert second.failed.failure.type == "PAYLOAD_TOO_LARGE"
    assert second.failed.failure.non_retryable
    assert (await fake.report_of(small)).HasField("succeeded")


async def test_report_is_kept_when_the_server_asks_to_slow_down(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> int:
        return 1

    fake.abort_with["Report"] = [refusal(8, "LIMIT_EXCEEDED")]
    fleet(agent)
    report = await fake.report_of(fake.give("quick"))
    assert report.succeeded.result.data == b"1"
    assert fake.abort_with["Report"] == []


async def test_report_of_a_lost_lease_is_dropped(
    fake: FakeServer, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> None: ...

    fleet(agent)
    fake.refuse["task_late"] = refusal(9, "LEASE_LOST")
    fake.give("quick", task_id="task_late")
    await fake.report_of("task_late")
    await fake.report_of(fake.give("quick"))
    assert len(fake.reports["task_late"]) == 1
    await fake.until(lambda: "was refused: LEASE_LOST" in caplog.text)
