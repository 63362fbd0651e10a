"""AgentService: what agents call."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck.v1 import payload_pb2, status_pb2, task_pb2
from quarterdeck_server.engine.commands import (
    AppendLogs,
    Fail,
    ItemResult,
    Line,
    LogItem,
    Refusal,
    Release,
    Report,
    ReportItem,
    StopCancelled,
    Succeed,
)
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.engine.model import Failure
from quarterdeck_server.engine.timeunits import HOUR
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.claims import Claims
from quarterdeck_server.rpc.errors import Violation, refusal_status, status_of
from quarterdeck_server.rpc.heartbeats import Heartbeats, read_progress
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.validate import Violations

MAX_CHUNKS = 1000
MAX_LINES = 1000
_MAX_LINE = 8192
_MAX_FAILURE = 4096
_MAX_STACK = 65_536
_MAX_OFFSET = 2**53
_LEVELS = frozenset({"debug", "info", "warning", "error"})
_STREAMS = frozenset({"log", "stdout", "stderr"})


class AgentService:
    """Answers agents."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._claims = Claims(core)
        self._heartbeats = Heartbeats(core)

    async def claim(self, request: pb.ClaimRequest, context: Context) -> pb.ClaimResponse:
        """Wait for work and lease it."""
        return await self._claims.answer(request, context)

    async def heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        """Renew leases and bring directives."""
        response = await self._heartbeats.answer(request, context)
        if request.goodbye:
            self._claims.forget(request.namespace or "default", request.agent.agent_id)
        return response

    async def report(self, request: pb.ReportRequest, context: Context) -> pb.ReportResponse:
        """End attempts."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        agent_id = validate.agent_id(request.agent_id, "agent_id", out)
        validate.refuse(out)
        validate.batch(len(request.reports), "reports")
        limit = self._core.settings.max_payload_bytes
        places: list[status_pb2.Status | None] = []
        items: list[ReportItem] = []
        for index, report in enumerate(request.reports):
            item = _report_item(report, limit, out)
            if item is not None and report.HasField("progress"):
                now = self._core.clock.now()
                item = item._replace(progress=read_progress(report.progress, now))
            if out or item is None:
                places.append(_item_status(out, "reports", index))
            else:
                places.append(None)
                items.append(item)
        command = Report(namespace, agent_id, items)
        replies: list[ItemResult] = await self._core.execute(command) if items else []
        return _reported(places, replies)

    async def append_logs(
        self, request: pb.AppendLogsRequest, context: Context
    ) -> pb.AppendLogsResponse:
        """Append to logs."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        validate.agent_id(request.agent_id, "agent_id", out)
        validate.refuse(out)
        validate.batch(len(request.chunks), "chunks", MAX_CHUNKS)
        results: list[pb.AppendLogsResult | None] = []
        items: list[LogItem] = []
        for index, chunk in enumerate(request.chunks):
            item = _log_item(chunk, out)
            if out or item is None:
                results.append(pb.AppendLogsResult(error=_item_status(out, "chunks", index)))
            else:
                results.append(None)
                items.append(item)
        replies: list[Refusal | None] = (
            await self._core.execute(AppendLogs(namespace, items)) if items else []
        )
        answers = iter(replies)
        return pb.AppendLogsResponse(
            results=[_log_result(next(answers)) if result is None else result for result in results]
        )


def _reported(
    places: Sequence[status_pb2.Status | None], replies: Sequence[ItemResult]
) -> pb.ReportResponse:
    """Answer for every item: with what is wrong with it, or with the next reply."""
    response = pb.ReportResponse()
    answers = iter(replies)
    # A message that is put into a list is copied; one that is added is not.
    add = response.results.add
    for wrong in places:
        if wrong is not None:
            add(error=wrong)
            continue
        state, refusal = next(answers)
        if refusal is None:
            add(state=state)
        else:
            add(state=state, error=refusal_status(refusal))
    return response


