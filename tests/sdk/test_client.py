"""What a client sends, and what it makes of refusals, against a server in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2, json_format

import quarterdeck
from quarterdeck import Retry, Spec, Timeouts
from quarterdeck._status import error_from_status
from quarterdeck.v1 import status_pb2, task_pb2

from .fake import FakeServer, refusal


async def test_concurrent_submits_become_few_calls(fake: FakeServer) -> None:
    async with quarterdeck.AsyncClient(fake.address) as client:
        ids = await asyncio.gather(*(client.submit("a", number) for number in range(500)))
    assert len(set(ids)) == 500
    assert len(fake.submits) < 10
    sent = [int(spec.input.data) for request in fake.submits for spec in request.tasks]
    assert sorted(sent) == list(range(500))


async def test_submits_of_many_threads_become_few_calls(fake: FakeServer) -> None:
    client = quarterdeck.Client(fake.address)
    begin = threading.Barrier(20)

    def submit() -> list[str]:
        begin.wait()
        return [client.submit("a") for _ in range(20)]

    with ThreadPoolExecutor(20) as threads:
        loop = asyncio.get_running_loop()
        ids = await asyncio.gather(*(loop.run_in_executor(threads, submit) for _ in range(20)))
        await loop.run_in_executor(threads, client.close)
    assert len({task_id for some in ids for task_id in some}) == 400
    assert len(fake.submits) < 300


async def test_refused_item_does_not_fail_its_neighbours(fake: FakeServer) -> None:
    fake.refuse["bad"] = refusal(3, "PAYLOAD_TOO_LARGE", "input: too large", limit="8")
    async with quarterdeck.AsyncClient(fake.address) as client:
        good, bad = await asyncio.gather(
            client.submit("good"), client.submit("bad"), return_exceptions=True
        )
    assert isinstance(good, str)
    assert isinstance(bad, quarterdeck.InvalidArgumentError)
    assert (bad.reason, bad.metadata) == ("PAYLOAD_TOO_LARGE", {"limit": "8"})


async def test_submit_is_repeated_with_its_request_id_while_the_server_is_away(
    fake: FakeServer,
) -> None:
    fake.failures["Submit"] = [(grpc.StatusCode.UNAVAILABLE, "away")] * 2
    async with quarterdeck.AsyncClient(fake.address) as client:
        await client.submit("a")
    assert len(fake.submits) == 3
    assert len({request.request_id for request in fake.submits}) == 1
    assert fake.submits[0].request_id


async def test_server_that_stays_away_is_an_error_in_time() -> None:
    async with quarterdeck.AsyncClient("127.0.0.1:9", timeout=0.3) as client:
        with pytest.raises(quarterdeck.UnavailableError, match="cannot be reached"):
            await client.submit("a")


async def test_options_arrive_as_the_wire_wants_them(fake: FakeServer) -> None:
    noon = dt.datetime(2030, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    async with quarterdeck.AsyncClient(fake.address) as client:
        await client.submit(
            "a",
            {"x": 1},
            queue="q",
            priority=0,
            run_at=noon,
            depends_on=["task_1"],
            when_dependencies="ended",
            retry=Retry(max_attempts=5, initial_backoff=0.5, jitter=0.0),
            timeouts=Timeouts(attempt=dt.timedelta(minutes=1), stall=2),
            labels={"k": "v"},
            idempotency_key="key",
            parent="task_0",
        )
        await client.submit("a", delay=1.5, retry=2, timeouts=3)
    first, second = (request.tasks[0] for request in fake.submits)
    wanted = """{
        "name": "a", "queue": "q", "priority": 0, "input": {"data": "eyJ4IjoxfQ=="},
        "runTime": "2030-01-01T10:00:00Z", "dependsOn": ["task_1"],
        "dependencyPolicy": "DEPENDENCY_POLICY_ALL_ENDED",
        "retry": {"maxAttempts": 5, "initialBackoff": "0.5s", "jitter": 0},
        "timeouts": {"attempt": "60s", "stall": "2s"}, "labels": {"k": "v"},
        "idempotencyKey": "key", "parentId": "task_0"
    }"""
    assert first == json_format.Parse(wanted, task_pb2.TaskSpec())
    assert first.HasField("priority")
    assert second.delay.ToTimedelta() == dt.timedelta(seconds=1.5)
    assert second.retry.max_attempts == 2
    assert second.timeouts.attempt.seconds == 3


async def test_instant_without_a_zone_is_refused(fake: FakeServer) -> None:
    async with quarterdeck.AsyncClient(fake.address) as client:
        with pytest.raises(ValueError, match="time zone"):
            await client.submit("a", run_at=dt.datetime(2030, 1, 1))  # noqa: DTZ001


async def test_unknown_option_is_refused(fake: FakeServer) -> None:
    async with quarterdeck.AsyncClient(fake.address) as client:
        with pytest.raises(TypeError, match="prio: unknown option"):
            await client.submit("a", prio=1)  # type: ignore[call-arg]
    assert not fake.submits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depends_on": "task_1"}, "depends_on: expected a list of task ids"),
        ({"when_dependencies": "all"}, "when_dependencies: expected succeeded or ended"),
        ({"priority": "high"}, "priority: expected a whole number from 0 to 9, got 'high'"),
        ({"priority": 2**40}, "priority: expected a whole number from 0 to 9, got 1099511627776"),
        ({"delay": "5s"}, "delay: expected seconds or a timedelta, got '5s'"),
        ({"labels": ["red"]}, r"labels: expected a mapping of text to text, got \['red'\]"),
        ({"labels": {"a": 1}}, "labels: expected a mapping of text to text, got {'a': 1}"),
        ({"queue": 5}, "queue: expected text, got 5"),
        ({"depends_on": [5]}, r"depends_on: expected a list of task ids, got \[5\]"),
        ({"run_at": "tomorrow"}, "run_at: expected a datetime with a time zone, got 'tomorrow'"),
        ({"retry": 0}, "retry: expected at least 1 attempt, and 1 is without a retry, got 0"),
        ({"retry": Retry(max_attempts="3")}, "retry: max_attempts: .*, got Retry"),  # type: ignore[arg-type]
        ({"timeouts": Timeouts(task="5m")}, "timeouts: task: expected seconds or a timedelta, got"),  # type: ignore[arg-type]
        ({"delay": math.inf}, "^delay: expected a finite length of time, got inf$"),
        ({"timeouts": Timeouts(stall=math.inf)}, "stall: expected a finite length"),
        ({"retry": Retry(delays=[math.nan])}, "delays: expected a finite length"),
    ],
)
async def test_option_of_the_wrong_kind_is_named(options: dict[str, Any], message: str) -> None:
    async with quarterdeck.AsyncClient("127.0.0.1:9") as client:
        with pytest.raises((TypeError, ValueError), match=message):
            await client.submit("a", **options)


async def test_item_of_many_with_an_option_of_the_wrong_kind_is_named(fake: FakeServer) -> None:
    specs = [Spec("a"), Spec("a", None, {"run_at": "tomorrow"})]  # type: ignore[arg-type]
    async with quarterdeck.AsyncClient(fake.address) as client:
        with pytest.raises(TypeError, match=r"^specs\[1\]: run_at: expected a datetime"):
            await client.submit_many(specs)
        with pytest.raises(
            quarterdeck.PayloadError, match=r"^specs\[0\]\.input: cannot be encoded"
        ):
            await client.submit_many([Spec("a", object())])
    assert not fake.submits


async def test_wrong_item_of_a_later_call_keeps_the_first_from_being_sent(fake: FakeServer) -> None:
    specs = [Spec("a")] * 1000 + [Spec("a", object())]
    async with quarterdeck.AsyncClient(fake.address) as client:
        with pytest.raises(quarterdeck.PayloadError, match=r"^specs\[1000\]\.input"):
            await client.submit_many(specs)
    assert not fake.submits


async def test_items_that_were_accepted_before_a_call_failed_are_told(fake: FakeServer) -> None:
    fake.failures["Submit"] = [None, (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")]
    async with quarterdeck.AsyncClient(fake.address) as client:
        done = await client.submit_many([Spec("a")] * 1500)
    assert [bool(item.task_id) for item in done] == [True] * 1000 + [False] * 500
    assert {item.error is None for item in done[:1000]} == {True}
    assert {str(item.error) for item in done[1000:]} == {"full"}


@pytest.mark.parametrize("name", ["start", "end"])
def test_instant_of_a_schedule_that_is_none_is_named(name: str) -> None:
    times: Any = {name: "tomorrow"}
    with (
        quarterdeck.Client("127.0.0.1:9") as client,
        pytest.raises(TypeError, match=f"^{name}: expected a datetime with a time zone"),
    ):
        client.schedule("nightly", 60, "report", **times)


def test_schedule_without_a_rule_is_refused() -> None:
    with (
        quarterdeck.Client("127.0.0.1:9") as client,
        pytest.raises(TypeError, match="when: expect"),
    ):
        client.schedule("nightly", None, "report")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": "task"}, "kinds: expected a list of task, agent"),
        ({"kinds": ["tasks"]}, r"kinds: .*, got \['tasks'\]"),
        ({"mode": "all"}, "mode: expected every_change or latest, got 'all'"),
    ],
)
def test_watch_of_what_there_is_not_is_refused(options: dict[str, Any], message: str) -> None:
    with quarterdeck.Client("127.0.0.1:9") as client, pytest.raises(ValueError, match=message):
        client.watch(**options)


@pytest.mark.parametrize(
    "address", ["localhost", "https://host:7400", "host:0", "host:99999", "host:http", ":7400"]
)
def test_address_that_grpc_would_take_for_another_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address: expected host:port"):
        quarterdeck.Client(address)


def test_wrong_address_of_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUARTERDECK_SERVER", "localhost")
    with pytest.raises(ValueError, match=r"got 'localhost' \(from QUARTERDECK_SERVER\)$"):
        quarterdeck.Client()
    with pytest.raises(ValueError, match=r"got 'host'$"):
        quarterdeck.Client("host")


@pytest.mark.parametrize(
    "address", ["host:1", "127.0.0.1:7400", "[::1]:65535", "http://host:7400/"]
)
def test_address_is_taken(address: str) -> None:
    assert quarterdeck.Client(address).address in address


def test_wait_for_a_server_that_is_away_ends_in_time() -> None:
    began = time.monotonic()
    with quarterdeck.Client("127.0.0.1:9") as client, pytest.raises(quarterdeck.UnavailableError):
        client.wait("task_0000000000001", timeout=0)
    assert time.monotonic() - began < 5


async def test_references_between_items_hold_over_several_calls(fake: FakeServer) -> None:
    specs = [Spec("first")] + [Spec("next", options={"depends_on": [f"#{n}"]}) for n in range(1500)]
    async with quarterdeck.AsyncClient(fake.address) as client:
        done = await client.submit_many(specs)
    assert [len(request.tasks) for request in fake.submits] == [1000, 501]
    assert list(fake.submits[0].tasks[999].depends_on) == ["#998"]
    assert list(fake.submits[1].tasks[0].depends_on) == [done[999].task_id]
    assert list(fake.submits[1].tasks[1].depends_on) == ["#0"]


async def test_large_inputs_are_spread_over_calls(fake: FakeServer) -> None:
    async with quarterdeck.AsyncClient(fake.address) as client:
        await client.submit_many([Spec("a", "x" * 900_000) for _ in range(5)])
        await asyncio.gather(*(client.submit("a", "x" * 900_000) for _ in range(5)))
    assert max(request.ByteSize() for request in fake.submits) < 4 << 20
    assert sum(len(request.tasks) for request in fake.submits) == 10


def test_status_of_google_rpc_becomes_a_typed_error() -> None:
    wrong = status_pb2.BadRequest(
        field_violations=[
            status_pb2.FieldViolation(field="tasks[0].name", description="expected a name")
        ]
    )
    retry = status_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2))
    status = refusal(3, "INVALID_FIELD", "no", field="tasks[0].name")
    for message in (wrong, retry):
        url = f"type.googleapis.com/google.rpc.{message.DESCRIPTOR.name}"
        status.details.append(any_pb2.Any(type_url=url, value=message.SerializeToString()))
    error = error_from_status(status)
    assert type(error) is quarterdeck.InvalidArgumentError
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert error.fields == {"tasks[0].name": "expected a name"}
    assert error.retry_delay == 2.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (5, quarterdeck.NotFoundError),
        (6, quarterdeck.ConflictError),
        (8, quarterdeck.LimitExceededError),
        (9, quarterdeck.WrongStateError),
        (10, quarterdeck.ConflictError),
        (11, quarterdeck.WatchTokenExpiredError),
        (14, quarterdeck.UnavailableError),
        (13, quarterdeck.ApiError),
        (99, quarterdeck.ApiError),
    ],
)
def test_each_code_has_its_class(code: int, kind: type[quarterdeck.ApiError]) -> None:
    assert type(error_from_status(status_pb2.Status(code=code))) is kind
