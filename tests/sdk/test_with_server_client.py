"""The clients on a real server: every method once, and a watch over a restart."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck import Cron, Spec
from quarterdeck.testing import Server, start_server

agent = quarterdeck.Agent("worker", slots=4, labels={"zone": "a"}, version="1.2")


@agent.task
async def add(run: quarterdeck.Run, numbers: list[int]) -> int:
    for number in numbers:
        run.log.info("adding %d", number)
    return sum(numbers)


@agent.task
def breaks(run: quarterdeck.Run) -> None:
    raise quarterdeck.Fail("no use", type="NoUse")


@agent.task
async def waits(run: quarterdeck.Run) -> None:
    run.progress("waiting", 1, 3)
    run.log.info("waiting")
    await asyncio.Event().wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with one agent for the tests that only look."""
    with start_server(tmp_path_factory.mktemp("server")) as running, running.running(agent):
        yield running


@pytest.fixture
def client(server: Server) -> quarterdeck.Client:
    return server.client


def test_result_comes_as_the_type_that_is_asked_for(client: quarterdeck.Client) -> None:
    task_id = client.submit("add", [1, 2], labels={"kind": "sum"})
    assert client.result(task_id, int, timeout=20) == 3
    task = client.wait(task_id)
    assert (task.state, task.attempt, task.labels) == ("succeeded", 1, {"kind": "sum"})
    assert task.ended
    assert task.state == quarterdeck.TaskState.SUCCEEDED
    with pytest.raises(quarterdeck.PayloadError, match="expected a string"):
        client.result(task_id, str)


def test_task_that_failed_says_why(client: quarterdeck.Client) -> None:
    task_id = client.submit("breaks")
    with pytest.raises(quarterdeck.TaskFailedError, match="NoUse: no use") as caught:
        client.result(task_id, timeout=20)
    assert (caught.value.state, caught.value.failure_type) == ("failed", "NoUse")
    details = client.get(task_id)
    assert details.task.failure is not None
    assert [attempt.outcome for attempt in details.attempts] == ["failed"]
    assert client.retry(task_id) in ("ready", "running")
    assert client.wait(task_id, 20).attempt == 2


def test_wait_ends_in_time_and_the_task_goes_on(client: quarterdeck.Client) -> None:
    task_id = client.submit("add", [1], delay=60)
    with pytest.raises(quarterdeck.WaitTimeoutError):
        client.wait(task_id, 0.05)
    assert client.get(task_id).task.state == "scheduled"
    assert client.cancel(task_id, "not needed", actor="me") == "cancelled"
    with pytest.raises(quarterdeck.TaskFailedError, match="cancelled"):
        client.result(task_id)
    with pytest.raises(quarterdeck.WrongStateError):
        client.cancel(client.submit("add", [], idempotency_key="once") and _ended(client))


def _ended(client: quarterdeck.Client) -> str:
    task_id = client.submit("add", [])
    client.wait(task_id, 20)
    return task_id


def test_log_is_followed_to_its_end(client: quarterdeck.Client) -> None:
    task_id = client.submit("add", [5, 6])
    lines = list(client.logs(task_id, follow=True))
    assert [line.text for line in lines] == ["adding 5", "adding 6"]
    assert (lines[0].level, lines[0].stream, lines[0].attempt) == ("info", "log", 1)
    assert [line.text for line in client.logs(task_id, after=-1)] == ["adding 6"]
    assert [line.text for line in client.logs(task_id, after=lines[0].sequence)] == ["adding 6"]


def test_lists_fetch_page_after_page(client: quarterdeck.Client) -> None:
    client.submit("add", [0])
    done = client.submit_many(
        [Spec("add", [n], {"labels": {"batch": "pages"}, "queue": "paged"}) for n in range(7)]
    )
    listed = list(client.list("queue:paged", order_by="create_time", page_size=3))
    assert [task.id for task in listed] == [item.task_id for item in done]
    assert client.count("queue:paged") == {"ready": 7}
    assert {queue.name for queue in client.queues(page_size=1)} >= {"paged", "default"}
    [found] = [a for a in client.agents() if a.info is not None and a.info.name == "worker"]
    assert found.info is not None
    assert (found.state, found.info.version, found.info.labels) == ("active", "1.2", {"zone": "a"})


def test_same_key_is_the_same_task(client: quarterdeck.Client) -> None:
    first, second, other = client.submit_many(
        [
            Spec("add", [1], {"idempotency_key": "k"}),
            Spec("add", [1], {"idempotency_key": "k"}),
            Spec("add", [2], {"idempotency_key": "k"}),
        ]
    )
    assert (second.task_id, second.existed) == (first.task_id, True)
    assert isinstance(other.error, quarterdeck.ConflictError)
    assert other.error.reason == "IDEMPOTENCY_KEY_REUSED"


def test_paused_queue_hands_out_nothing(client: quarterdeck.Client) -> None:
    assert client.pause_queue("default", "me: lunch").pause_note == "me: lunch"
    task_id = client.submit("add", [1])
    with pytest.raises(quarterdeck.WaitTimeoutError):
        client.wait(task_id, 0.2)
    assert not client.resume_queue("default").paused
    assert client.result(task_id, timeout=20) == 1


