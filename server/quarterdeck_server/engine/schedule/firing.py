"""Commands about schedules, and the tasks that schedules create."""

from __future__ import annotations

import json

from quarterdeck_server.engine.commands import (
    DeleteSchedule,
    PauseSchedule,
    PutSchedule,
    Refusal,
    Spec,
    Submitted,
    TriggerSchedule,
)
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.schedule import schedules
from quarterdeck_server.engine.schedule.errors import CronError
from quarterdeck_server.engine.schedule.schedules import Firing, Schedule
from quarterdeck_server.engine.submit import create
from quarterdeck_server.engine.world import World


def template_text(
    priority: int,
    policy: str | None,
    labels: str | None,
    lane: str | None = None,
    attributes: str | None = None,
) -> str:
    """Encode what `Schedule.task_spec` holds: the parts of a Spec that have no column of their own."""
    parts = {"priority": priority, "policy": policy, "labels": labels, "lane": lane}
    return json.dumps({**parts, "attributes": attributes})


def template_of(schedule: Schedule) -> Spec:
    """Return the Spec of the tasks that a schedule creates."""
    rest = json.loads(schedule.task_spec)
    has_input = bool(schedule.input_type or schedule.input)
    return Spec(
        queue=schedule.queue,
        name=schedule.task_name,
        priority=rest["priority"],
        run_at=None,
        delay=0,
        policy=rest["policy"],
        labels=rest["labels"],
        attributes=rest.get("attributes"),
        lane=rest.get("lane"),
        parent_id=None,
        idempotency_key=None,
        content_hash=None,
        depends_on=(),
        input=Payload(schedule.input_type, schedule.input) if has_input else None,
    )


def fire(world: World, schedule: Schedule) -> None:
    """Create the task of a due schedule and move it on.

    A schedule whose expression cannot be stepped any more is paused with the reason, so that it neither stops the
    others nor is forgotten.
    """
    try:
        firing = schedules.due(schedule, world.now)
    except CronError as error:
        world.put_schedule(schedules.pause(schedule, world.now, f"cannot go on: {error}"))
        return
    if firing.instants:
        _create_tasks(world, firing)


def _create_tasks(world: World, firing: Firing) -> int:
    """Create a task for every instant that has none yet; return the id of the last, 0 when there is none."""
    schedule, last = firing.schedule, 0
    for instant in firing.instants:
        key = (schedule.namespace, schedule.id, instant)
        if key in world.instants:
            continue
        world.instants.add(key)
        task = create(
            world,
            schedule.namespace,
            template_of(schedule),
            schedule_id=schedule.id,
            schedule_time=instant,
        )
        last = task.id
    world.put_schedule(schedule._replace(last_task_id=last or schedule.last_task_id))
    return last


def put_schedule(world: World, command: PutSchedule) -> tuple[Schedule, bool]:
    """Create a schedule or replace the rule of the one with its id. The row is already validated."""
    draft = command.schedule
    current = world.schedules.get((draft.namespace, draft.id))
    if current is None:
        return world.put_schedule(schedules.create(draft, world.now)), True
    return world.put_schedule(schedules.replace(current, draft, world.now)), False


def pause_schedule(world: World, command: PauseSchedule) -> Schedule | Refusal:
    """Pause or resume a schedule."""
    schedule = world.schedules.get((command.namespace, command.schedule_id))
    if schedule is None:
        return schedule_not_found(command.schedule_id)
    if command.paused:
        after = schedules.pause(schedule, world.now, command.note)
    else:
        after = schedules.resume(schedule, world.now)
    if after is schedule:
        world.unchanged += 1
        return schedule
    return world.put_schedule(after)


def trigger_schedule(world: World, command: TriggerSchedule) -> Submitted:
    """Create one task of a schedule now."""
    schedule = world.schedules.get((command.namespace, command.schedule_id))
    if schedule is None:
        return Submitted(0, refusal=schedule_not_found(command.schedule_id))
    firing = schedules.trigger(schedule, world.now)
    (instant,) = firing.instants
    # A schedule of this id that was deleted may have used it.
    while (schedule.namespace, schedule.id, instant) in world.instants:
        instant += 1
    moved = firing.schedule._replace(last_at=instant)
    return Submitted(_create_tasks(world, Firing(moved, (instant,))))


def delete_schedule(world: World, command: DeleteSchedule) -> Refusal | None:
    """Remove a schedule; its tasks stay."""
    schedule = world.schedules.get((command.namespace, command.schedule_id))
    if schedule is None:
        return schedule_not_found(command.schedule_id)
    world.delete_schedule(schedule)
    return None


def schedule_not_found(schedule_id: str) -> Refusal:
    """Refuse a call about a schedule that is not there."""
    return Refusal(
        "SCHEDULE_NOT_FOUND",
        f"there is no schedule {schedule_id!r}",
        (("schedule_id", schedule_id),),
    )
