"""What `quarterdeck task cancel` and `retry` do, to named tasks or to all that match a filter."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from quarterdeck.cli import _format
from quarterdeck.cli._call import PATIENCE, CallError, Connection, item_error, request_id
from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._options import Settings
from quarterdeck.cli._output import as_dict, emit
from quarterdeck.cli._progress import progress_bar
from quarterdeck.cli._tasks import PAGE
from quarterdeck.v1.task_pb2 import TaskState
from quarterdeck.v1.task_service_pb2 import (
    CancelResult,
    CancelTasksRequest,
    ListTasksRequest,
    RetryResult,
    RetryTasksRequest,
)

BATCH = 500
"""Tasks of one request."""

_REFUSALS_SHOWN = 20
# What a task may do between being listed and being acted on.
_OVERTAKEN = ("WRONG_STATE", "TASK_NOT_FOUND")


class Act(Protocol):
    """Something that is done to many tasks by their ids."""

    @property
    def verb(self) -> str:
        """What it is called."""

    def applies(self, state: TaskState.ValueType) -> bool:
        """Whether it can do anything for a task in this state."""

    def send(
        self, connection: Connection, task_ids: Sequence[str]
    ) -> Sequence[CancelResult | RetryResult]:
        """Does it, and returns a result for every id."""


@dataclass(frozen=True)
class Cancel:
    """Requests that tasks be cancelled."""

    reason: str = ""
    keep_children: bool = False
    verb: str = "cancel"

    def applies(self, state: TaskState.ValueType) -> bool:
        """True for a task that has not ended."""
        return state not in _format.ENDED

    def send(self, connection: Connection, task_ids: Sequence[str]) -> Sequence[CancelResult]:
        """Sends one batch."""
        request = CancelTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            reason=self.reason,
            actor=_actor(),
            keep_children=self.keep_children,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.CancelTasks, request, patience=PATIENCE).results


@dataclass(frozen=True)
class Retry:
    """Puts ended tasks back in their queue."""

    verb: str = "retry"

    def applies(self, state: TaskState.ValueType) -> bool:
        """True for a task that ended otherwise than by success."""
        return state in _format.ENDED and state != TaskState.TASK_STATE_SUCCEEDED

    def send(self, connection: Connection, task_ids: Sequence[str]) -> Sequence[RetryResult]:
        """Sends one batch."""
        request = RetryTasksRequest(
            namespace=connection.namespace, task_ids=task_ids, request_id=request_id()
        )
        return connection.call(connection.tasks.RetryTasks, request, patience=PATIENCE).results


def run(
    settings: Settings,
    act: Act,
    task_ids: Sequence[str],
    filter_: str | None,
    *,
    limit: int,
    ask: bool,
) -> int:
    """Does something to tasks and prints what became of each.

    Args:
        settings: The common options.
        act: What is done.
        task_ids: The tasks, when there is no filter.
        filter_: Which tasks.
        limit: With a filter: tasks at most.
        ask: With a filter: ask first, if somebody is there to answer.

    Returns:
        The exit code. A task that ended while its turn came is no failure of an act on a filter.
    """
    connection = Connection(settings)
    if filter_ is not None:
        task_ids = _select(connection, act, filter_, limit, ask=ask)
    results = _do(connection, act, task_ids)
    emit(
        settings.output,
        {"task_ids": list(task_ids), "results": [as_dict(result) for result in results]},
        lambda: _print(task_ids, results),
    )
    errors = _errors(task_ids, results, overtaken=filter_ is not None)
    if filter_ is not None:
        done = sum(not result.HasField("error") for result in results)
        click.echo(f"{act.verb}: {done:,} of {_format.count(len(task_ids), 'task')}", err=True)
    return _exit_code(errors)


def _select(connection: Connection, act: Act, filter_: str, limit: int, *, ask: bool) -> list[str]:
    """The tasks that match, once somebody who is there has agreed."""
    task_ids, more = _matching(connection, act, filter_, limit)
    which = ("the first " if more else "") + _format.count(len(task_ids), "task")
    if task_ids and ask and sys.stdin.isatty():
        click.confirm(f"{act.verb} {which}?", abort=True, err=True)
    elif more:
        click.echo(f"more match: {act.verb} is for {which}, --max raises it", err=True)
    return task_ids


def _do(
    connection: Connection, act: Act, task_ids: Sequence[str]
) -> list[CancelResult | RetryResult]:
    results: list[CancelResult | RetryResult] = []
    with progress_bar(act.verb, len(task_ids) if len(task_ids) > BATCH else 0) as advance:
        for start in range(0, len(task_ids), BATCH):
            part = task_ids[start : start + BATCH]
            results += act.send(connection, part)
            advance(len(part))
    return results


def _matching(connection: Connection, act: Act, filter_: str, limit: int) -> tuple[list[str], bool]:
    found: list[str] = []
    token = ""
    while True:
        page = connection.call(
            connection.tasks.ListTasks,
            ListTasksRequest(
                namespace=connection.namespace, filter=filter_, page_size=PAGE, page_token=token
            ),
            patience=PATIENCE,
        )
        found += [task.id for task in page.tasks if act.applies(task.state)]
        token = page.next_page_token
        if not token or len(found) > limit:
            return found[:limit], len(found) > limit


def _print(task_ids: Sequence[str], results: Sequence[CancelResult | RetryResult]) -> None:
    for task_id, result in zip(task_ids, results, strict=True):
        if not result.HasField("error"):
            click.echo(f"{task_id}  {_format.task_state(result.state).text}")


def _errors(
    task_ids: Sequence[str], results: Sequence[CancelResult | RetryResult], *, overtaken: bool
) -> list[CallError]:
    errors = []
    for task_id, result in zip(task_ids, results, strict=True):
        if result.HasField("error"):
            error = item_error(result.error)
            if overtaken and error.error.reason in _OVERTAKEN:
                continue
            errors.append(error)
            if len(errors) <= _REFUSALS_SHOWN:
                click.echo(f"{task_id}: {error.message}", err=True)
    return errors


def _exit_code(errors: Sequence[CallError]) -> int:
    codes = {error.code for error in errors}
    if not codes:
        return int(ExitCode.OK)
    return int(codes.pop()) if len(codes) == 1 else int(ExitCode.REFUSED)


def _actor() -> str:
    """Who runs this command, for the audit: user and machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"[:256]
