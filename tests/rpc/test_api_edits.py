"""UpdateTasks and RerunTasks over a real channel."""

from __future__ import annotations

import time
from typing import Any

import pytest

from quarterdeck.v1 import task_pb2

from .api import Api, Error, fleet_pb, new_request_id, payload, refused, spec
from .api import tasks_pb as pb


async def update(api: Api, *task_ids: str, **fields: Any) -> list[Any]:
    """The results of an update."""
    request = pb.UpdateTasksRequest(task_ids=task_ids, update=fields)
    return list((await api.tasks.UpdateTasks(request)).results)


async def rerun(api: Api, *task_ids: str, **fields: Any) -> list[Any]:
    """The results of a rerun."""
    request = pb.RerunTasksRequest(task_ids=task_ids, **fields)
    return list((await api.tasks.RerunTasks(request)).results)


async def test_a_waiting_task_is_moved_hurried_and_postponed(api: Api) -> None:
    (task_id,) = await api.submit()
    (result,) = await update(
        api,
        task_id,
        priority=0,
        queue="night",
        delay={"seconds": 3600},
        retry={"delays": [{"seconds": 5}], "max_attempts": 9},
        timeouts={"task": {"seconds": 7200}},
        labels={"team": "red"},
    )
    assert result.state == task_pb2.TASK_STATE_SCHEDULED
    found = await api.get(task_id)
    task = found.task
    assert (task.priority, task.queue, task.labels) == (0, "night", {"team": "red"})
    assert task.run_time.ToMicroseconds() > time.time_ns() // 1000 + 3_500_000_000
    assert task.max_attempts == 9
    assert task.task_deadline.ToMicroseconds() - task.create_time.ToMicroseconds() == 7_200_000_000
    assert [delay.seconds for delay in found.retry.delays] == [5]
    (result,) = await update(api, task_id, run_time={"seconds": 1})
    assert result.state == task_pb2.TASK_STATE_READY
    assert (await api.claim("agent-1", queues=["night"])).tasks[0].task_id == task_id


async def test_a_waiting_claim_is_served_by_a_task_that_is_moved_to_it(api: Api) -> None:
    (task_id,) = await api.submit(spec(queue="elsewhere"))
    waiting = api.claim("agent-1", queues=["here"], wait={"seconds": 20})
    await update(api, task_id, queue="here")
    assert [task.task_id for task in (await waiting).tasks] == [task_id]


async def test_a_limit_that_passed_ends_a_running_task_soon(api: Api) -> None:
    (task_id,) = await api.submit()
    await api.claim_one()
    (result,) = await update(api, task_id, timeouts={"task": {"nanos": 1_000_000}})
    assert result.state == task_pb2.TASK_STATE_RUNNING
    wait = pb.WaitTaskRequest(task_id=task_id, wait={"seconds": 20})
    ended = await api.tasks.WaitTask(wait)
    assert (ended.ended, ended.task.reason) == (True, "TASK_TIMEOUT")


async def test_each_task_has_its_own_result(api: Api) -> None:
    running, waiting = await api.submit(spec(priority=9), spec())
    await api.claim_one()
    results = await update(api, running, "task_x", waiting, "task_0000000000009", priority=1)
    reasons = [Error(item.error).reason if item.HasField("error") else "" for item in results]
    assert reasons == ["WRONG_STATE", "TASK_NOT_FOUND", "", "TASK_NOT_FOUND"]
    (entry,) = (await api.fleet.ListAuditEntries(fleet_pb.ListAuditEntriesRequest())).entries
    assert (entry.action, entry.matched, entry.done) == ("UpdateTasks", 4, 1)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["update"]),
        ({"priority": 10}, ["update.priority"]),
        ({"queue": "not a name"}, ["update.queue"]),
        ({"run_time": {"seconds": 5}, "delay": {}}, ["update.delay"]),
        ({"retry": {"factor": 0.5}}, ["update.retry.factor"]),
        ({"timeouts": {"attempt": {}}}, ["update.timeouts.attempt"]),
        ({"labels": {"": "x"}}, ['update.labels[""]']),
    ],
)
async def test_a_wrong_update_names_its_fields(
    api: Api, fields: dict[str, Any], wrong: list[str]
) -> None:
    request = pb.UpdateTasksRequest(task_ids=["task_0000000000001"], update=fields)
    error = await refused(api.tasks.UpdateTasks(request))
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", wrong)


