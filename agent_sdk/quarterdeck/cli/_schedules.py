"""What `quarterdeck schedule` does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from quarterdeck.cli import _format
from quarterdeck.cli._call import Connection, request_id
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._spec import task_spec
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.schedule_pb2 import Schedule, ScheduleSpec
from quarterdeck.v1.schedule_service_pb2 import (
    DeleteScheduleRequest,
    GetScheduleRequest,
    ListSchedulesRequest,
    PauseScheduleRequest,
    PreviewScheduleRequest,
    PreviewScheduleResponse,
    ResumeScheduleRequest,
    ScheduleRequest,
    TriggerScheduleRequest,
)

R = TypeVar("R")

_COLUMNS = (
    Column("id", flexible=True),
    Column("task", flexible=True),
    Column("when", flexible=True),
    Column("state", flexible=True),
    Column("next", right=True),
    Column("last", right=True),
    Column("fired", right=True),
)


def set_schedule(settings: Settings, schedule_id: str, rule: Mapping[str, Any], why: Why) -> None:
    """Creates a schedule or replaces its rule."""
    spec = _spec(rule)
    spec.task.CopyFrom(task_spec(rule))
    connection = Connection(settings)
    request = ScheduleRequest(
        namespace=settings.namespace,
        schedule_id=schedule_id,
        spec=spec,
        request_id=request_id(),
        reason=why.reason,
        actor=why.actor,
    )
    response = connection.call(connection.schedules.Schedule, request)
    verb = "created" if response.created else "replaced"
    following = _format.instant(response.schedule.next_time)

    def table() -> None:
        click.echo(f"{schedule_id} {verb}" + (f", next at {following}" if following else ""))

    emit(settings.output, response, table)


def list_schedules(settings: Settings, filter_: str) -> None:
    """Prints every schedule that matches."""
    connection = Connection(settings)
    request = ListSchedulesRequest(namespace=settings.namespace, filter=filter_)
    found = collect(connection, connection.schedules.ListSchedules, request, "schedules")
    rows = [_row(schedule) for schedule in found.schedules]
    nothing = "no schedules match" if filter_ else "no schedules"
    emit(settings.output, found, lambda: print_table(_COLUMNS, rows, nothing=nothing))


def get(settings: Settings, schedule_id: str) -> None:
    """Prints one schedule."""
    connection = Connection(settings)
    request = GetScheduleRequest(namespace=settings.namespace, schedule_id=schedule_id)
    response = connection.call(connection.schedules.GetSchedule, request)
    emit(settings.output, response, lambda: _print(response.schedule))


def pause(settings: Settings, schedule_id: str, why: Why) -> None:
    """Pauses a schedule."""
    connection = Connection(settings)
    request = _named(PauseScheduleRequest, settings, schedule_id, why)
    response = connection.call(connection.schedules.PauseSchedule, request)
    emit(settings.output, response, lambda: click.echo(f"{schedule_id} paused"))


def resume(settings: Settings, schedule_id: str, why: Why) -> None:
    """Resumes a schedule."""
    connection = Connection(settings)
    request = _named(ResumeScheduleRequest, settings, schedule_id, why)
    response = connection.call(connection.schedules.ResumeSchedule, request)
    following = _format.instant(response.schedule.next_time) or "never"
    emit(
        settings.output, response, lambda: click.echo(f"{schedule_id} resumed, next at {following}")
    )


def trigger(settings: Settings, schedule_id: str, why: Why) -> None:
    """Creates a task now and prints its id."""
    connection = Connection(settings)
    request = _named(TriggerScheduleRequest, settings, schedule_id, why)
    request.request_id = request_id()
    response = connection.call(connection.schedules.TriggerSchedule, request)
    emit(settings.output, response, lambda: click.echo(response.task_id))


def preview(settings: Settings, schedule_id: str | None, rule: Mapping[str, Any]) -> None:
    """Prints the times of a schedule, or of the rule that the options give."""
    given = [name for name in ("cron", "zone", "every", "once", "start", "end") if rule[name]]
    if bool(schedule_id) == bool(given):
        raise click.UsageError("give a SCHEDULE_ID or a rule such as --cron, and not both")
    connection = Connection(settings)
    request = PreviewScheduleRequest(
        namespace=settings.namespace,
        schedule_id=schedule_id or "",
        spec=None if schedule_id else _spec(rule),
        count=rule["count"],
    )
    if rule["after"] is not None:
        request.after_time.FromDatetime(rule["after"])
    response = connection.call(connection.schedules.PreviewSchedule, request)
    emit(settings.output, response, lambda: _print_times(response))


def delete(settings: Settings, schedule_id: str, why: Why, *, ask: bool) -> None:
    """Removes a schedule."""
    if ask and sys.stdin.isatty():
        click.confirm(f"delete schedule {schedule_id}?", abort=True, err=True)
    connection = Connection(settings)
    request = _named(DeleteScheduleRequest, settings, schedule_id, why)
    response = connection.call(connection.schedules.DeleteSchedule, request)
    emit(settings.output, response, lambda: click.echo(f"{schedule_id} deleted"))


def _named(kind: Callable[..., R], settings: Settings, schedule_id: str, why: Why) -> R:
    """A request about one schedule, of somebody who says why."""
    return kind(
        namespace=settings.namespace,
        schedule_id=schedule_id,
        reason=why.reason,
        actor=why.actor,
    )


def when(spec: ScheduleSpec) -> str:
    """The rule in a few words."""
    match spec.WhichOneof("when"):
        case "cron":
            return f"{spec.cron.expression} {spec.cron.time_zone or 'UTC'}"
        case "interval":
            return f"every {_format.duration(spec.interval)}"
        case "once":
            return f"once at {_format.instant(spec.once)}"
        case _:
            return "by a rule of a newer server"


def _spec(rule: Mapping[str, Any]) -> ScheduleSpec:
    given = [name for name in ("cron", "every", "once") if rule[name] is not None]
    if len(given) != 1:
        raise click.UsageError("give exactly one of --cron, --every and --once")
    if rule["zone"] and not rule["cron"]:
        raise click.UsageError("--zone needs --cron")
    spec = ScheduleSpec()
    if rule["cron"] is not None:
        spec.cron.expression = rule["cron"]
        spec.cron.time_zone = rule["zone"] or ""
    elif rule["every"] is not None:
        spec.interval.FromTimedelta(rule["every"])
    else:
        spec.once.FromDatetime(rule["once"])
    for option, field in (("start", spec.start_time), ("end", spec.end_time)):
        if rule[option] is not None:
            field.FromDatetime(rule[option])
    return spec


def _row(schedule: Schedule) -> tuple[Any, ...]:
    return (
        schedule.id,
        schedule.spec.task.name,
        when(schedule.spec),
        _format.paused(schedule.paused, schedule.pause_note),
        _format.age(schedule.next_time),
        _format.age(schedule.last_time),
        f"{schedule.fired_count:,}",
    )


def _print(schedule: Schedule) -> None:
    task = schedule.spec.task
    print_fields(
        [
            ("id", schedule.id),
            ("when", when(schedule.spec)),
            ("state", _format.paused(schedule.paused, schedule.pause_note)),
            ("task", task.name),
            ("queue", task.queue or "default"),
            ("labels", _format.labels(task.labels)),
            ("from", _format.instant(schedule.spec.start_time)),
            ("until", _format.instant(schedule.spec.end_time)),
            ("next", _format.instant(schedule.next_time)),
            ("last", f"{_format.instant(schedule.last_time)} {schedule.last_task_id}".strip()),
            ("fired", f"{schedule.fired_count:,}"),
            ("created", _format.instant(schedule.create_time)),
            ("changed", _format.instant(schedule.update_time)),
        ]
    )
    if shown := _format.payload(task.input):
        click.echo(f"\ninput\n{shown}")


def _print_times(response: PreviewScheduleResponse) -> None:
    for time in response.times:
        click.echo(_format.instant(time))
