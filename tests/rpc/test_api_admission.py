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


async def test_of_the_dead_letters_of_one_key_one_is_redriven(api: Api) -> None:
    def key(name: str) -> dict[str, Any]:
        return {"unique": {"key": name}, "retry": {"max_attempts": 1}}

    ids = [(await submitted(api, **key("invoice-7"))).task_id]
    await api.report(await api.claim_one(), failed={"failure": {"type": "Bad"}})
    ids.append((await submitted(api, **key("invoice-7"))).task_id)
    await api.report(await api.claim_one(), failed={"failure": {"type": "Bad"}})
    act = pb.ActOnTasksRequest(filter="state:failed", retry={}, max_count=10)
    pages = [page async for page in api.tasks.ActOnTasks(act)]
    assert (pages[-1].matched, pages[-1].done, pages[-1].refused) == (2, 1, 1)
    (refused,) = [error for page in pages for error in page.errors]
    alive, other = sorted(ids, key=lambda x: x != Error(refused).metadata["task_id"])
    assert Error(refused).reason == "UNIQUE_KEY_TAKEN"
    assert (await api.get(alive)).task.state == task_pb2.TASK_STATE_READY
    assert (await api.get(other)).task.state == task_pb2.TASK_STATE_FAILED


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


async def test_a_task_shows_its_unique_key_for_as_long_as_it_keeps_others_out(api: Api) -> None:
    first = await submitted(api, unique={"key": "invoice-7"})
    (key,) = (await api.get(first.task_id)).keys
    assert (key.kind, key.key, key.scope) == (
        pb.TASK_KEY_KIND_UNIQUE,
        "invoice-7",
        task_pb2.UNIQUE_SCOPE_ACTIVE,
    )
    assert key.held
    assert not key.HasField("expire_time")
    task = await api.claim_one()
    assert (await api.get(first.task_id)).keys[0].held
    await api.report(task, succeeded={})
    assert not (await api.get(first.task_id)).keys[0].held
    await submitted(api, unique={"key": "invoice-7"})
    assert not (await api.get(first.task_id)).keys, "another task has it now"


async def test_a_pending_key_is_free_again_once_its_task_has_started(api: Api) -> None:
    pending = {"key": "k", "scope": task_pb2.UNIQUE_SCOPE_PENDING}
    first = await submitted(api, unique=pending)
    await api.claim_one()
    (key,) = (await api.get(first.task_id)).keys
    assert (key.held, key.scope) == (False, task_pb2.UNIQUE_SCOPE_PENDING)


async def test_a_task_shows_the_debounce_or_throttle_that_let_it_in(api: Api) -> None:
    burst = await submitted(api, debounce={"key": "index", "delay": {"seconds": 60}})
    (key,) = (await api.get(burst.task_id)).keys
    assert (key.kind, key.key, key.held) == (pb.TASK_KEY_KIND_DEBOUNCE, "index", True)
    await api.tasks.CancelTasks(pb.CancelTasksRequest(task_ids=[burst.task_id]))
    assert not (await api.get(burst.task_id)).keys[0].held
    throttle = {"key": "mail", "limit": 2, "period": {"seconds": 60}}
    first, last, _ = [await submitted(api, throttle=throttle) for _ in range(3)]
    (key,) = (await api.get(last.task_id)).keys
    assert (key.kind, key.held, key.scope) == (pb.TASK_KEY_KIND_THROTTLE, True, 0)
    assert key.HasField("expire_time")
    assert not (await api.get(first.task_id)).keys, "only the last one of a period"


async def test_a_task_shows_what_it_takes_and_whom_it_waits_for(api: Api) -> None:
    (plain,) = await api.submit()
    found = await api.get(plain)
    assert found.units == 1
    assert not found.HasField("affinity")
    assert (found.keys, found.dependency_policy) == ([], 0)
    affinity = {
        "required": {"os": "linux"},
        "preferred": {"gpu": "a100"},
        "same_agent_as": plain,
        "patience": {"seconds": 90},
    }
    ended = task_pb2.DEPENDENCY_POLICY_ALL_ENDED
    sent = spec(units=7, affinity=affinity, depends_on=[plain], dependency_policy=ended)
    (task_id,) = await api.submit(sent)
    found = await api.get(task_id)
    assert (found.units, found.affinity) == (7, sent.affinity)
    assert found.dependency_policy == ended
    (task_id,) = await api.submit(spec(depends_on=[plain]))
    found = await api.get(task_id)
    assert found.dependency_policy == task_pb2.DEPENDENCY_POLICY_ALL_SUCCEEDED


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
