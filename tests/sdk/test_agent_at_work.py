"""What an agent does with what it claims, against a server in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import pytest

import quarterdeck
from quarterdeck.v1 import agent_service_pb2 as pb

from .conftest import Fleet
from .fake import FakeServer


@dataclass
class Question:
    text: str
    limit: int = 3


async def test_result_is_reported_under_the_token_of_the_claim(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def ask(run: quarterdeck.Run, question: Question) -> list[str]:
        return [question.text] * question.limit

    fleet(agent)
    task_id = fake.give("ask", b'{"text": "why"}')
    report = await fake.report_of(task_id)
    assert json.loads(report.succeeded.result.data) == ["why", "why", "why"]
    assert report.lease_token == b"token-1"


async def test_claim_names_the_handlers_and_the_free_slots(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a", slots=3, queues=["fast", "slow"])
    release = asyncio.Event()

    @agent.task
    async def hold(run: quarterdeck.Run) -> None:
        await release.wait()

    @agent.task(name="other.name")
    def other(run: quarterdeck.Run) -> None: ...

    fleet(agent)
    await fake.until(lambda: fake.claims)
    assert list(fake.claims[0].names) == ["hold", "other.name"]
    assert list(fake.claims[0].queues) == ["fast", "slow"]
    assert fake.claims[0].max_tasks == 3
    fake.give("hold")
    await fake.until(lambda: len(fake.claims) == 2)
    assert fake.claims[1].max_tasks == 2
    release.set()


async def test_no_claim_is_made_while_all_slots_are_taken(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a", slots=1)
    started, release = asyncio.Event(), asyncio.Event()

    @agent.task
    async def hold(run: quarterdeck.Run) -> None:
        started.set()
        await release.wait()

    fleet(agent)
    fake.give("hold")
    await started.wait()
    beats = len(fake.beats)
    fake.touch()
    assert len(fake.claims) == 1
    release.set()
    await fake.until(lambda: len(fake.claims) == 2)
    assert len(fake.beats) >= beats


async def test_sync_handler_runs_in_a_thread_of_its_own(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    def where(run: quarterdeck.Run) -> bool:
        return threading.current_thread() is threading.main_thread()

    fleet(agent)
    report = await fake.report_of(fake.give("where"))
    assert report.succeeded.result.data == b"false"


async def test_exception_is_a_retryable_failure_with_its_trace(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def breaks(run: quarterdeck.Run) -> None:
        raise LookupError("no such page")

    fleet(agent)
    failure = (await fake.report_of(fake.give("breaks"))).failed.failure
    assert (failure.type, failure.message) == ("LookupError", "no such page")
    assert "in breaks" in failure.stack_trace
    assert not failure.non_retryable


async def test_fail_is_never_retried(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    def refuses(run: quarterdeck.Run) -> None:
        raise quarterdeck.Fail("bad page", type="BadPage")

    fleet(agent)
    failure = (await fake.report_of(fake.give("refuses"))).failed.failure
    assert failure.type == "BadPage"
    assert failure.non_retryable


class Unmade(quarterdeck.Fail):
    def __init__(self) -> None:
        Exception.__init__(self, "half \ud800 made")


class UnmadeLater(quarterdeck.RetryLater):
    def __init__(self) -> None:
        Exception.__init__(self, "later")


class Changed(quarterdeck.RetryLater):
    def __init__(self) -> None:
        super().__init__(1)
        self.delay = math.inf


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (Unmade, ("failed", "Unmade", "half ? made")),
        (UnmadeLater, ("failed", "UnmadeLater", "later")),
        (Changed, ("failed", "Changed", "asked to be tried again in 1 s")),
        (lambda: GeneratorExit("no"), ("failed", "GeneratorExit", "no")),
        (lambda: asyncio.CancelledError("no \ud800"), ("cancelled", "", "no ?")),
        (
            lambda: quarterdeck.Fail("no", type=5),  # type: ignore[arg-type]
            ("failed", "TypeError", "type: expected text, got 5"),
        ),
    ],
)
async def test_whatever_a_handler_raises_ends_its_attempt(
    fake: FakeServer, fleet: Fleet, odd: Callable[[], BaseException], said: tuple[str, str, str]
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def breaks(run: quarterdeck.Run) -> None:
        raise odd()

    fleet(agent)
    report = await fake.report_of(fake.give("breaks"))
    failure = report.failed.failure
    told = failure.message or report.cancelled.message
    assert (report.WhichOneof("outcome"), failure.type, told) == said
    assert not report.failed.HasField("retry_delay")


def test_a_delay_that_no_server_takes_is_refused_where_it_is_chosen() -> None:
    with pytest.raises(ValueError, match="expected 0 to 3153600000 seconds"):
        quarterdeck.RetryLater(4e9)


async def test_retry_later_chooses_the_delay(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def busy(run: quarterdeck.Run) -> None:
        raise quarterdeck.RetryLater(2.5, "rate limit")

    fleet(agent)
    failed = (await fake.report_of(fake.give("busy"))).failed
    assert failed.retry_delay.ToTimedelta().total_seconds() == 2.5
    assert failed.failure.message == "rate limit"
    assert not failed.HasField("back_off")


async def test_retry_later_lets_the_queue_or_the_key_rest(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def busy(run: quarterdeck.Run) -> None:
        raise quarterdeck.RetryLater(5, back_off=dt.timedelta(seconds=30))

    @agent.task
    async def busy_key(run: quarterdeck.Run) -> None:
        raise quarterdeck.RetryLater(5, back_off=1.5, back_off_key_only=True)

    fleet(agent)
    whole = (await fake.report_of(fake.give("busy"))).failed
    assert (whole.back_off.ToSeconds(), whole.back_off_key_only) == (30, False)
    key = (await fake.report_of(fake.give("busy_key"))).failed
    assert (key.back_off.ToMilliseconds(), key.back_off_key_only) == (1500, True)


@pytest.mark.parametrize("seconds", [-1, 3601, float("nan")])
def test_a_rest_is_an_hour_at_most(seconds: float) -> None:
    with pytest.raises(ValueError, match="back_off: expected 0 to 3600 seconds"):
        quarterdeck.RetryLater(1, back_off=seconds)


async def test_input_that_does_not_fit_fails_for_good_and_names_the_field(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def ask(run: quarterdeck.Run, question: Question) -> None: ...

    fleet(agent)
    task_id = fake.give("ask", b'{"text": "why", "limit": "many"}')
    failure = (await fake.report_of(task_id)).failed.failure
    assert failure.non_retryable
    assert failure.message == 'input.limit: expected a whole number, got "many"'


async def test_result_without_json_form_fails_for_good(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def odd(run: quarterdeck.Run) -> object:
        return object()

    fleet(agent)
    failure = (await fake.report_of(fake.give("odd"))).failed.failure
    assert failure.non_retryable
    assert "has no JSON form" in failure.message


async def test_all_lines_are_stored_before_the_report(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")
    count = 2_500

    @agent.task
    async def talks(run: quarterdeck.Run) -> None:
        for number in range(count):
            run.log.info("line %d", number)

    fleet(agent)
    fake.failures["AppendLogs"] = [(grpc.StatusCode.UNAVAILABLE, "away")]
    task_id = fake.give("talks")
    await fake.report_of(task_id)
    assert fake.log_lines[task_id] == [f"line {number}" for number in range(count)]


async def test_progress_arrives_long_before_the_next_heartbeat_is_due(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")
    release = asyncio.Event()

    @agent.task
    async def works(run: quarterdeck.Run) -> None:
        run.progress("reading", done=1, total=4)
        await release.wait()

    fleet(agent)
    fake.give("works")
    beat = await fake.until(
        lambda: [b for r in fake.beats for b in r.leases if b.HasField("progress")]
    )
    assert (beat[0].progress.message, beat[0].progress.total) == ("reading", 4)
    release.set()


async def test_the_last_progress_comes_with_the_report(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    def counts(run: quarterdeck.Run) -> None:
        for number in range(1, 13):
            run.progress("at", number, 12)

    fleet(agent)
    report = await fake.report_of(fake.give("counts"))
    assert report.progress.done == 12


async def test_cancel_interrupts_is_acknowledged_and_reported(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")
    started = asyncio.Event()
    seen: list[str] = []

    @agent.task
    async def waits(run: quarterdeck.Run) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(run.cancelled.reason)
            await fake.until(
                lambda: any(b.cancel_acknowledged for r in fake.beats for b in r.leases)
            )
            raise

    fleet(agent)
    task_id = fake.give("waits")
    await started.wait()
    fake.direct(task_id, pb.DIRECTIVE_CANCEL, "not needed")
    report = await fake.report_of(task_id)
    assert report.WhichOneof("outcome") == "cancelled"
    assert seen == ["not needed"]


async def test_sync_handler_sees_the_cancel(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")
    started = threading.Event()

    @agent.task
    def waits(run: quarterdeck.Run) -> None:
        started.set()
        assert run.cancelled.sleep(30)

    fleet(agent)
    task_id = fake.give("waits")
    await asyncio.to_thread(started.wait)
    fake.direct(task_id, pb.DIRECTIVE_CANCEL)
    report = await fake.report_of(task_id)
    assert report.WhichOneof("outcome") == "cancelled"


async def test_result_of_a_handler_that_ignores_the_cancel_counts(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")
    started, release = threading.Event(), threading.Event()

    @agent.task
    def stubborn(run: quarterdeck.Run) -> int:
        started.set()
        release.wait()
        return 7

    fleet(agent)
    task_id = fake.give("stubborn")
    await asyncio.to_thread(started.wait)
    fake.direct(task_id, pb.DIRECTIVE_CANCEL)
    await fake.until(lambda: any(b.cancel_acknowledged for r in fake.beats for b in r.leases))
    release.set()
    assert (await fake.report_of(task_id)).succeeded.result.data == b"7"


async def test_lost_lease_stops_the_handler_and_is_not_reported(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")
    started, stopped = asyncio.Event(), asyncio.Event()

    @agent.task
    async def waits(run: quarterdeck.Run) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @agent.task
    async def after(run: quarterdeck.Run) -> None: ...

    fleet(agent)
    lost = fake.give("waits")
    await started.wait()
    fake.direct(lost, pb.DIRECTIVE_LOST)
    await stopped.wait()
    await fake.report_of(fake.give("after"))
    assert lost not in fake.reports


async def test_repeated_claim_carries_the_same_request_id(fake: FakeServer, fleet: Fleet) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> None: ...

    fake.failures["Claim"] = [(grpc.StatusCode.UNAVAILABLE, "away")]
    fleet(agent)
    await fake.until(lambda: len(fake.claims) >= 2)
    assert fake.claims[0] == fake.claims[1]
    assert fake.claims[0].request_id


async def test_agent_that_the_server_will_never_accept_ends_with_the_reason(
    fake: FakeServer, fleet: Fleet
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    async def quick(run: quarterdeck.Run) -> None: ...

    fake.failures["Claim"] = [(grpc.StatusCode.INVALID_ARGUMENT, "agent: no")] * 5
    with pytest.raises(quarterdeck.InvalidArgumentError, match="agent: no"):
        await fleet(agent)
