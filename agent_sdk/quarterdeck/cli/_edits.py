"""What `quarterdeck task rerun` and `task explain` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from quarterdeck._text import sanitize
from quarterdeck._words import counted
from quarterdeck.cli import _bulk, _format
from quarterdeck.cli._call import PATIENCE, Connection, item_error, request_id
from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import emit
from quarterdeck.cli._spec import put_input
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.task_service_pb2 import (
    ExplainTaskRequest,
    ExplainTaskResponse,
    LifePhase,
    LifeSpan,
    Obstacle,
    RerunTasksRequest,
    RerunTasksResponse,
)

_SPAN_COLUMNS = (
    Column("phase"),
    Column("attempt", right=True),
    Column("from"),
    Column("took", right=True),
)


def rerun(settings: Settings, task_ids: Sequence[str], values: Mapping[str, Any], why: Why) -> int:
    """Runs ended tasks again as new ones and prints the new ids, each after the old one."""
    connection = Connection(settings)
    request = RerunTasksRequest(
        namespace=settings.namespace,
        task_ids=task_ids,
        with_dependents=values["with_dependents"],
        reason=why.reason,
        actor=why.actor,
        request_id=request_id(),
    )
    put_input(request, values)
    if request.HasField("input") and len(task_ids) > 1:
        raise click.UsageError("another input is for one task")
    response = connection.call(connection.tasks.RerunTasks, request, patience=PATIENCE)
    emit(settings.output, response, lambda: _print_reruns(task_ids, response))
    code = int(ExitCode.OK)
    for task_id, result in zip(task_ids, response.results, strict=True):
        if result.HasField("error"):
            error = item_error(result.error)
            click.echo(_bulk.about(task_id, error.message), err=True)
            code = int(error.code if code in (0, error.code) else ExitCode.REFUSED)
    return code


def explain(settings: Settings, task_id: str) -> None:
    """Prints why a task is not running, why it failed, and where its time went."""
    connection = Connection(settings)
    request = ExplainTaskRequest(namespace=settings.namespace, task_id=task_id)
    response = connection.call(connection.tasks.ExplainTask, request)
    emit(settings.output, response, lambda: _print_explanation(response))


def _print_reruns(task_ids: Sequence[str], response: RerunTasksResponse) -> None:
    for task_id, result in zip(task_ids, response.results, strict=True):
        if result.HasField("error"):
            continue
        copies = len(result.dependent_ids)
        more = f"  and {counted(copies, 'dependent')}" if copies else ""
        click.echo(f"{sanitize(task_id)}  {result.task_id}{more}")


def _print_explanation(response: ExplainTaskResponse) -> None:
    task = response.task
    click.echo(sanitize(response.summary))
    only = response.obstacles[0] if _is_summary(response) else Obstacle()
    if response.obstacles and not only.message:
        for obstacle in response.obstacles:
            _print_obstacle(obstacle)
    ahead = f"{response.ahead:,}{' or more' if response.ahead_is_minimum else ''}"
    print_fields(
        [
            ("task", task.id),
            ("state", _format.standing(task)),
            ("until", _format.instant(only.until)),
            ("tasks", " ".join(only.task_ids)),
            ("agents", " ".join(only.agent_ids)),
            ("agent", task.agent_id),
            ("ahead", ahead if response.ahead else ""),
            ("starts about", _format.instant(response.estimated_start_time)),
            ("time", response.time_summary),
        ]
    )
    if response.spans:
        click.echo()
        print_table(_SPAN_COLUMNS, [_span(span) for span in response.spans])


def _is_summary(response: ExplainTaskResponse) -> bool:
    """Whether the only obstacle was said already; when it ends, and what it is about, was not."""
    found = response.obstacles
    return len(found) == 1 and found[0].message == response.summary


def _print_obstacle(obstacle: Obstacle) -> None:
    until = _format.instant(obstacle.until)
    about = _about(obstacle)
    click.echo(f"- {sanitize(obstacle.message)}" + (f" (until {until})" if until else ""))
    if about:
        click.echo(f"  {sanitize(about)}")


def _about(obstacle: Obstacle) -> str:
    return " ".join([*obstacle.task_ids, *obstacle.agent_ids])


def _span(span: LifeSpan) -> tuple[str, ...]:
    took = _format.between(span.start_time, span.end_time) or _format.age(span.start_time)
    return (
        _format.enum_word(LifePhase.DESCRIPTOR, span.phase),
        str(span.attempt or ""),
        _format.instant(span.start_time),
        took,
    )
