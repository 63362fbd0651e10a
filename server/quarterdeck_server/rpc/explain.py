"""ExplainTask: why a task is not running, why it failed, and where its time went."""

from __future__ import annotations

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_server.engine.explain.answer import Explanation, explain
from quarterdeck_server.engine.explain.facts import Facts
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.refusals import task_not_found
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError


async def explain_task(core: Core, request: pb.ExplainTaskRequest) -> pb.ExplainTaskResponse:
    """Gather the facts and answer.

    Raises:
        ApiError: a field is wrong, or there is no such task.
    """
    namespace = validate.namespace_of(request.namespace)
    task_id = validate.task_id(request.task_id, "task_id")
    handlers = core.agents.handlers(namespace)
    stored = await core.store.explain_task(namespace, task_id, handlers)
    if stored is None:
        raise ApiError(task_not_found(task_id))
    now = core.clock.now()
    pace = core.hub.starts(namespace, stored.task.queue, now)
    pools = await core.store.list_pools(namespace)
    return _message(explain(Facts(now, stored, handlers, pace, pools)))


def _message(answer: Explanation) -> pb.ExplainTaskResponse:
    out = pb.ExplainTaskResponse(
        task=convert.task(answer.task),
        summary=answer.summary,
        ahead=answer.ahead,
        ahead_is_minimum=answer.ahead_is_minimum,
        time_summary=answer.time_summary,
    )
    convert.set_time(out.estimated_start_time, answer.estimated_start)
    for found in answer.obstacles:
        obstacle = out.obstacles.add(
            kind=int(found.kind),
            message=found.message,
            actor=found.actor,
            task_ids=map(encode_task_id, found.task_ids),
            agent_ids=found.agent_ids,
        )
        convert.set_time(obstacle.until, found.until)
    for part in answer.spans:
        phase = pb.LifePhase.Value(f"LIFE_PHASE_{part.phase.upper()}")
        span = out.spans.add(phase=phase, attempt=part.attempt)
        convert.set_time(span.start_time, part.start)
        convert.set_time(span.end_time, part.end)
    return out
