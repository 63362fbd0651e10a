"""TaskService over a real channel."""

from __future__ import annotations

import time

from quarterdeck.v1 import task_pb2

from .api import Api, Error, new_request_id, payload, refused, spec
from .api import tasks_pb as pb

UNKNOWN = "task_0000000000001"


async def test_a_task_goes_from_submit_to_its_result(api: Api) -> None:
    (task_id,) = await api.submit(
        spec(input=payload(b'{"n": 1}'), labels={"team": "red"}, retry={"max_attempts": 7})
    )
    task = await api.claim_one()
    assert (task.task_id, task.name, task.attempt, task.max_attempts) == (task_id, "work", 1, 7)
    assert (task.input.content_type, task.input.data) == ("application/json", b'{"n": 1}')
    assert task.labels == {"team": "red"}
    assert task.lease_expire_time.ToMicroseconds() > time.time_ns() // 1000
    running = await api.get(task_id)
    assert [(a.attempt, a.agent_id, a.outcome) for a in running.attempts] == [(1, "agent-1", 0)]
    result = await api.report(task, succeeded={"result": payload(b"2", "text/plain")})
    assert result.state == task_pb2.TASK_STATE_SUCCEEDED
    found = await api.get(task_id)
    assert found.task.state == task_pb2.TASK_STATE_SUCCEEDED
    assert (found.result.content_type, found.result.data) == ("text/plain", b"2")
    assert found.task.end_time.ToMicroseconds() >= found.task.start_time.ToMicroseconds() > 0
    (attempt,) = found.attempts
    assert attempt.outcome == task_pb2.ATTEMPT_OUTCOME_SUCCEEDED


async def test_a_bad_item_of_a_submit_leaves_its_neighbours_alone(api: Api) -> None:
    request = pb.SubmitRequest(tasks=[spec(), spec(name="not a name"), spec(queue="other")])
    first, second, third = (await api.tasks.Submit(request)).results
    assert first.task_id and third.task_id
    error = Error(second.error)
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", ["tasks[1].name"])


async def test_siblings_are_named_by_their_place_in_the_request(api: Api) -> None:
    request = pb.SubmitRequest(
        tasks=[
            spec(name="!"),
            spec(name="first"),
            spec(name="second", depends_on=["#1"]),
            spec(name="orphan", depends_on=["#0"]),
            spec(name="eager", depends_on=["#4"]),
        ]
    )
    results = (await api.tasks.Submit(request)).results
    second = await api.get(results[2].task_id)
    assert second.depends_on == [results[1].task_id]
    assert second.task.state == task_pb2.TASK_STATE_BLOCKED
    assert list(Error(results[3].error).fields) == ["tasks[3].depends_on"]
    assert list(Error(results[4].error).fields) == ["tasks[4].depends_on[0]"]


async def test_a_repeated_submit_returns_the_first_answer(api: Api) -> None:
    request_id = new_request_id()
    first = await api.submit(spec(), spec(), request_id=request_id)
    assert await api.submit(spec(), spec(), request_id=request_id) == first
    count = await api.tasks.CountTasks(pb.CountTasksRequest())
    assert count.total == 2


async def test_an_idempotency_key_finds_its_task_again(api: Api) -> None:
    (first,) = await api.submit(spec(idempotency_key="order-1"))
    request = pb.SubmitRequest(tasks=[spec(idempotency_key="order-1")])
    (result,) = (await api.tasks.Submit(request)).results
    assert (result.task_id, result.existed) == (first, True)
    request = pb.SubmitRequest(tasks=[spec(name="other", idempotency_key="order-1")])
    (result,) = (await api.tasks.Submit(request)).results
    error = Error(result.error)
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    assert error.metadata == {"idempotency_key": "order-1", "task_id": first}