def test_schedule_lives_its_life(client: quarterdeck.Client) -> None:
    made = client.schedule("nightly", Cron("0 2 * * *", "Europe/Berlin"), "add", [1])
    assert made.spec is not None
    assert made.spec.cron is not None
    assert made.spec.cron.time_zone == "Europe/Berlin"
    assert client.get_schedule("nightly").next_time == made.next_time
    assert client.preview_schedule("nightly", count=1) == [made.next_time]
    assert client.result(client.trigger_schedule("nightly"), int, timeout=20) == 1
    assert client.pause_schedule("nightly", "me").paused
    assert not client.resume_schedule("nightly").paused
    assert [schedule.id for schedule in client.schedules()] == ["nightly"]
    client.delete_schedule("nightly")
    with pytest.raises(quarterdeck.NotFoundError) as caught:
        client.get_schedule("nightly")
    assert caught.value.metadata == {"schedule_id": "nightly"}


def test_rule_is_previewed_without_a_schedule(client: quarterdeck.Client) -> None:
    after = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    times = client.preview_schedule(when="*/10 * * * *", count=2, after=after)
    assert times == [after + dt.timedelta(minutes=10), after + dt.timedelta(minutes=20)]


def test_server_says_what_it_is(client: quarterdeck.Client) -> None:
    info = client.server_info()
    assert "claim.replay" in info.capabilities
    assert info.limits is not None
    assert info.limits.max_payload_bytes == 1 << 20


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda c: c.submit("two words"), quarterdeck.InvalidArgumentError, "INVALID_FIELD"),
        (lambda c: c.submit("add", "x" * (1 << 20)), quarterdeck.InvalidArgumentError, "PAYLOAD_TOO_LARGE"),
        (lambda c: c.get("task_0000000000000"), quarterdeck.NotFoundError, "TASK_NOT_FOUND"),
        (lambda c: list(c.list("state:nowhere")), quarterdeck.InvalidArgumentError, "INVALID_FILTER"),
        (lambda c: c.schedule("s", "61 * * * *", "add"), quarterdeck.InvalidArgumentError, "INVALID_SCHEDULE"),
        (lambda c: c.drain_agent("nobody"), quarterdeck.NotFoundError, "AGENT_NOT_FOUND"),
        (lambda c: next(c.watch(resume_token="bad")), quarterdeck.WatchTokenExpiredError, "WATCH_TOKEN_EXPIRED"),
    ],
)  # fmt: skip
def test_refusal_is_typed_and_has_its_reason(
    client: quarterdeck.Client, call: object, error: type[quarterdeck.ApiError], reason: str
) -> None:
    assert callable(call)
    with pytest.raises(error) as caught:
        call(client)
    assert caught.value.reason == reason


async def test_cancel_reaches_a_running_handler_with_its_proof(server: Server) -> None:
    async with quarterdeck.AsyncClient(server.address) as client:
        task_id = await client.submit("waits")
        async with client.watch(["task"], filter=f"id:{task_id}") as watch:
            async for change in watch:
                assert isinstance(change.resource, quarterdeck.Task)
                progress = change.resource.progress
                if progress is not None:
                    assert progress.message == "waiting"
                    break
        assert await client.cancel(task_id, "enough") == "running"
        task = await client.wait(task_id, 20)
    assert task.state == "cancelled"
    steps = task.cancellation
    assert steps is not None
    assert steps.reason == "enough"
    assert steps.request_time and steps.deliver_time
    assert steps.acknowledge_time and steps.stop_time
    assert steps.escalate_time is None


async def test_watch_goes_on_over_a_restart_and_misses_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        async with quarterdeck.AsyncClient(server.address) as client:
            await client.submit("first")
            async with client.watch(["task"]) as watch:
                first = await anext(watch)
                assert (first.type, first.kind) == ("snapshot", "task")
                await client.submit("last-before")
                assert (await anext(watch)).type == "created"
                assert watch.snapshot_complete
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await client.submit("second")
                second = await asyncio.wait_for(anext(watch), 20)
                assert isinstance(second.resource, quarterdeck.Task)
                assert (second.type, second.resource.name) == ("created", "second")
                token = watch.resume_token
            await client.submit("third")
            async with client.watch(["task"], resume_token=token) as again:
                names = [(await asyncio.wait_for(anext(again), 20)).resource for _ in range(2)]
            assert {task.name for task in names if isinstance(task, quarterdeck.Task)} >= {"third"}
    finally:
        await asyncio.to_thread(server.stop)


def test_closing_a_watch_ends_the_thread_that_iterates_it(client: quarterdeck.Client) -> None:
    watch = client.watch(["queue"], skip_snapshot=True)
    seen: list[quarterdeck.Change] = []
    thread = threading.Thread(target=lambda: seen.extend(watch))
    thread.start()
    watch.close()
    thread.join(10)
    assert not thread.is_alive()
