"""What `quarterdeck task list`, `get` and `wait` do."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Sequence

import click
from google.protobuf.duration_pb2 import Duration

from quarterdeck._text import sanitize
from quarterdeck._words import counted, short_ids
from quarterdeck.cli import _format
from quarterdeck.cli._call import CALL_TIMEOUT, PATIENCE, Connection
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import DEFAULT_NAMESPACE, Settings
from quarterdeck.cli._output import emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.task_pb2 import Attempt, AttemptOutcome, Task, TaskState
from quarterdeck.v1.task_service_pb2 import (
    GetTaskRequest,
    GetTaskResponse,
    ListTasksRequest,
    ListTasksResponse,
    TaskKey,
    TaskKeyKind,
    WaitTaskRequest,
    WaitTaskResponse,
)

_POLL = 20.0
_SHOWN_STACK = 16_384

_COLUMNS = (
    Column("id"),
    Column("name", flexible=True),
    Column("queue", flexible=True),
    Column("state"),
    Column("pri", right=True),
    Column("attempt", right=True),
    Column("age", right=True),
    Column("detail", flexible=True),
)
_ATTEMPT_COLUMNS = (
    Column("attempt", right=True),
    Column("outcome"),
    Column("agent", flexible=True),
    Column("start"),
    Column("took", right=True),
    Column("failure", flexible=True),
)


def list_tasks(
    settings: Settings, filter_: str, order_by: str, limit: int, page_token: str
) -> None:
    """Prints tasks; `limit` 0 prints all."""
    connection = Connection(settings)
    request = ListTasksRequest(
        namespace=settings.namespace, filter=filter_, order_by=order_by, page_token=page_token
    )
    found = collect(connection, connection.tasks.ListTasks, request, "tasks", limit=limit)
    emit(settings.output, found, lambda: _print_tasks(found, _nothing(settings, filter_)))


def get(settings: Settings, task_id: str) -> None:
    """Prints one task with its payloads and attempts."""
    connection = Connection(settings)
    request = GetTaskRequest(namespace=settings.namespace, task_id=task_id)
    response = connection.call(connection.tasks.GetTask, request)
    emit(settings.output, response, lambda: _print_task(response))


def wait(settings: Settings, task_id: str, timeout: dt.timedelta | None) -> int:
    """Waits for a task's end, prints its result, and returns how it ended as an exit code."""
    return finish(settings, Connection(settings), task_id, timeout)


def finish(
    settings: Settings, connection: Connection, task_id: str, timeout: dt.timedelta | None
) -> int:
    """The same over a connection that is there already."""
    response = await_end(connection, task_id, timeout)
    emit(settings.output, response, lambda: _print_end(response))
    succeeded = response.task.state == TaskState.TASK_STATE_SUCCEEDED
    return int(ExitCode.OK if succeeded else ExitCode.TASK_FAILED)


def await_end(
    connection: Connection, task_id: str, timeout: dt.timedelta | None
) -> WaitTaskResponse:
    """The task once it has ended.

    Raises:
        CommandError: not ended when `timeout` was over.
    """
    give_up = connection.clock() + timeout.total_seconds() if timeout is not None else None
    while True:
        left = _POLL if give_up is None else min(_POLL, max(give_up - connection.clock(), 0))
        poll = Duration()
        poll.FromTimedelta(dt.timedelta(seconds=left))
        response = connection.call(
            connection.tasks.WaitTask,
            WaitTaskRequest(namespace=connection.namespace, task_id=task_id, wait=poll),
            timeout=left + CALL_TIMEOUT,
            patience=PATIENCE,
        )
        if response.ended:
            return response
        if give_up is not None and connection.clock() >= give_up:
            state = _format.standing(response.task).text
            hint = f"`quarterdeck task explain {task_id}` says why"
            raise CommandError(f"{task_id} is still {state}", ExitCode.TIMEOUT, hint)


def detail(task: Task) -> str:
    """What there is to say about a task beside its state: its progress, or why it failed."""
    if task.HasField("failure") and task.state != TaskState.TASK_STATE_SUCCEEDED:
        return _format.failure(task.failure)
    if task.HasField("cancellation") and task.cancellation.reason:
        cancelled = task.state == TaskState.TASK_STATE_CANCELLED
        return f"{'cancelled' if cancelled else 'cancel asked'}: {task.cancellation.reason}"
    if task.HasField("pause"):
        return task.pause.reason
    return _format.progress(task.progress) if task.HasField("progress") else ""


def _nothing(settings: Settings, filter_: str) -> str:
    """What is said of an empty list; a namespace that was named is named, for it may be mistyped."""
    where = "" if settings.namespace == DEFAULT_NAMESPACE else f" in {sanitize(settings.namespace)}"
    return f"no tasks{where} match" if filter_ else f"no tasks{where}"


def _print_tasks(found: ListTasksResponse, nothing: str) -> None:
    rows = [
        (
            task.id,
            task.name,
            task.queue,
            _format.standing(task),
            str(task.priority),
            f"{task.attempt}/{task.max_attempts}",
            _format.age(task.create_time),
            detail(task),
        )
        for task in found.tasks
    ]
    print_table(_COLUMNS, rows, nothing=nothing)
    if found.next_page_token and sys.stderr.isatty():
        click.echo(f"the first {counted(len(rows), 'task')}: --limit 0 lists all", err=True)


