"""ScheduleService: what operators call about schedules."""

from __future__ import annotations

import asyncio
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import schedule_service_pb2 as pb
from quarterdeck_server.engine.commands import (
    DeleteSchedule,
    PauseSchedule,
    PutSchedule,
    Refusal,
    Submitted,
    TriggerSchedule,
)
from quarterdeck_server.engine.filters import SCHEDULE_FIELDS
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.schedule import schedules as engine
from quarterdeck_server.engine.schedule.errors import ScheduleError
from quarterdeck_server.engine.schedule.firing import schedule_not_found
from quarterdeck_server.engine.schedule.schedules import MAX_PREVIEW, Schedule
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.audit import Who, read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.convert_schedules import schedule as to_proto
from quarterdeck_server.rpc.errors import ApiError, Violation
from quarterdeck_server.rpc.filters import parse_filter
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.pages import Call, read_page
from quarterdeck_server.rpc.requests import execute, request_key
from quarterdeck_server.rpc.specs import schedule_draft
from quarterdeck_server.rpc.tokens import watch_token
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.store.base import Page

_DEFAULT_PREVIEW = 10
_ENDING = frozenset({"once", "end_at"})


class ScheduleService:
    """Answers operators about schedules."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def schedule(self, request: pb.ScheduleRequest, context: Context) -> pb.ScheduleResponse:
        """Create or replace a schedule."""
        core = self._core
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        schedule_id = validate.name(request.schedule_id, "schedule_id", out)
        who = read_who(request, out)
        limit = core.settings.max_payload_bytes
        if not request.HasField("spec"):
            out.append(Violation("spec", "required"))
            validate.refuse(out)
        # Before the draft, which takes the input out of the request.
        key = request_key(namespace, "Schedule", request)
        draft = schedule_draft(namespace, schedule_id, request.spec, limit, out)
        validate.refuse(out)
        await self._check(draft)
        command = PutSchedule(draft, key, who.audit("Schedule", [schedule_id]))
        row, created = await execute(core, command)
        return pb.ScheduleResponse(schedule=to_proto(row), created=created)

    async def _check(self, draft: Schedule) -> None:
        """Refuse a rule that cannot be, before the committer has to.

        Raises:
            ScheduleError: it cannot be.
        """
        now = self._core.clock.now()
        current = await self._core.store.get_schedule(draft.namespace, draft.id)
        if current is None:
            engine.create(draft, now)
        else:
            engine.replace(current, draft, now)

    async def get_schedule(
        self, request: pb.GetScheduleRequest, context: Context
    ) -> pb.GetScheduleResponse:
        """One schedule."""
        namespace = validate.namespace_of(request.namespace)
        row = await self._find(namespace, request.schedule_id)
        return pb.GetScheduleResponse(schedule=to_proto(row))

    async def _find(self, namespace: str, schedule_id: str) -> Schedule:
        row = await self._core.store.get_schedule(namespace, _schedule_id(schedule_id))
        if row is None:
            raise ApiError(schedule_not_found(schedule_id))
        return row

    async def list_schedules(
        self, request: pb.ListSchedulesRequest, context: Context
    ) -> pb.ListSchedulesResponse:
        """A page of schedules."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        found = parse_filter(request.filter, SCHEDULE_FIELDS)

        async def read(limit: int, after: list[Any] | None) -> Page[Schedule]:
            return await core.store.list_schedules(namespace, found, limit, after, core.clock.now())

        call = Call("schedules", namespace, found, request.page_size, request.page_token, (str,))
        page = await read_page(call, read, to_proto)
        return pb.ListSchedulesResponse(
            schedules=page.items,
            next_page_token=page.next_token,
            watch_token=watch_token(core.store.store_id, page.revision),
        )

    async def pause_schedule(
        self, request: pb.PauseScheduleRequest, context: Context
    ) -> pb.PauseScheduleResponse:
        """Stop a schedule from creating tasks."""
        namespace, schedule_id, who = _named(request)
        audit = who.audit("PauseSchedule", [schedule_id])
        command = PauseSchedule(namespace, schedule_id, True, who.note, audit)
        row: Schedule = await execute(self._core, command)
        return pb.PauseScheduleResponse(schedule=to_proto(row))

    async def resume_schedule(
        self, request: pb.ResumeScheduleRequest, context: Context
    ) -> pb.ResumeScheduleResponse:
        """Let a schedule create tasks again."""
        namespace, schedule_id, who = _named(request)
        current = await self._find(namespace, schedule_id)
        if engine.resume(current, self._core.clock.now()).next_at is None:
            raise _ended(current)
        audit = who.audit("ResumeSchedule", [schedule_id])
        command = PauseSchedule(namespace, schedule_id, False, audit=audit)
        row: Schedule = await execute(self._core, command)
        return pb.ResumeScheduleResponse(schedule=to_proto(row))

    async def trigger_schedule(
        self, request: pb.TriggerScheduleRequest, context: Context
    ) -> pb.TriggerScheduleResponse:
        """Create one task of a schedule now."""
        namespace, schedule_id, who = _named(request)
        key = request_key(namespace, "TriggerSchedule", request)
        audit = who.audit("TriggerSchedule", [schedule_id])
        command = TriggerSchedule(namespace, schedule_id, key, audit)
        reply: Submitted = await execute(self._core, command)
        if reply.refusal is not None:
            raise ApiError(reply.refusal)
        return pb.TriggerScheduleResponse(task_id=encode_task_id(reply.task_id))

    async def preview_schedule(
        self, request: pb.PreviewScheduleRequest, context: Context
    ) -> pb.PreviewScheduleResponse:
        """When a rule would create tasks."""
        out: Violations = []
        now = self._core.clock.now()
        count = validate.number(request.count, "count", 1, MAX_PREVIEW, out, _DEFAULT_PREVIEW)
        after = now
        if request.HasField("after_time"):
            after = validate.instant(request.after_time, "after_time", out)
        if bool(request.schedule_id) == request.HasField("spec"):
            out.append(Violation("spec", "expected either spec or schedule_id"))
        validate.refuse(out)
        if request.schedule_id:
            namespace = validate.namespace_of(request.namespace)
            row = await self._find(namespace, request.schedule_id)
        else:
            row = self._preview_draft(request, now)
        # A rare expression takes milliseconds for each of its instants.
        instants = await asyncio.to_thread(engine.preview, row, after, count)
        times = [Timestamp() for _ in instants]
        for target, instant in zip(times, instants, strict=True):
            convert.set_time(target, instant)
        return pb.PreviewScheduleResponse(times=times)

    def _preview_draft(self, request: pb.PreviewScheduleRequest, now: int) -> Schedule:
        """A rule as it would be were it created now."""
        namespace = validate.namespace_of(request.namespace)
        spec = request.spec
        if not spec.task.name:
            spec.task.name = "preview"
        out: Violations = []
        limit = self._core.settings.max_payload_bytes
        draft = schedule_draft(namespace, "preview", spec, limit, out)
        validate.refuse(out)
        try:
            return engine.create(draft, now)
        except ScheduleError as error:
            if error.field not in _ENDING:
                raise
            # A rule that is over has no instants to come, which is an answer and no error.
            return draft._replace(
                spec=engine.make_spec(draft.kind, draft.spec, draft.time_zone), create_time=now
            )

    async def delete_schedule(
        self, request: pb.DeleteScheduleRequest, context: Context
    ) -> pb.DeleteScheduleResponse:
        """Remove a schedule."""
        namespace, schedule_id, who = _named(request)
        audit = who.audit("DeleteSchedule", [schedule_id])
        refusal: Refusal | None = await execute(
            self._core, DeleteSchedule(namespace, schedule_id, audit)
        )
        assert refusal is None
        return pb.DeleteScheduleResponse()


def _named(request: Any) -> tuple[str, str, Who]:
    """Read which schedule somebody wants to act on by hand, and who and why.

    Raises:
        ApiError: something of it is not allowed.
    """
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    schedule_id = validate.name(request.schedule_id, "schedule_id", out)
    who = read_who(request, out)
    validate.refuse(out)
    return namespace, schedule_id, who


def _schedule_id(text: str) -> str:
    out: Violations = []
    validate.name(text, "schedule_id", out)
    validate.refuse(out)
    return text


def _ended(row: Schedule) -> ApiError:
    message = f"schedule {row.id!r} has no time left to run at; give it another rule instead"
    return ApiError(Refusal("SCHEDULE_ENDED", message, (("schedule_id", row.id),)))
