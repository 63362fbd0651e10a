"""Unique, debounce and throttle keys, delays of retries and attributes over a real channel."""

from __future__ import annotations

from typing import Any

from quarterdeck.v1 import task_pb2

from .api import Api, Error, payload, spec
from .api import tasks_pb as pb


async def submitted(api: Api, **fields: Any) -> Any:
    """The result of one spec."""
    (result,) = (await api.tasks.Submit(pb.SubmitRequest(tasks=[spec(**fields)]))).results
    return result


async def test_a_taken_unique_key_is_refused_with_its_task(api: Api) -> None:
    first = await submitted(api, unique={"key": "invoice-7"})
    error = Error((await submitted(api, unique={"key": "invoice-7"})).error)
    assert error.reason == "UNIQUE_KEY_TAKEN"
    assert error.metadata == {"unique_key": "invoice-7", "task_id": first.task_id}
    again = await submitted(
        api, unique={"key": "invoice-7", "policy": task_pb2.UNIQUE_POLICY_RETURN_EXISTING}
    )
    assert (again.task_id, again.existed) == (first.task_id, True)
    after = await submitted(
        api, unique={"key": "invoice-7", "policy": task_pb2.UNIQUE_POLICY_AFTER_EXISTING}
    )
    found = await api.get(after.task_id)
    assert found.task.state == task_pb2.TASK_STATE_BLOCKED
    assert found.depends_on == [first.task_id]


async def test_a_burst_is_one_task_with_the_last_input(api: Api) -> None:
    key = {"key": "index", "delay": {"seconds": 60}}
    results = [await submitted(api, debounce=key, input=payload(str(n).encode())) for n in range(3)]
    assert {result.task_id for result in results} == {results[0].task_id}
    found = await api.get(results[0].task_id)
    assert found.input.data == b"2"
    assert found.task.state == task_pb2.TASK_STATE_SCHEDULED


async def test_a_submit_over_the_throttle_is_answered_with_the_last_task(api: Api) -> None:
    key = {"key": "mail", "limit": 2, "period": {"seconds": 60}}
    results = [await submitted(api, throttle=key) for _ in range(3)]
    assert [result.existed for result in results] == [False, False, True]
    assert results[2].task_id == results[1].task_id


async def test_delays_and_attributes_are_shown_as_sent(api: Api) -> None:
    facts = {"cost": {"number": 2.5}, "dry": {"flag": True}, "who": {"text": "ann"}}
    (task_id,) = await api.submit(
        spec(retry={"delays": [{"seconds": 1}, {"seconds": 30}]}, attributes=facts)
    )
    found = await api.get(task_id)
    assert [delay.seconds for delay in found.retry.delays] == [1, 30]
    assert not found.retry.HasField("initial_backoff")
    assert found.task.attributes["cost"].number == 2.5
    assert found.task.attributes["dry"].flag and found.task.attributes["who"].text == "ann"
    (claimed,) = (await api.claim("agent-1")).tasks
    assert claimed.attributes["cost"].number == 2.5


async def test_an_unknown_parent_is_refused_and_a_cancelled_one_cancels(api: Api) -> None:
    error = Error((await submitted(api, parent_id="task_0000000000009")).error)
    assert error.reason == "TASK_NOT_FOUND"
    (parent,) = await api.submit()
    await api.tasks.CancelTasks(pb.CancelTasksRequest(task_ids=[parent], reason="enough"))
    child = await submitted(api, parent_id=parent)
    found = await api.get(child.task_id)
    assert found.task.state == task_pb2.TASK_STATE_CANCELLED
    assert found.task.cancellation.reason == "enough"


async def test_tasks_are_found_by_group_attributes_and_origin(api: Api) -> None:
    cheap, dear = await api.submit(
        spec(attributes={"cost": {"number": 1}}, group_key="a"),
        spec(attributes={"cost": {"number": 7.5}, "dry": {"flag": True}}, group_key="b"),
    )
    await api.tasks.CancelTasks(pb.CancelTasksRequest(task_ids=[dear]))
    again = await api.tasks.RerunTasks(pb.RerunTasksRequest(task_ids=[dear]))
    copy = again.results[0].task_id
    for text, wanted in {
        "attr.cost>5": [dear, copy],
        "attr.cost:1": [cheap],
        "attr.dry": [dear, copy],
        "group:b state:ready": [copy],
        f"rerun_of:{dear}": [copy],
        "paused:yes": [],
    }.items():
        page = await api.tasks.ListTasks(pb.ListTasksRequest(filter=text, order_by="create_time"))
        assert sorted(task.id for task in page.tasks) == sorted(wanted), text