def _item_status(out: Violations, field: str, index: int) -> status_pb2.Status:
    return status_of(validate.item_error(out, f"{field}[{index}]."))


def _log_result(refusal: Refusal | None) -> pb.AppendLogsResult:
    return pb.AppendLogsResult(error=None if refusal is None else refusal_status(refusal))


def _lease(task_id: str, lease_token: bytes, out: Violations) -> tuple[int, int] | None:
    """The task and the token of an item."""
    proof = convert.read_lease_token(lease_token)
    if proof is None:
        out.append(Violation("lease_token", "expected the token that came with the claim"))
    try:
        number = decode_task_id(task_id)
    except ValueError as error:
        out.append(Violation("task_id", str(error)))
        return None
    return None if proof is None else (number, proof[0])


def _report_item(report: pb.AttemptReport, limit: int, out: Violations) -> ReportItem | None:
    lease = _lease(report.task_id, report.lease_token, out)
    outcome: Succeed | Fail | StopCancelled | Release
    match report.WhichOneof("outcome"):
        case "succeeded":
            succeeded = report.succeeded
            outcome = Succeed(
                validate.payload(succeeded.result, "succeeded.result", limit, out)
                if succeeded.HasField("result")
                else None
            )
        case "failed":
            outcome = _failed(report.failed, out)
        case "cancelled":
            outcome = StopCancelled(validate.kept(report.cancelled.message, _MAX_FAILURE))
        case "released":
            outcome = Release(validate.kept(report.released.message, _MAX_FAILURE))
        case _:
            rule = "required: expected succeeded, failed, cancelled or released"
            out.append(Violation("outcome", rule))
            return None
    return None if lease is None else ReportItem(lease[0], lease[1], outcome)


def _failed(failed: pb.Failed, out: Violations) -> Fail:
    failure: payload_pb2.Failure = failed.failure
    delay = None
    if failed.HasField("retry_delay"):
        delay = validate.span(failed.retry_delay, "failed.retry_delay", out)
    kind = validate.text(failure.type, "failed.failure.type", 256, out)
    message = validate.kept(failure.message, _MAX_FAILURE)
    stack = validate.kept(failure.stack_trace, _MAX_STACK)
    rest = _back_off(failed, out) if failed.HasField("back_off") else None
    return Fail(
        Failure(kind, message, stack, failure.non_retryable), delay, rest, failed.back_off_key_only
    )


def _back_off(failed: pb.Failed, out: Violations) -> int:
    rest = validate.span(failed.back_off, "failed.back_off", out)
    if rest > HOUR:
        out.append(Violation("failed.back_off", "expected at most 1 h"))
    return rest


def _log_item(chunk: pb.LogChunk, out: Violations) -> LogItem | None:
    lease = _lease(chunk.task_id, chunk.lease_token, out)
    offset = validate.number(chunk.offset, "offset", 0, _MAX_OFFSET, out)
    if len(chunk.lines) > MAX_LINES:
        out.append(Violation("lines", f"expected at most {MAX_LINES}, got {len(chunk.lines)}"))
        return None
    lines = [_line(line, place, out) for place, line in enumerate(chunk.lines)]
    return None if lease is None else LogItem(lease[0], lease[1], offset, lines)


def _line(line: task_pb2.LogLine, place: int, out: Violations) -> Line:
    level, stream = line.level or "info", line.stream or "log"
    if level not in _LEVELS:
        rule = f"expected {', '.join(sorted(_LEVELS))}, got {level[:40]!r}"
        out.append(Violation(f"lines[{place}].level", rule))
    if stream not in _STREAMS:
        rule = f"expected {', '.join(sorted(_STREAMS))}, got {stream[:40]!r}"
        out.append(Violation(f"lines[{place}].stream", rule))
    time = None
    if line.HasField("time"):
        time = validate.instant(line.time, f"lines[{place}].time", out)
    return Line(time, level, stream, validate.kept(line.text, _MAX_LINE))
