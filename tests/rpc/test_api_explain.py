"""ExplainTask over a real channel: every obstacle that an operator meets, named with whose doing it is."""

from __future__ import annotations

from typing import Any

from quarterdeck.v1 import task_service_pb2 as pb

from .api import Api, agent, fleet_pb, refused, spec

K = pb.ObstacleKind


async def explain(api: Api, task_id: str) -> Any:
    """The answer about one task."""
    return await api.tasks.ExplainTask(pb.ExplainTaskRequest(task_id=task_id))


def kinds(answer: Any) -> list[str]:
    """The obstacles by name, in order."""
    return [K.Name(o.kind).removeprefix("OBSTACLE_KIND_") for o in answer.obstacles]


def phases(answer: Any) -> list[str]:
    """What the task did, in order."""
    return [pb.LifePhase.Name(s.phase).removeprefix("LIFE_PHASE_") for s in answer.spans]


async def test_without_agents_the_queue_is_named(api: Api) -> None:
    (task_id,) = await api.submit(spec(queue="lonely"))
    answer = await explain(api, task_id)
    assert kinds(answer) == ["NO_AGENT_FOR_QUEUE"]
    assert "queue lonely" in answer.summary
    assert phases(answer) == ["READY"]
    assert not answer.spans[0].HasField("end_time")


async def test_agents_of_other_names_come_close(api: Api) -> None:
    await api.claim(names=["render"], wait={})
    (task_id,) = await api.submit(spec("inspect"))
    answer = await explain(api, task_id)
    assert kinds(answer) == ["NO_AGENT_FOR_NAME"]
    assert list(answer.obstacles[0].agent_ids) == ["agent-1"]
    assert "render" in answer.obstacles[0].message


async def test_a_busy_fleet_and_the_place_in_line(api: Api) -> None:
    await api.submit(spec())
    await api.claim_one(agent=agent(slots=1))
    first, second = await api.submit(spec(), spec())
    await api.submit(spec(priority=9))
    answer = await explain(api, second)
    assert kinds(answer) == ["AGENTS_BUSY", "POSITION"]
    assert (answer.ahead, answer.ahead_is_minimum) == (2, False)
    assert (await explain(api, first)).ahead == 1


async def test_only_tasks_that_the_same_agents_run_stand_before_it(api: Api) -> None:
    await api.submit(spec("busy"))
    await api.claim_one(agent=agent(slots=1), names=["busy", "inspect"])
    await api.submit(spec("render"), spec("render"), spec("busy"))
    (task_id,) = await api.submit(spec("inspect"))
    assert (await explain(api, task_id)).ahead == 1
    await api.claim(agent=agent("agent-2", slots=1), names=["render"], wait={})
    assert (await explain(api, task_id)).ahead == 1
    hold = fleet_pb.PutHoldRequest(kind="HOLD_KIND_TASK_NAME", subject="busy")
    await api.fleet.PutHold(hold)
    answer = await explain(api, task_id)
    assert (answer.ahead, kinds(answer)) == (0, ["AGENTS_BUSY"])


async def test_a_dependency_and_its_end(api: Api) -> None:
    (first,) = await api.submit(spec())
    (second,) = await api.submit(spec(depends_on=[first]))
    answer = await explain(api, second)
    assert kinds(answer)[0] == "DEPENDENCIES"
    assert list(answer.obstacles[0].task_ids) == [first]
    await api.report(await api.claim_one(), succeeded={})
    answer = await explain(api, second)
    assert "DEPENDENCIES" not in kinds(answer)
    assert phases(answer) == ["BLOCKED", "READY"]


async def test_a_delay_and_a_paused_queue(api: Api) -> None:
    (task_id,) = await api.submit(spec(delay={"seconds": 3600}))
    pause = fleet_pb.UpdateQueueRequest(queue="default", paused=True, reason="ops: deploy")
    await api.fleet.UpdateQueue(pause)
    answer = await explain(api, task_id)
    assert kinds(answer)[:2] == ["DELAY", "QUEUE_PAUSED"]
    assert answer.obstacles[0].HasField("until")
    assert "ops: deploy" in answer.obstacles[1].message


async def test_a_backoff_names_the_error_and_its_end(api: Api) -> None:
    await api.submit(spec(retry={"initial_backoff": {"seconds": 600}, "jitter": 0}))
    task = await api.claim_one()
    await api.report(task, failed={"failure": {"type": "RateLimited", "message": "429"}})
    answer = await explain(api, task.task_id)
    assert kinds(answer)[0] == "BACKOFF"
    assert "RateLimited" in answer.summary
    assert phases(answer)[-2:] == ["RUNNING", "BACKOFF"]


async def test_why_it_failed(api: Api) -> None:
    await api.submit(spec(retry={"max_attempts": 1}))
    task = await api.claim_one()
    await api.report(task, failed={"failure": {"type": "ValueError", "message": "no such page"}})
    answer = await explain(api, task.task_id)
    assert not answer.obstacles
    assert answer.summary == "its only attempt failed with ValueError: no such page"
    assert "running" in answer.time_summary


async def test_an_unknown_task(api: Api) -> None:
    error = await refused(explain(api, "task_0000000000001"))
    assert error.reason == "TASK_NOT_FOUND"


async def test_tokens_that_come_back_after_the_year_9999_can_be_told(api: Api) -> None:
    slow = {"units": 1, "period": {"seconds": 31 * 86_400}, "burst": 1}
    request = fleet_pb.UpdateQueueRequest(queue="slow", limits={"rate": slow})
    await api.fleet.UpdateQueue(request)
    await api.submit(spec(queue="slow", units=1_000_000))
    await api.claim_one(queues=["slow"])
    (task_id,) = await api.submit(spec(queue="slow"))
    answer = await explain(api, task_id)
    (rate,) = [o for o in answer.obstacles if o.kind == K.OBSTACLE_KIND_QUEUE_RATE]
    assert rate.until.ToDatetime().year == 9999
