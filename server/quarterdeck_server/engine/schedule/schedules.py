"""Schedules: rules that create tasks at instants. Rows in, rows out.

The policies of this version, until schedules carry their own:

* **Catch-up**: after downtime one task is created, for the latest of the missed instants.
* **Pause**: instants that pass while a schedule is paused are skipped.
* The next instant is computed from the last scheduled instant, never from the time at which it
  was handled, and is always later than it. So nothing drifts, and a restart or a step of the wall
  clock repeats no instant. (schedule, instant) is a key: it may create one task, ever.

`Schedule.next_at` is None while a schedule is paused and when it has ended; a timer looks at
nothing else.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

from quarterdeck_server.engine.schedule.cron import (
    MAX_INSTANT,
    Cron,
    next_after,
    parse_cron,
)
from quarterdeck_server.engine.schedule.errors import CronError, ScheduleError

MIN_INTERVAL: Final = 1_000_000
"""The shortest interval, in microseconds: one second, as for a cron expression with seconds."""

MAX_INTERVAL: Final = 10 * 366 * 24 * 3600 * 1_000_000
"""The longest interval, in microseconds: ten years."""

MAX_PREVIEW: Final = 100

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", re.ASCII)


class Kind(IntEnum):
    """What `Schedule.spec` holds."""

    CRON = 1
    INTERVAL = 2
    ONCE = 3


class Schedule(NamedTuple):
    """A schedule: the row, the engine's state and the change log's image in one.

    All instants are microseconds since the epoch, UTC.

    Attributes:
        namespace: The tenant.
        id: Chosen by the user, such as ``nightly``; unique in the namespace.
        kind: A `Kind`.
        spec: The cron expression; the interval in microseconds; or the one instant.
        time_zone: The IANA name in which a cron expression is read.
        start_at: No instant lies before it. Also where intervals are counted from.
        end_at: No instant lies after it.
        queue: The queue of the tasks.
        task_name: Their name.
        task_spec: JSON text with the rest of the task template; opaque here.
        input_type: The content type of the input.
        input: The input payload.
        paused: 1 while paused.
        pause_note: Why it is paused.
        next_at: The next instant; None when paused or ended.
        last_at: The latest instant that created a task, by time or by `trigger`.
        last_task_id: The task created last; whoever stores a `Firing` sets it.
        fired: How many tasks it has created.
        create_time: Where intervals without `start_at` are counted from.
        update_time: When an operator last changed it; a firing does not.
        revision: The revision of the last change; whoever stores the row sets it.
    """

    namespace: str
    id: str
    kind: int
    spec: str
    time_zone: str
    start_at: int | None
    end_at: int | None
    queue: str
    task_name: str
    task_spec: str
    input_type: str
    input: bytes
    paused: int
    pause_note: str | None
    next_at: int | None
    last_at: int | None
    last_task_id: int | None
    fired: int
    create_time: int
    update_time: int
    revision: int


class Firing(NamedTuple):
    """What a schedule does now.

    Attributes:
        schedule: The row after it.
        instants: The instants to create a task for, at most one in this version.
    """

    schedule: Schedule
    instants: tuple[int, ...]


def make_spec(kind: int, spec: str, time_zone: str) -> str:
    """Checks a spec and returns it in its normal form.

    Raises:
        ScheduleError: On the first field that is wrong. The zone is checked for every kind.
    """
    try:
        expression = spec if kind == Kind.CRON else "* * * * *"
        cron = parse_cron(expression, time_zone)
    except CronError as error:
        raise ScheduleError(error.field, error.message) from error
    if kind == Kind.CRON:
        return cron.expression
    if kind == Kind.INTERVAL:
        return _number("interval", spec, MIN_INTERVAL, MAX_INTERVAL)
    if kind == Kind.ONCE:
        return _number("once", spec, 0, MAX_INSTANT)
    raise ScheduleError("kind", "expected a cron expression, an interval or an instant")


def create(draft: Schedule, now: int) -> Schedule:
    """Makes a new schedule.

    An instant equal to `now` counts. A one-time instant in the past is due at once, because a
    client's clock may be slow; other missed instants before `now` are not made up.

    Args:
        draft: What the user asked for. Its counters, times and `next_at` are ignored.
        now: The time of creation.

    Returns:
        The row, with `next_at` unless the draft is paused.

    Raises:
        ScheduleError: On the first field that is wrong, or if it would never fire.
    """
    if not _ID.fullmatch(draft.id):
        raise ScheduleError(
            "id",
            "expected 1-128 letters, digits, dots, dashes, underscores, colons or slashes, "
            "starting with a letter or digit",
        )
    _check_bounds(draft)
    fresh = draft._replace(
        spec=make_spec(draft.kind, draft.spec, draft.time_zone),
        next_at=None,
        last_at=None,
        last_task_id=None,
        fired=0,
        create_time=now,
        update_time=now,
    )
    return _rescheduled(fresh, now)


def replace(current: Schedule, draft: Schedule, now: int) -> Schedule:
    """Gives an existing schedule a new definition.

    When the timing is the same, the next instant stays as it is, even when it is overdue: sending
    a definition again skips nothing. A new timing starts at `now`, after everything fired so far.
    A paused schedule stays paused.

    Args:
        current: The stored row.
        draft: What the user asks for now, as for `create`.
        now: The time of the change.

    Returns:
        The row; the history of `current` is kept.

    Raises:
        ScheduleError: As `create`.
    """
    _check_bounds(draft)
    merged = draft._replace(
        namespace=current.namespace,
        id=current.id,
        spec=make_spec(draft.kind, draft.spec, draft.time_zone),
        paused=current.paused or draft.paused,
        pause_note=current.pause_note if current.paused else draft.pause_note,
        next_at=current.next_at,
        last_at=current.last_at,
        last_task_id=current.last_task_id,
        fired=current.fired,
        create_time=current.create_time,
        update_time=now,
        revision=current.revision,
    )
    if _timing(merged) != _timing(current):
        return _rescheduled(merged, now)
    return merged._replace(next_at=None) if merged.paused else merged


def next_instant(schedule: Schedule, after: int) -> int | None:
    """Returns the first instant of a schedule strictly later than `after`, paused or not.

    Intervals are counted from an anchor: `start_at`, itself an instant, or else `create_time`,
    which is not one.

    Returns:
        The instant, or None when there is none up to `end_at`.

    Raises:
        CronError: The stored expression or zone is no longer valid in this installation.
    """
    if schedule.start_at is not None:
        after = max(after, schedule.start_at - 1)
    found: int | None
    if schedule.kind == Kind.CRON:
        found = next_after(Cron(schedule.spec, schedule.time_zone), after)
    elif schedule.kind == Kind.INTERVAL:
        interval = int(schedule.spec)
        if schedule.start_at is None:
            anchor = schedule.create_time
            after = max(after, anchor)
        else:
            anchor = schedule.start_at
        found = anchor + ((after - anchor) // interval + 1) * interval
    else:
        found = int(schedule.spec)
        if found <= after:
            return None
    if found is None or found > MAX_INSTANT:
        return None
    if found <= after:
        raise AssertionError(f"schedule {schedule.id} went from {after} to {found}")
    return found if schedule.end_at is None or found <= schedule.end_at else None


def due(schedule: Schedule, now: int) -> Firing:
    """Returns what a schedule fires at `now`.

    Takes a bounded number of steps however long ago the schedule last ran.

    Returns:
        No instants and the same row when nothing is due. Otherwise the latest instant that is
        not later than `now`, and the row that has moved on from it.

    Raises:
        CronError: As `next_instant`; the caller should pause the schedule with the message.
    """
    first = schedule.next_at
    if schedule.paused or first is None or first > now:
        return Firing(schedule, ())
    latest, following = _latest(schedule, first, now)
    moved = schedule._replace(
        next_at=following,
        last_at=latest if schedule.last_at is None else max(latest, schedule.last_at),
        fired=schedule.fired + 1,
    )
    return Firing(moved, (latest,))


def trigger(schedule: Schedule, now: int) -> Firing:
    """Fires a schedule by hand, even when it is paused or has ended; `next_at` does not move.

    Returns:
        One instant: `now`, or the first microsecond after it that is neither an instant of the
        schedule nor used by an earlier trigger, so that it cannot take an instant's place.
    """
    instant = now if schedule.last_at is None else max(now, schedule.last_at + 1)
    if next_instant(schedule, instant - 1) == instant:
        instant += 1
    return Firing(schedule._replace(last_at=instant, fired=schedule.fired + 1), (instant,))


def pause(schedule: Schedule, now: int, note: str | None = None) -> Schedule:
    """Stops a schedule from firing. An overdue instant that has not fired yet is skipped.

    Args:
        schedule: The row; pausing it again only changes the note.
        now: The time of the change.
        note: Why, for the operators.
    """
    if schedule.paused and schedule.pause_note == note:
        return schedule
    return schedule._replace(paused=1, pause_note=note, next_at=None, update_time=now)


def resume(schedule: Schedule, now: int) -> Schedule:
    """Lets a paused schedule go on with its first instant strictly after `now`.

    Args:
        schedule: The row; if it is not paused it is returned as it is.
        now: The time of the change.

    Raises:
        CronError: As `next_instant`.
    """
    if not schedule.paused:
        return schedule
    return schedule._replace(
        paused=0,
        pause_note=None,
        next_at=next_instant(schedule, _not_before_last(schedule, now)),
        update_time=now,
    )


def preview(schedule: Schedule, after: int, count: int) -> list[int]:
    """Returns up to `count` instants strictly after `after`, as if the schedule were not paused.

    Args:
        schedule: The row; it may be a draft that `create` has accepted.
        after: The exclusive lower bound.
        count: 1 to `MAX_PREVIEW`.

    Raises:
        ScheduleError: `count` is out of range.
        CronError: As `next_instant`.
    """
    if not 1 <= count <= MAX_PREVIEW:
        raise ScheduleError("count", f"expected 1 to {MAX_PREVIEW}, got {count}")
    instants: list[int] = []
    found = next_instant(schedule, after)
    while found is not None and len(instants) < count:
        instants.append(found)
        found = next_instant(schedule, found)
    return instants


def _number(field: str, text: str, low: int, high: int) -> str:
    if not _DIGITS.fullmatch(text) or not low <= int(text) <= high:
        raise ScheduleError(field, f"expected {low} to {high} microseconds")
    return str(int(text))


def _check_bounds(draft: Schedule) -> None:
    for field, instant in (("start_at", draft.start_at), ("end_at", draft.end_at)):
        if instant is not None and not 0 <= instant <= MAX_INSTANT:
            raise ScheduleError(field, "expected an instant from 1970 to 9892")
    if draft.start_at is not None and draft.end_at is not None and draft.end_at < draft.start_at:
        raise ScheduleError("end_at", "expected an instant that is not before start_at")


def _timing(schedule: Schedule) -> tuple[object, ...]:
    return (schedule.kind, schedule.spec, schedule.time_zone, schedule.start_at, schedule.end_at)


def _rescheduled(schedule: Schedule, now: int) -> Schedule:
    after = now - 1
    if schedule.kind == Kind.ONCE:
        after = min(after, int(schedule.spec) - 1)
    found = next_instant(schedule, _not_before_last(schedule, after))
    if found is None:
        field = "once" if schedule.kind == Kind.ONCE else "end_at"
        raise ScheduleError(field, "expected a schedule that fires at least once from now on")
    return schedule._replace(next_at=None if schedule.paused else found)


def _not_before_last(schedule: Schedule, after: int) -> int:
    """A wall clock that was set back must not bring an instant back."""
    return after if schedule.last_at is None else max(after, schedule.last_at)


def _latest(schedule: Schedule, first: int, now: int) -> tuple[int, int | None]:
    """Returns the latest instant in [first, now], and the one that follows it."""
    if schedule.kind == Kind.INTERVAL:
        interval = int(schedule.spec)
        end = now if schedule.end_at is None else min(now, schedule.end_at)
        latest = first + (max(end, first) - first) // interval * interval
        return latest, next_instant(schedule, latest)
    latest, following = first, next_instant(schedule, first)
    high = now
    while following is not None and following <= now:
        # `latest` <= the one sought <= `high`: halve the span, which keeps a year of missed
        # seconds to some thirty steps.
        latest, following = following, next_instant(schedule, following)
        middle = (latest + high) // 2
        beyond = next_instant(schedule, middle)
        if beyond is not None and beyond <= now:
            latest, following = beyond, next_instant(schedule, beyond)
        else:
            high = middle
    return latest, following
