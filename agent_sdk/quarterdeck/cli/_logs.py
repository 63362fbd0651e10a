"""What `quarterdeck task logs` does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import click
from google.protobuf.duration_pb2 import Duration

from quarterdeck._text import sanitize
from quarterdeck.cli import _format
from quarterdeck.cli._call import CALL_TIMEOUT, PATIENCE, Connection
from quarterdeck.cli._options import Format, Settings
from quarterdeck.cli._output import emit, emit_item
from quarterdeck.v1.task_pb2 import LogLine
from quarterdeck.v1.task_service_pb2 import ReadLogsRequest, ReadLogsResponse

_PAGE = 1000
_POLL_SECONDS = 20
_COLOURS = {"warning": "yellow", "error": "red", "debug": "bright_black"}


def logs(settings: Settings, task_id: str, *, follow: bool, attempt: int, tail: int) -> None:
    """Prints a task's log.

    Args:
        settings: The common options.
        task_id: The task.
        follow: Go on until the task has ended; JSON is then one line of the log a line.
        attempt: Only lines of this attempt; 0 for all.
        tail: Only so many last lines; 0 for all.
    """
    pages = _pages(Connection(settings), task_id, follow=follow, attempt=attempt, tail=tail)
    if follow or settings.output is Format.TABLE:
        for page in pages:
            for line in page.lines:
                emit_item(settings.output, line, partial(_print, line))
    else:
        whole = ReadLogsResponse()
        for page in pages:
            whole.MergeFrom(page)
            whole.end = page.end
        emit(settings.output, whole, lambda: None)


def _pages(
    connection: Connection, task_id: str, *, follow: bool, attempt: int, tail: int
) -> Iterator[ReadLogsResponse]:
    after = -tail
    while True:
        page = connection.call(
            connection.tasks.ReadLogs,
            ReadLogsRequest(
                namespace=connection.namespace,
                task_id=task_id,
                after_sequence=after,
                attempt=attempt,
                page_size=_PAGE,
                wait=Duration(seconds=_POLL_SECONDS) if follow else None,
            ),
            timeout=_POLL_SECONDS + CALL_TIMEOUT,
            patience=PATIENCE,
        )
        yield page
        if page.end or not (follow or page.lines):
            return
        after = max(page.next_sequence, after)


def _print(line: LogLine) -> None:
    time = _format.local(line.time).strftime("%H:%M:%S.%f")[:-3]
    level = sanitize(line.level or "info", limit=8)
    where = f"{line.attempt} {sanitize(line.stream, limit=8)}" if line.stream else f"{line.attempt}"
    head = click.style(f"{time} {where:<8} {level:<7}", fg=_COLOURS.get(level))
    # A text of many lines must not be able to pass for several lines of the log.
    first, *more = sanitize(line.text, limit=8192, multiline=True).split("\n")
    click.echo(f"{head} {first}")
    for text in more:
        click.echo(f"{' ' * 25} {text}")