def _print_task(response: GetTaskResponse) -> None:
    task = response.task
    late_heartbeats = sum(attempt.late_heartbeats for attempt in response.attempts)
    print_fields(
        [
            ("id", task.id),
            ("name", task.name),
            ("state", _format.standing(task)),
            ("queue", task.queue),
            ("priority", str(task.priority)),
            ("attempt", f"{task.attempt} of {task.max_attempts}"),
            ("crashes", str(task.crashes or "")),
            ("agent", task.agent_id),
            ("labels", _format.labels(task.labels)),
            ("attributes", _format.attributes(task.attributes)),
            ("group key", task.group_key),
            ("needs agent", _format.labels(task.required_labels)),
            ("prefers agent", task.preferred_agent_id),
            *_preferences(response),
            *_keys(response.keys),
            ("units", str(response.units) if response.units > 1 else ""),
            ("rerun of", task.rerun_of),
            ("parent", task.parent_id),
            ("schedule", task.schedule_id),
            ("idempotency key", task.idempotency_key),
            ("depends on", " ".join(response.depends_on)),
            ("waits for", str(task.pending_dependencies or "")),
            ("created", _format.instant(task.create_time)),
            ("runs at", _format.instant(task.run_time) if not task.HasField("end_time") else ""),
            ("started", _format.instant(task.start_time)),
            ("ended", _format.instant(task.end_time)),
            ("deadline", _format.instant(task.task_deadline)),
            ("progress", _format.progress(task.progress)),
            ("late reports", str(task.late_reports or "")),
            ("late heartbeats", str(late_heartbeats or "")),
            *_cancellation(task),
            *_pause(task),
        ]
    )
    _print_attempts(response.attempts)
    _print_stack(response.attempts)
    payloads = ("input", response.input), ("saved", response.details), ("result", response.result)
    for title, value in payloads:
        if shown := _format.payload(value):
            click.echo(f"\n{title}\n{shown}")


def _preferences(response: GetTaskResponse) -> list[tuple[str, str]]:
    """Which agents are waited for first, and for how long."""
    affinity = response.affinity
    if not affinity.preferred and not affinity.same_agent_as:
        return []
    return [
        ("prefers labels", _format.labels(affinity.preferred)),
        ("prefers agent of", affinity.same_agent_as),
        ("waits for them", _format.duration(affinity.patience) or "not at all"),
    ]


def _keys(keys: Iterable[TaskKey]) -> list[tuple[str, str]]:
    """The keys by which it was let in."""
    return [
        (
            f"{_format.enum_word(TaskKeyKind.DESCRIPTOR, key.kind)} key",
            key.key + ("" if key.held else " (free again)"),
        )
        for key in keys
    ]


def _cancellation(task: Task) -> list[tuple[str, str]]:
    steps = task.cancellation
    return [
        (
            "cancel asked",
            f"{_format.instant(steps.request_time)} {steps.actor} {steps.reason}".strip(),
        ),
        ("delivered", _format.instant(steps.deliver_time)),
        ("acknowledged", _format.instant(steps.acknowledge_time)),
        ("stopped", _format.instant(steps.stop_time)),
        ("escalated", _format.instant(steps.escalate_time)),
    ]


def _pause(task: Task) -> list[tuple[str, str]]:
    steps = task.pause
    asked = f"{_format.instant(steps.request_time)} {steps.actor} {steps.reason}".strip()
    return [
        ("pause asked", asked),
        ("delivered", _format.instant(steps.deliver_time)),
        ("stands still", _format.instant(steps.acknowledge_time)),
    ]


def _print_attempts(attempts: Sequence[Attempt]) -> None:
    agents = short_ids(attempt.agent_id for attempt in attempts)
    rows = [
        (
            str(attempt.attempt),
            _outcome(attempt),
            agents[attempt.agent_id],
            _format.instant(attempt.start_time),
            _format.between(attempt.start_time, attempt.end_time),
            _format.failure(attempt.failure),
        )
        for attempt in attempts
    ]
    if rows:
        click.echo()
        print_table(_ATTEMPT_COLUMNS, rows)


def _print_stack(attempts: Iterable[Attempt]) -> None:
    """Where the latest attempt that has a stack trace failed."""
    failed = [attempt for attempt in attempts if attempt.failure.stack_trace]
    if failed:
        trace = sanitize(failed[-1].failure.stack_trace, limit=_SHOWN_STACK, multiline=True)
        click.echo(f"\nfailure of attempt {failed[-1].attempt}\n{trace.rstrip()}")


def _outcome(attempt: Attempt) -> str:
    if not attempt.outcome:
        return "running"
    return _format.enum_word(AttemptOutcome.DESCRIPTOR, attempt.outcome)


def _print_end(response: WaitTaskResponse) -> None:
    task = response.task
    state = _format.task_state(task.state, task.reason)
    line = f"{task.id} {state.text}"
    # How far it had come says nothing about one that has its result.
    if task.state != TaskState.TASK_STATE_SUCCEEDED and (said := detail(task)):
        line += f": {said}"
    click.echo(sanitize(line), err=True)
    if shown := _format.payload(response.result):
        click.echo(shown)
