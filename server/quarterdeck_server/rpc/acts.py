"""ActOnTasks: one thing, done to all tasks that match a filter.

The ids are found once, at the revision that the operator saw; then ordinary commands carry the act out page by page.
Each page is durable before its progress is sent, and counted in the act's entry in the audit log with it.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.commands import (
    Audit,
    BeginAct,
    Cancel,
    Command,
    ItemResult,
    PauseTasks,
    Refusal,
    ResumeTasks,
    Retry,
    TaskChange,
    UpdateTasks,
)
from quarterdeck_server.engine.filters import Filter, compile_predicate
from quarterdeck_server.engine.ids import encode_audit_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.selection import Selection, as_of
from quarterdeck_server.rpc import tokens, validate
from quarterdeck_server.rpc.audit import Who, read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.edits import read_change
from quarterdeck_server.rpc.errors import ApiError, Violation, classify, refusal_status
from quarterdeck_server.rpc.filters import task_filter
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.requests import execute
from quarterdeck_server.rpc.tokens import WatchPosition
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.runtime.committer import Draining
from quarterdeck_server.store.base import StoreUnavailable

MAX_COUNT = 1_000_000
PAGE = 500
"""Tasks in one command."""
_ERRORS = 10
"""Refusals told of a page."""
_UNDONE = 50_000
"""Tasks kept beyond the limit, for those that did not match yet at the revision that is asked for."""
_WAIT = 1.0
"""Seconds between two looks at the hub."""

Make = Callable[[Sequence[int], Audit], Command]


class _Act(NamedTuple):
    """What is asked for."""

    namespace: str
    text: str
    """The filter as written."""
    max_count: int
    who: Who
    action: str
    """The call that does the same to tasks by their ids."""
    make: Make


async def act_on_tasks(core: Core, request: pb.ActOnTasksRequest, context: Context) -> None:
    """Find the tasks, then act on them and stream how far that has come.

    Raises:
        ApiError: such as LIMIT_EXCEEDED and LIST_TOO_OLD, nothing being done; STORE_UNAVAILABLE and DRAINING, which
            leave done what was done.
    """
    act = _read(request)
    found = await task_filter(core, act.namespace, act.text)
    position = _read_token(core, request.watch_token)
    selection = await _select(core, act, found, position)
    if request.dry_run:
        await _tell(context, pb.ActOnTasksResponse(matched=selection.total, complete=True))
        return
    if selection.total > act.max_count:
        raise _too_many(selection.total, act.max_count)
    if selection.total > len(selection.ids):
        raise _too_old()
    await _carry_out(core, act, selection.ids, context)


def _read(request: pb.ActOnTasksRequest) -> _Act:
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    if not request.filter.strip():
        out.append(Violation("filter", "required; write id:* for all tasks"))
    max_count = validate.number(request.max_count, "max_count", 1, MAX_COUNT, out)
    who = read_who(request, out)
    action, make = _maker(request, namespace, who, out)
    validate.refuse(out)
    return _Act(namespace, request.filter, max_count, who, action, make)


def _maker(
    request: pb.ActOnTasksRequest, namespace: str, who: Who, out: Violations
) -> tuple[str, Make]:
    """The name of what is to be done, and what makes the command for a page of ids."""

    def cancel(ids: Sequence[int], audit: Audit) -> Command:
        keep = request.cancel.keep_children
        return Cancel(namespace, ids, who.reason, who.actor, keep, audit=audit)

    def retry(ids: Sequence[int], audit: Audit) -> Command:
        return Retry(namespace, ids, audit=audit)

    def pause(ids: Sequence[int], audit: Audit) -> Command:
        return PauseTasks(namespace, ids, who.reason, who.actor, audit=audit)

    def resume(ids: Sequence[int], audit: Audit) -> Command:
        return ResumeTasks(namespace, ids, audit=audit)

    def update(ids: Sequence[int], audit: Audit) -> Command:
        return UpdateTasks(namespace, ids, change, audit=audit)

    act = request.WhichOneof("act")
    change = read_change(request.update, out) if act == "update" else TaskChange()
    match act:
        case "cancel":
            return "CancelTasks", cancel
        case "retry":
            return "RetryTasks", retry
        case "update":
            return "UpdateTasks", update
        case "pause":
            return "PauseTasks", pause
        case "resume":
            return "ResumeTasks", resume
    out.append(Violation("act", "required: one of cancel, retry, update, pause, resume"))
    return "", cancel


def _read_token(core: Core, token: str) -> WatchPosition | None:
    if not token:
        return None
    position = tokens.read_watch_token(token)
    if position is None or position.store_id != core.store.store_id:
        raise _too_old()
    return position


async def _select(
    core: Core, act: _Act, found: Filter | None, position: WatchPosition | None
) -> Selection:
    """The tasks that match now, or that matched at a position.

    Raises:
        ApiError: LIST_TOO_OLD.
    """
    now = core.clock.now()
    keep = act.max_count + _UNDONE
    if position is None:
        return await core.store.select_tasks(act.namespace, found, now, keep)
    if position.revision > core.hub.revision:
        # A list may have seen a commit that the hub has yet to publish.
        if position.revision > await core.store.revision():
            raise _too_old()
        await _reach(core, position.revision)
    changes = core.hub.since(position.revision)
    if changes is None:
        raise _too_old()
    reached = core.hub.revision
    instant = now if position.time is None else position.time
    selection = await core.store.select_tasks(act.namespace, found, instant, keep)
    await _reach(core, selection.revision)
    newer = core.hub.since(reached)
    if newer is None:
        raise _too_old()
    later = [c for c in (*changes, *newer) if c.revision <= selection.revision]
    passes = None if found is None else compile_predicate(found)

    def matches(task: Task) -> bool:
        return passes is None or passes(task, instant)

    # Of a million ids it takes half a second.
    return await asyncio.to_thread(as_of, selection, later, act.namespace, matches)


async def _reach(core: Core, revision: int) -> None:
    """Wait until the hub has published a revision that is committed."""
    while core.hub.revision < revision:
        if core.hub.closing:
            raise Draining
        await core.hub.wait(revision - 1, _WAIT)


async def _carry_out(core: Core, act: _Act, ids: array[int], context: Context) -> None:
    audit = act.who.audit(act.action)._replace(filter=act.text, matched=len(ids))
    entry_id: int = await execute(core, BeginAct(act.namespace, audit))
    audit = audit._replace(entry_id=entry_id)
    progress = pb.ActOnTasksResponse(
        matched=len(ids), audit_id=encode_audit_id(entry_id), complete=not ids
    )
    await _tell(context, progress)
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE].tolist()
        results = await _page(core, act.make(page, audit), progress)
        refusals = [refusal for _, refusal in results if refusal is not None]
        progress.refused += len(refusals)
        progress.done += len(page) - len(refusals)
        progress.complete = start + PAGE >= len(ids)
        del progress.errors[:]
        progress.errors.extend(map(refusal_status, refusals[:_ERRORS]))
        await _tell(context, progress)


async def _page(core: Core, command: Command, progress: pb.ActOnTasksResponse) -> list[ItemResult]:
    """Carry out one page, unless the server is stopping."""
    try:
        if core.draining:
            raise Draining
        results: list[ItemResult] = await execute(core, command)
    except (Draining, StoreUnavailable) as error:
        known = classify(error)
        assert known is not None
        far = f"; {progress.done} of {progress.matched} were done, see {progress.audit_id}"
        refusal = known.refusal._replace(message=_REST[known.refusal.reason] + far)
        raise ApiError(refusal, retry_after=known.retry_after) from error
    return results


_REST = {
    "DRAINING": "the server is stopping; call again for the rest",
    "STORE_UNAVAILABLE": "the server cannot write its store now; call again for the rest",
}


async def _tell(context: Context, progress: pb.ActOnTasksResponse) -> None:
    await context.write(progress.SerializeToString())


def _too_many(matched: int, limit: int) -> ApiError:
    message = (
        f"filter: {matched} tasks match, more than max_count {limit}; nothing was done. "
        "Narrow the filter or raise max_count"
    )
    metadata = (("limit", str(limit)), ("matched", str(matched)))
    return ApiError(Refusal("LIMIT_EXCEEDED", message, metadata))


def _too_old() -> ApiError:
    message = (
        "watch_token: what was listed cannot be told any more, too much has changed since or the token is of "
        "another database; list again and act on that"
    )
    return ApiError(Refusal("LIST_TOO_OLD", message))
