"""How `quarterdeck task cancel` and the like act: on named tasks, or on all that match a filter."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
import grpc

from quarterdeck._text import sanitize
from quarterdeck._words import counted
from quarterdeck.cli import _format
from quarterdeck.cli._acts import Act, Result
from quarterdeck.cli._call import PATIENCE, CallError, Connection, item_error
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import as_dict, emit
from quarterdeck.cli._progress import progress_bar
from quarterdeck.v1.status_pb2 import Status
from quarterdeck.v1.task_pb2 import TaskState
from quarterdeck.v1.task_service_pb2 import (
    ActOnTasksRequest,
    ActOnTasksResponse,
    CountTasksRequest,
    CountTasksResponse,
)

BATCH = 500
"""Tasks of one request."""

_REFUSALS_SHOWN = 20
# What a task may do between being listed and being acted on.
_OVERTAKEN = ("WRONG_STATE", "TASK_NOT_FOUND")


def named(settings: Settings, act: Act, task_ids: Sequence[str], why: Why) -> int:
    """Does something to named tasks and prints what became of each; the exit code."""
    connection = Connection(settings)
    results: list[Result] = []
    with progress_bar(act.verb, len(task_ids) if len(task_ids) > BATCH else 0) as advance:
        for start in range(0, len(task_ids), BATCH):
            part = task_ids[start : start + BATCH]
            results += act.send(connection, part, why)
            advance(len(part))
    emit(
        settings.output,
        {"task_ids": list(task_ids), "results": [as_dict(result) for result in results]},
        lambda: _print(task_ids, results, act.words(connection, task_ids, results)),
    )
    errors = []
    for task_id, result in zip(task_ids, results, strict=True):
        if result.HasField("error"):
            errors.append(item_error(result.error))
            if len(errors) <= _REFUSALS_SHOWN:
                click.echo(about(task_id, errors[-1].message), err=True)
    return _exit_code(errors)


def by_filter(
    settings: Settings,
    act: Act,
    filter_: str,
    why: Why,
    *,
    limit: int,
    ask: bool = True,
    dry_run: bool = False,
) -> int:
    """Does something to all tasks that match now and that it can do anything for.

    The tasks are those that were counted before anybody was asked, whatever matches meanwhile.

    Args:
        settings: The common options.
        act: What is done.
        filter_: Which tasks.
        why: For the audit log.
        limit: Nothing is done when there are more.
        ask: Ask first, if somebody is there to answer.
        dry_run: Only count.

    Returns:
        The exit code. A task that ended before its turn came is no failure.

    Raises:
        CommandError: There are more than `limit`, or the server refused or went away.
    """
    if not filter_.strip():
        raise click.UsageError("an empty --filter: `id:*` means all tasks")
    connection = Connection(settings)
    filter_, seen = _matching(connection, act, filter_)
    total = sum(item.count for item in seen.counts if item.state in act.states)
    if total > limit:
        raise CommandError(
            f"{act.verb}: {counted(total, 'task')} found, more than {limit:,}; nothing was done",
            ExitCode.REFUSED,
            "--max raises the limit",
        )
    if total and ask and not dry_run and sys.stdin.isatty():
        click.confirm(f"{act.verb} {counted(total, 'task')}?", abort=True, err=True)
    request = _request(settings, act, filter_, seen, why)
    request.max_count, request.dry_run = limit, dry_run
    response, refused = _follow(connection, act, request, total)
    emit(settings.output, response, lambda: _print_end(act, response, dry_run))
    return _tell_refused(response.refused, [item_error(status) for status in refused])


def _matching(connection: Connection, act: Act, filter_: str) -> tuple[str, CountTasksResponse]:
    """What the act is for, and how many tasks that is."""
    # Alone first: within brackets, a filter that is wrong might mean something else.
    seen = _count(connection, filter_)
    if act.terms:
        filter_ = f"({filter_}) {act.terms}"
        seen = _count(connection, filter_)
    return filter_, seen


def _count(connection: Connection, filter_: str) -> CountTasksResponse:
    request = CountTasksRequest(namespace=connection.namespace, filter=filter_)
    return connection.call(connection.tasks.CountTasks, request, patience=PATIENCE)


def _request(
    settings: Settings, act: Act, filter_: str, counted: CountTasksResponse, why: Why
) -> ActOnTasksRequest:
    states = (_format.enum_word(TaskState.DESCRIPTOR, state) for state in act.states)
    request = ActOnTasksRequest(
        namespace=settings.namespace,
        filter=f"({filter_}) state:{','.join(states)}",
        watch_token=counted.watch_token,
        reason=why.reason,
        actor=why.actor,
    )
    act.put(request)
    return request


def _follow(
    connection: Connection, act: Act, request: ActOnTasksRequest, total: int
) -> tuple[ActOnTasksResponse, list[Status]]:
    """The last answer of an act, and the refusals that it told of."""
    last = ActOnTasksResponse()
    refused: list[Status] = []
    stream = connection.tasks.ActOnTasks(request)
    try:
        with progress_bar(act.verb, 0 if request.dry_run else total) as advance:
            for response in stream:
                before = last.done + last.refused
                last = response
                refused.extend(response.errors)
                advance(last.done + last.refused - before)
    except grpc.RpcError as error:
        failure = connection.decode(error)
        if last.matched:
            # A page may be done of which the answer was lost.
            failure.hint = f"at least {_so_far(last)}; quarterdeck audit list has the exact number"
        raise failure from error
    except KeyboardInterrupt:
        click.echo(_so_far(last), err=True)
        raise
    finally:
        # Whoever interrupts this ends the act after the page that is being done.
        stream.cancel()
    if not last.complete:
        raise CommandError(f"{act.verb} broke off", ExitCode.UNREACHABLE, _so_far(last))
    return last, refused


def _so_far(response: ActOnTasksResponse) -> str:
    return f"{response.done:,} of {counted(response.matched, 'task')} were done"


def _print(task_ids: Sequence[str], results: Sequence[Result], words: Sequence[str]) -> None:
    for task_id, result, word in zip(task_ids, results, words, strict=True):
        if not result.HasField("error"):
            click.echo(f"{sanitize(task_id)}  {word}")


def about(task_id: str, message: str) -> str:
    """A refusal of one of several tasks, which says of which."""
    return message if task_id in message else f"{sanitize(task_id)}: {message}"


def _print_end(act: Act, response: ActOnTasksResponse, dry_run: bool) -> None:
    tasks = counted(response.matched, "task")
    if dry_run:
        click.echo(f"{act.verb}: {tasks} found, nothing was done")
    else:
        click.echo(f"{act.verb}: {response.done:,} of {tasks}")


def _tell_refused(count: int, errors: list[CallError]) -> int:
    """Say how many refused it and why; return the exit code, for which those that were overtaken do not count."""
    overtaken = [error for error in errors if error.error.reason in _OVERTAKEN]
    others = [error for error in errors if error.error.reason not in _OVERTAKEN]
    if overtaken:
        click.echo(f"{count:,} refused, such as: {overtaken[0].message}", err=True)
    for error in others[:_REFUSALS_SHOWN]:
        click.echo(error.message, err=True)
    return _exit_code(others)


def _exit_code(errors: Iterable[CallError]) -> int:
    codes = {error.code for error in errors}
    if not codes:
        return int(ExitCode.OK)
    return int(codes.pop()) if len(codes) == 1 else int(ExitCode.REFUSED)