async def test_a_list_is_read_page_by_page_in_the_order_asked_for(api: Api) -> None:
    ids = await api.submit(*(spec(name=f"n{n}", priority=n % 10) for n in range(25)))
    seen: list[str] = []
    token = ""
    while True:
        page = await api.tasks.ListTasks(
            pb.ListTasksRequest(order_by="name", page_size=10, page_token=token)
        )
        seen += [task.name for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(f"n{n}" for n in range(25))
    newest = await api.tasks.ListTasks(pb.ListTasksRequest(page_size=1))
    assert [task.id for task in newest.tasks] == ids[-1:]
    urgent = await api.tasks.ListTasks(pb.ListTasksRequest(order_by="priority desc", page_size=2))
    assert [task.priority for task in urgent.tasks] == [9, 9]


async def test_a_filter_and_a_namespace_narrow_lists_and_counts(api: Api) -> None:
    await api.submit(spec(queue="red"), spec(queue="blue"), spec(queue="blue"))
    await api.submit(spec(queue="blue"), namespace="tenant")
    page = await api.tasks.ListTasks(pb.ListTasksRequest(filter="queue:blue state:ready"))
    assert [task.queue for task in page.tasks] == ["blue", "blue"]
    count = await api.tasks.CountTasks(pb.CountTasksRequest(filter="queue:blue"))
    assert [(c.state, c.count) for c in count.counts] == [(task_pb2.TASK_STATE_READY, 2)]
    tenant = await api.tasks.CountTasks(pb.CountTasksRequest(namespace="tenant"))
    assert tenant.total == 1


async def test_a_wait_ends_as_soon_as_the_task_does(api: Api) -> None:
    (task_id,) = await api.submit()
    request = pb.WaitTaskRequest(task_id=task_id, wait={"seconds": 20})
    waiting = api.tasks.WaitTask(request)
    task = await api.claim_one()
    await api.report(task, succeeded={"result": payload(b"42")})
    response = await waiting
    assert response.ended
    assert response.result.data == b"42"


async def test_a_wait_answers_before_the_deadline_of_its_client(api: Api) -> None:
    (task_id,) = await api.submit()
    request = pb.WaitTaskRequest(task_id=task_id, wait={"seconds": 30})
    response = await api.tasks.WaitTask(request, timeout=1.2)
    assert not response.ended
    assert response.task.state == task_pb2.TASK_STATE_READY


async def test_a_task_that_waits_is_cancelled_at_once(api: Api) -> None:
    (task_id,) = await api.submit()
    request = pb.CancelTasksRequest(
        task_ids=[task_id, UNKNOWN, "nonsense"], reason="not needed", actor="ops"
    )
    first, unknown, nonsense = (await api.tasks.CancelTasks(request)).results
    assert first.state == task_pb2.TASK_STATE_CANCELLED
    assert Error(unknown.error).reason == "TASK_NOT_FOUND"
    assert Error(nonsense.error).reason == "TASK_NOT_FOUND"
    cancellation = (await api.get(task_id)).task.cancellation
    assert (cancellation.actor, cancellation.reason) == ("ops", "not needed")
    assert cancellation.HasField("stop_time")


async def test_an_ended_task_is_retried_and_a_succeeded_one_is_not(api: Api) -> None:
    failed, succeeded = await api.submit(spec(), spec())
    for task in (await api.claim()).tasks:
        if task.task_id == failed:
            failure = {"type": "E", "message": "broken", "non_retryable": True}
            await api.report(task, failed={"failure": failure})
        else:
            await api.report(task, succeeded={})
    found = (await api.get(failed)).task
    assert (found.reason, found.failure.type) == ("NON_RETRYABLE", "E")
    request = pb.RetryTasksRequest(task_ids=[failed, succeeded, "?"])
    again, refusal, nothing = (await api.tasks.RetryTasks(request)).results
    assert again.state == task_pb2.TASK_STATE_READY
    assert Error(refusal.error).reason == "WRONG_STATE"
    assert Error(nothing.error).reason == "TASK_NOT_FOUND"


async def test_a_task_of_another_tenant_is_not_found(api: Api) -> None:
    (task_id,) = await api.submit(namespace="tenant")
    error = await refused(api.get(task_id))
    assert (error.reason, error.metadata) == ("TASK_NOT_FOUND", {"task_id": task_id})
    assert (await api.get(task_id, namespace="tenant")).task.namespace == "tenant"


async def test_policies_are_kept_as_submitted(api: Api) -> None:
    retry = {"max_attempts": 9, "factor": 3.0, "jitter": 0.0, "non_retryable_types": ["Bad"]}
    timeouts = {"attempt": {"seconds": 60}, "cancel_grace": {"seconds": 5}}
    (task_id,) = await api.submit(spec(retry=retry, timeouts=timeouts))
    found = await api.get(task_id)
    assert (found.retry.max_attempts, found.retry.factor) == (9, 3.0)
    assert (found.retry.jitter, list(found.retry.non_retryable_types)) == (0.0, ["Bad"])
    assert (found.timeouts.attempt.seconds, found.timeouts.cancel_grace.seconds) == (60, 5)
    assert not found.timeouts.HasField("task")


async def test_a_task_with_more_stack_traces_than_an_answer_takes_keeps_the_newest(
    api: Api,
) -> None:
    retry = {"max_attempts": 100, "initial_backoff": {}, "jitter": 0}
    (task_id,) = await api.submit(spec(retry=retry))
    for _ in range(35):
        failure = {"type": "Boom", "message": "x", "stack_trace": "é" * 65_536}
        await api.report(await api.claim_one(), failed={"failure": failure, "retry_delay": {}})
    attempts = (await api.get(task_id)).attempts
    assert len(attempts) == 35
    traced = [bool(attempt.failure.stack_trace) for attempt in attempts]
    assert traced == sorted(traced) and not traced[0] and traced[-1]
    assert {attempt.failure.type for attempt in attempts} == {"Boom"}
