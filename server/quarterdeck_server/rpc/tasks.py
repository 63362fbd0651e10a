"""TaskService: what producers and operators call about tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from quarterdeck.v1 import status_pb2
from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.commands import (
    Cancel,
    PauseTasks,
    ResumeTasks,
    Retry,
    Spec,
    Submit,
    Submitted,
)
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.refusals import task_not_found
from quarterdeck_server.engine.states import ENDED, SUCCEEDED
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.acts import act_on_tasks
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.edits import rerun_tasks, update_tasks
from quarterdeck_server.rpc.errors import (
    ApiError,
    Violation,
    invalid_field,
    refusal_status,
    status_of,
)
from quarterdeck_server.rpc.filters import task_filter
from quarterdeck_server.rpc.items import item_results, read_named
from quarterdeck_server.rpc.logs import find_task, read_logs
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.pages import Call, read_page
from quarterdeck_server.rpc.requests import execute, request_key
from quarterdeck_server.rpc.specs import task_spec
from quarterdeck_server.rpc.task_detail import task_detail
from quarterdeck_server.rpc.tokens import Key, watch_token
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.rpc.waits import read_wait, within_deadline
from quarterdeck_server.store.base import Page

_ORDERS = {
    "create_time": "create_time",
    "run_time": "run_at",
    "end_time": "end_time",
    "priority": "priority",
    "name": "name",
    "state": "state",
}
_KEYS: Final[dict[str, Key]] = {"create_time": (int,), "name": (str, int)}
_KEY: Final[Key] = (int, int)
_MAX_EDGES = 200_000
"""Dependencies in one request, twice what 2 MiB of ids hold: they are one group, which holds the others up."""


class TaskService:
    """Answers producers and operators."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        """Accept tasks."""
        namespace = validate.namespace_of(request.namespace)
        validate.batch(len(request.tasks), "tasks")
        key = request_key(namespace, "Submit", request)
        specs: list[Spec] = []
        places: list[int | None] = []
        refused: dict[int, status_pb2.Status] = {}
        out: Violations = []
        limit = self._core.settings.max_payload_bytes
        edges = 0
        for index, message in enumerate(request.tasks):
            spec = task_spec(message, index, limit, out)
            if spec.depends_on and not out:
                edges += len(spec.depends_on)
                validate.batch(edges, "tasks.depends_on", _MAX_EDGES)
                spec = _renumbered(spec, places, out)
            if out:
                refused[index] = status_of(validate.item_error(out, f"tasks[{index}]."))
                places.append(None)
            else:
                places.append(len(specs))
                specs.append(spec)
        replies = await execute(self._core, Submit(namespace, specs, key)) if specs else []
        return _submitted(places, refused, replies)

    async def get_task(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        """One task with all that belongs to it."""
        namespace = validate.namespace_of(request.namespace)
        task_id = validate.task_id(request.task_id, "task_id")
        detail = await self._core.store.get_task(namespace, task_id)
        if detail is None:
            raise ApiError(task_not_found(task_id))
        return task_detail(detail, self._core.clock.now())

    async def list_tasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        """A page of tasks."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        column, descending = _order(request.order_by)
        found = await task_filter(core, namespace, request.filter)
        now = core.clock.now()

        async def read(limit: int, after: list[Any] | None) -> Page[Task]:
            return await core.store.list_tasks(
                namespace, found, column, descending, limit, after, now
            )

        listing = f"tasks {column} {descending}"
        call = Call(
            listing,
            namespace,
            found,
            request.page_size,
            request.page_token,
            _KEYS.get(column, _KEY),
        )
        page = await read_page(call, read, convert.task)
        return pb.ListTasksResponse(
            tasks=page.items,
            next_page_token=page.next_token,
            watch_token=watch_token(core.store.store_id, page.revision, now),
        )

    async def count_tasks(
        self, request: pb.CountTasksRequest, context: Context
    ) -> pb.CountTasksResponse:
        """How many tasks match, by state."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        found = await task_filter(core, namespace, request.filter)
        now = core.clock.now()
        counts, revision = await core.store.count_tasks(namespace, found, now)
        return pb.CountTasksResponse(
            counts=convert.state_counts(counts),
            total=sum(counts.values()),
            watch_token=watch_token(core.store.store_id, revision, now),
        )

    async def wait_task(self, request: pb.WaitTaskRequest, context: Context) -> pb.WaitTaskResponse:
        """Wait for a task's end."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        task_id = validate.task_id(request.task_id, "task_id")
        wait = within_deadline(read_wait(request.wait), context)
        task = await find_task(core, namespace, task_id)
        if wait and task.state not in ENDED:
            await core.wait_ended(task_id, wait)
            task = await find_task(core, namespace, task_id)
        response = pb.WaitTaskResponse(task=convert.task(task), ended=task.state in ENDED)
        if task.state == SUCCEEDED:
            result = await core.store.get_result(task_id)
            if result is not None:
                response.result.CopyFrom(convert.payload(result))
        return response

    async def cancel_tasks(
        self, request: pb.CancelTasksRequest, context: Context
    ) -> pb.CancelTasksResponse:
        """Request cancels."""
        named = read_named(request, "CancelTasks")
        namespace, ids, who = named.namespace, named.ids, named.who
        keep = request.keep_children
        command = Cancel(namespace, ids, who.reason, who.actor, keep, named.key, named.audit)
        return pb.CancelTasksResponse(
            results=await item_results(self._core, command, named, pb.CancelResult)
        )

    async def retry_tasks(
        self, request: pb.RetryTasksRequest, context: Context
    ) -> pb.RetryTasksResponse:
        """Put ended tasks back."""
        named = read_named(request, "RetryTasks")
        command = Retry(named.namespace, named.ids, named.key, named.audit)
        return pb.RetryTasksResponse(
            results=await item_results(self._core, command, named, pb.RetryResult)
        )

    async def pause_tasks(
        self, request: pb.PauseTasksRequest, context: Context
    ) -> pb.PauseTasksResponse:
        """Ask that running tasks stand still."""
        named = read_named(request, "PauseTasks")
        namespace, ids, who = named.namespace, named.ids, named.who
        command = PauseTasks(namespace, ids, who.reason, who.actor, named.key, named.audit)
        return pb.PauseTasksResponse(
            results=await item_results(self._core, command, named, pb.PauseResult)
        )

    async def resume_tasks(
        self, request: pb.ResumeTasksRequest, context: Context
    ) -> pb.ResumeTasksResponse:
        """Let paused tasks go on."""
        named = read_named(request, "ResumeTasks")
        command = ResumeTasks(named.namespace, named.ids, named.key, named.audit)
        return pb.ResumeTasksResponse(
            results=await item_results(self._core, command, named, pb.ResumeResult)
        )

    async def update_tasks(
        self, request: pb.UpdateTasksRequest, context: Context
    ) -> pb.UpdateTasksResponse:
        """Change tasks that have not ended."""
        return await update_tasks(self._core, request)

    async def rerun_tasks(
        self, request: pb.RerunTasksRequest, context: Context
    ) -> pb.RerunTasksResponse:
        """Run ended tasks again as new ones."""
        return await rerun_tasks(self._core, request)

    async def act_on_tasks(self, request: pb.ActOnTasksRequest, context: Context) -> None:
        """Do one thing to all tasks that match a filter."""
        await act_on_tasks(self._core, request, context)

    async def explain_task(
        self, request: pb.ExplainTaskRequest, context: Context
    ) -> pb.ExplainTaskResponse:
        """Why a task is not running, why it failed, and where its time went."""
        # A server is up sooner without what few calls need.
        from quarterdeck_server.rpc.explain import explain_task

        return await explain_task(self._core, request)

    async def read_logs(self, request: pb.ReadLogsRequest, context: Context) -> pb.ReadLogsResponse:
        """A page of a task's log."""
        return await read_logs(self._core, request, context)