async def test_an_update_of_nothing_is_refused(api: Api) -> None:
    error = await refused(api.tasks.UpdateTasks(pb.UpdateTasksRequest(task_ids=["x"])))
    assert list(error.fields) == ["update"]


async def test_a_tree_is_run_again_with_an_edited_input(api: Api) -> None:
    root, leaf = [
        result.task_id
        for result in (
            await api.tasks.Submit(
                pb.SubmitRequest(
                    tasks=[spec(input=payload(b"1")), spec(depends_on=["#0"], labels={"a": "b"})]
                )
            )
        ).results
    ]
    await api.report(
        await api.claim_one(), failed={"failure": {"type": "E", "non_retryable": True}}
    )
    request_id = new_request_id()
    fields = {"input": payload(b"2"), "with_dependents": True, "request_id": request_id}
    (result,) = await rerun(api, root, **fields)
    assert (await rerun(api, root, **fields)) == [result]
    (copy,) = result.dependent_ids
    found = await api.get(copy)
    assert (found.task.rerun_of, found.task.labels) == (leaf, {"a": "b"})
    assert found.depends_on == [result.task_id]
    task = await api.claim_one()
    assert (task.task_id, task.input.data, task.attempt) == (result.task_id, b"2", 1)
    await api.report(task, succeeded={})
    assert (await api.get(copy)).task.state == task_pb2.TASK_STATE_READY


async def test_a_large_input_is_given_to_the_copy(api: Api) -> None:
    (old,) = await api.submit(spec(input=payload(b"x" * 100_000)))
    await api.tasks.CancelTasks(pb.CancelTasksRequest(task_ids=[old]))
    waiting = api.claim("agent-1", wait={"seconds": 20})
    ((new, *_),) = [[item.task_id] for item in await rerun(api, old)]
    (task,) = (await waiting).tasks
    assert (task.task_id, task.input.data) == (new, b"x" * 100_000)


async def test_a_rerun_that_cannot_be_says_why(api: Api) -> None:
    (task_id,) = await api.submit()
    (result, unknown) = await rerun(api, task_id, "task_x")
    assert Error(result.error).reason == "WRONG_STATE"
    assert Error(unknown.error).reason == "TASK_NOT_FOUND"
    two = pb.RerunTasksRequest(task_ids=[task_id, task_id], input=payload(b"1"))
    assert list((await refused(api.tasks.RerunTasks(two))).fields) == ["input"]
    many = pb.RerunTasksRequest(task_ids=[task_id] * 1001)
    assert (await refused(api.tasks.RerunTasks(many))).reason == "LIMIT_EXCEEDED"


async def test_all_that_matches_a_filter_is_changed(api: Api) -> None:
    ids = await api.submit(*(spec(queue="old") for _ in range(3)), spec())
    request = pb.ActOnTasksRequest(filter="queue:old", max_count=10, update={"queue": "new"})
    answers = [answer async for answer in api.tasks.ActOnTasks(request)]
    assert (answers[-1].matched, answers[-1].done, answers[-1].complete) == (3, 3, True)
    assert [(await api.get(i)).task.queue for i in ids] == ["new"] * 3 + ["default"]
    request = pb.ActOnTasksRequest(filter="queue:new", max_count=10, update={"priority": 99})
    error = await refused(anext(aiter(api.tasks.ActOnTasks(request))))
    assert list(error.fields) == ["update.priority"]
