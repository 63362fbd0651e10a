"""ReadLogs: the lines of a task."""

from __future__ import annotations

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.model import LogRow, Task
from quarterdeck_server.engine.refusals import task_not_found
from quarterdeck_server.engine.states import ENDED
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.rpc.waits import wait_of, within_deadline

MAX_PAGE = 10_000
DEFAULT_PAGE = 1000
_MAX_SEQUENCE = 2**62
_LINE_OVERHEAD = 50
"""Bytes of a line on the wire beside its text, about."""


async def read_logs(
    core: Core, request: pb.ReadLogsRequest, context: Context
) -> pb.ReadLogsResponse:
    """Read a page of lines, waiting for the first when there is none yet.

    Raises:
        ApiError: a field is wrong, or there is no such task.
    """
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    task_id = validate.task_id(request.task_id, "task_id")
    after = validate.number(
        request.after_sequence, "after_sequence", -_MAX_SEQUENCE, _MAX_SEQUENCE, out
    )
    attempt = validate.number(request.attempt, "attempt", 0, 2**31 - 1, out)
    wait = wait_of(request.wait, out)
    validate.refuse(out)
    limit = validate.page_size(request.page_size, MAX_PAGE, DEFAULT_PAGE)
    if after < 0:
        # The last lines, as many as one page holds.
        after = -min(-after, limit)
    wait = within_deadline(wait, context)
    # The task is read before its lines: what it wrote before it ended is then among them.
    task = await find_task(core, namespace, task_id)
    rows = await core.store.read_logs(namespace, task_id, after, attempt, limit)
    if not rows and wait and task.state not in ENDED:
        await core.wait_logs(task_id, max(after, 0), wait)
        task = await find_task(core, namespace, task_id)
        rows = await core.store.read_logs(namespace, task_id, after, attempt, limit)
    fitting = _fitting(rows, tail=after < 0)
    complete = len(rows) < limit and (after < 0 or len(fitting) == len(rows))
    return pb.ReadLogsResponse(
        lines=[convert.log_line(row) for row in fitting],
        next_sequence=fitting[-1].sequence if fitting else max(after, 0),
        end=task.state in ENDED and (complete or after < 0),
    )


async def _wait_for_lines(core: Core, task: Task, after: int, attempt: int, wait: float) -> None:
    """Wait for a line, of this attempt if one is named: the lines of others only move the wait on."""
    ends = core.clock.monotonic() + wait
    seen = after
    while (left := ends - core.clock.monotonic()) > 0:
        await core.wait_logs(task.id, seen, left)
        last = await core.store.read_logs(task.namespace, task.id, -1, 0, 1)
        if not last or last[-1].sequence <= seen:
            return
        seen = last[-1].sequence
        if await core.store.read_logs(task.namespace, task.id, after, attempt, 1):
            return


async def find_task(core: Core, namespace: str, task_id: int) -> Task:
    """The task of this id.

    Raises:
        ApiError: TASK_NOT_FOUND.
    """
    rows = await core.store.get_tasks([task_id])
    if not rows or rows[0].namespace != namespace:
        raise ApiError(task_not_found(task_id))
    return rows[0]


def _fitting(rows: list[LogRow], *, tail: bool) -> list[LogRow]:
    """As many lines as one answer takes: the first, or the last of a tail."""
    room = validate.MAX_ANSWER
    ordered = reversed(rows) if tail else iter(rows)
    count = 0
    for row in ordered:
        room -= len(row.text.encode()) + _LINE_OVERHEAD
        if room < 0:
            break
        count += 1
    if count == len(rows):
        return rows
    return rows[-count:] if tail else rows[:count]