def _order(text: str) -> tuple[str, bool]:
    """The column that a list is ordered by, and whether it is reversed."""
    if not text.strip():
        return "create_time", True
    words = text.split()
    column = _ORDERS.get(words[0])
    if column is None or words[1:] not in ([], ["asc"], ["desc"]):
        rule = f"expected one of {', '.join(_ORDERS)}, with ' desc' to reverse, got {text[:80]!r}"
        raise invalid_field("order_by", rule)
    return column, words[1:] == ["desc"]


def _renumbered(spec: Spec, places: Sequence[int | None], out: Violations) -> Spec:
    """Point a spec's `#n` at where item n stands once the refused items are left out."""
    found = []
    for reference in spec.depends_on:
        if reference >= 0:
            found.append(reference)
            continue
        place = places[-reference - 1]
        if place is None:
            rule = (
                f"item #{-reference - 1} of this request was refused, so this one was not accepted"
            )
            out.append(Violation("depends_on", rule))
            return spec
        found.append(-place - 1)
    return spec._replace(depends_on=tuple(found))


def _submitted(
    places: Sequence[int | None],
    refused: Mapping[int, status_pb2.Status],
    replies: Sequence[Submitted],
) -> pb.SubmitResponse:
    """Answer for every item: with what is wrong with it, or with the reply in its place."""
    response = pb.SubmitResponse()
    # A message that is put into a list is copied; one that is added is not, which is a third of the cost.
    add = response.results.add
    for index, place in enumerate(places):
        if place is None:
            add(error=refused[index])
            continue
        task_id, existed, refusal = replies[place]
        if refusal is None:
            add(task_id=encode_task_id(task_id), existed=existed)
        else:
            add(error=refusal_status(refusal, f"tasks[{index}]."))
    return response
