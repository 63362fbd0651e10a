"""ScheduleService over a real channel."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import schedule_pb2
from quarterdeck.v1 import schedule_service_pb2 as pb

from .api import Api, new_request_id, payload, refused, spec

FAR = Timestamp(seconds=4_102_444_800)  # 2100-01-01
HOUR = Duration(seconds=3600)


def rule(**fields: Any) -> schedule_pb2.ScheduleSpec:
    """A rule that fires at midnight in Berlin."""
    when = {"cron": {"expression": "0 0 * * *", "time_zone": "Europe/Berlin"}}
    return schedule_pb2.ScheduleSpec(**{"task": spec(), **when, **fields})


async def put(api: Api, schedule_id: str = "nightly", **request: Any) -> pb.ScheduleResponse:
    """Create or replace a schedule."""
    request = {"spec": rule(), **request}
    response: pb.ScheduleResponse = await api.schedules.Schedule(
        pb.ScheduleRequest(schedule_id=schedule_id, **request)
    )
    return response


async def test_a_schedule_is_created_and_then_replaced(api: Api) -> None:
    task = spec(
        queue="red",
        priority=9,
        input=payload(b"[1]", "text/x"),
        labels={"a": "b"},
        retry={"max_attempts": 5},
        timeouts={"attempt": {"seconds": 60}},
    )
    first = await put(api, spec=rule(task=task, end_time=FAR))
    assert first.created
    assert first.schedule.next_time.seconds > 0
    found = (await api.schedules.GetSchedule(pb.GetScheduleRequest(schedule_id="nightly"))).schedule
    assert found == first.schedule
    kept = found.spec.task
    assert (kept.queue, kept.priority, kept.input, kept.labels) == (
        "red",
        9,
        task.input,
        {"a": "b"},
    )
    assert (kept.retry.max_attempts, kept.timeouts.attempt.seconds) == (5, 60)
    assert found.spec.end_time == FAR
    second = await put(api, spec=rule(interval={"seconds": 15}))
    assert not second.created
    assert second.schedule.spec.interval.seconds == 15
    assert second.schedule.create_time == first.schedule.create_time


async def test_what_a_schedule_says_can_be_sent_again_and_changes_nothing(api: Api) -> None:
    first = (await put(api)).schedule
    again = (await put(api, spec=first.spec)).schedule
    assert (again.spec, again.next_time) == (first.spec, first.next_time)


async def test_a_repeated_request_returns_the_first_answer(api: Api) -> None:
    request_id = new_request_id()
    assert (await put(api, request_id=request_id)).created
    assert (await put(api, request_id=request_id)).created
    error = await refused(put(api, spec=rule(interval={"seconds": 9}), request_id=request_id))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_schedules_are_listed_by_id_page_by_page(api: Api) -> None:
    for schedule_id in ("b", "a", "c"):
        await put(api, schedule_id)
    seen: list[str] = []
    token = ""
    for _ in range(3):
        page = await api.schedules.ListSchedules(
            pb.ListSchedulesRequest(page_size=1, page_token=token)
        )
        seen += [schedule.id for schedule in page.schedules]
        token = page.next_page_token
    assert (seen, token) == (["a", "b", "c"], "")
    cron = await api.schedules.ListSchedules(pb.ListSchedulesRequest(filter="kind:interval"))
    assert not cron.schedules


async def test_a_paused_schedule_has_no_next_time_until_it_is_resumed(api: Api) -> None:
    await put(api)
    request = pb.PauseScheduleRequest(schedule_id="nightly", reason="holidays")
    paused = (await api.schedules.PauseSchedule(request)).schedule
    assert (paused.paused, paused.pause_note) == (True, "holidays")
    assert not paused.HasField("next_time")
    resumed = (
        await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(schedule_id="nightly"))
    ).schedule
    assert not resumed.paused
    assert resumed.HasField("next_time")


async def test_a_triggered_schedule_creates_one_task_per_request(api: Api) -> None:
    await put(api, spec=rule(task=spec(name="tidy", input=payload(b"7"))))
    request = pb.TriggerScheduleRequest(schedule_id="nightly", request_id=new_request_id())
    first = await api.schedules.TriggerSchedule(request)
    again = await api.schedules.TriggerSchedule(request)
    assert first.task_id == again.task_id
    task = await api.claim_one()
    assert (task.task_id, task.name, task.input.data) == (first.task_id, "tidy", b"7")
    found = await api.get(first.task_id)
    assert found.task.schedule_id == "nightly"
    assert found.task.HasField("schedule_time")


async def test_a_one_time_schedule_that_is_due_creates_its_task(api: Api) -> None:
    await put(api, spec=rule(once=Timestamp(seconds=1_700_000_000)))
    task = await api.claim_one(wait={"seconds": 20})
    assert (await api.get(task.task_id)).task.schedule_time.seconds == 1_700_000_000


async def test_a_preview_says_when_and_creates_nothing(api: Api) -> None:
    await put(api)
    winter = Timestamp(seconds=1_767_225_600)  # 2026-01-01 00:00 UTC
    request = pb.PreviewScheduleRequest(schedule_id="nightly", count=2, after_time=winter)
    times = (await api.schedules.PreviewSchedule(request)).times
    assert [t.ToJsonString() for t in times] == ["2026-01-01T23:00:00Z", "2026-01-02T23:00:00Z"]
    draft = rule(interval={"seconds": 60}, start_time=winter)
    draft.ClearField("task")
    request = pb.PreviewScheduleRequest(spec=draft, after_time=winter)
    times = (await api.schedules.PreviewSchedule(request)).times
    assert [t.seconds - winter.seconds for t in times] == [60 * n for n in range(1, 11)]
    over = rule(end_time=winter)
    over.ClearField("task")
    assert not (await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(spec=over))).times


async def test_an_end_time_is_not_an_instant_of_its_schedule(api: Api) -> None:
    midnight = Timestamp(seconds=4_102_441_200)  # 2100-01-01 00:00 in Berlin
    draft = rule(end_time=midnight)
    draft.ClearField("task")
    after = Timestamp(seconds=midnight.seconds - 86_400 - 1)
    request = pb.PreviewScheduleRequest(spec=draft, after_time=after)
    times = (await api.schedules.PreviewSchedule(request)).times
    assert [t.seconds for t in times] == [midnight.seconds - 86_400]


async def test_a_deleted_schedule_is_gone(api: Api) -> None:
    await put(api)
    await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id="nightly"))
    for call in (
        api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id="nightly")),
        api.schedules.GetSchedule(pb.GetScheduleRequest(schedule_id="nightly")),
        api.schedules.PauseSchedule(pb.PauseScheduleRequest(schedule_id="nightly")),
        api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(schedule_id="nightly")),
        api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(schedule_id="nightly")),
    ):
        error = await refused(call)
        assert error.reason == "SCHEDULE_NOT_FOUND"
        assert error.metadata == {"schedule_id": "nightly"}


async def test_tasks_of_a_schedule_have_its_attributes_and_group_key(api: Api) -> None:
    task = spec(attributes={"cost": {"number": 2.5}}, group_key="tenant", labels={"a": "b"})
    hourly = schedule_pb2.ScheduleSpec(interval=HOUR, task=task)
    made = await api.schedules.Schedule(pb.ScheduleRequest(schedule_id="s", spec=hourly))
    assert made.schedule.spec.task.attributes["cost"].number == 2.5
    fired = await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(schedule_id="s"))
    found = (await api.get(fired.task_id)).task
    assert (found.attributes["cost"].number, found.group_key) == (2.5, "tenant")


async def test_a_schedule_refuses_the_keys_of_producers_by_name(api: Api) -> None:
    task = spec(
        unique={"key": "k"}, idempotency_key="i", idempotency_ttl={"seconds": 1}, throttle={}
    )
    hourly = schedule_pb2.ScheduleSpec(interval=HOUR, task=task)
    request = pb.ScheduleRequest(schedule_id="s", spec=hourly)
    fields = set((await refused(api.schedules.Schedule(request))).fields)
    names = ("unique", "idempotency_key", "idempotency_ttl", "throttle")
    assert {f"spec.task.{name}" for name in names} <= fields


async def test_a_request_id_is_not_taken_for_a_rule_with_another_input(api: Api) -> None:
    request_id = new_request_id()
    first = await put(api, spec=rule(task=spec(input=payload(b"1"))), request_id=request_id)
    assert await put(api, spec=rule(task=spec(input=payload(b"1"))), request_id=request_id) == first
    other = put(api, spec=rule(task=spec(input=payload(b"2"))), request_id=request_id)
    assert (await refused(other)).reason == "REQUEST_ID_REUSED"
