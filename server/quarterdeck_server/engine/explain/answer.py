"""The whole answer about one task."""

from __future__ import annotations

from typing import NamedTuple

from quarterdeck_server.engine.explain.ended import end
from quarterdeck_server.engine.explain.facts import Facts
from quarterdeck_server.engine.explain.life import Span, spans, time_summary
from quarterdeck_server.engine.explain.obstacles import (
    QUIET,
    Kind,
    Obstacle,
    estimated_start,
    obstacles,
)
from quarterdeck_server.engine.explain.texts import many, span
from quarterdeck_server.engine.model import Task, cancellation_of
from quarterdeck_server.engine.states import READY, RUNNING


class Explanation(NamedTuple):
    """Why a task is not running, why it failed, and where its time went."""

    task: Task
    summary: str
    obstacles: list[Obstacle]
    ahead: int
    ahead_is_minimum: bool
    estimated_start: int | None
    spans: list[Span]
    time_summary: str


def explain(facts: Facts) -> Explanation:
    """Answer from the facts."""
    stored = facts.stored
    found = obstacles(facts)
    parts = spans(stored)
    ready = stored.task.state == READY
    return Explanation(
        stored.task,
        _summary(facts, found),
        found,
        stored.ahead.number if ready else 0,
        ready and stored.ahead.minimum,
        estimated_start(facts) if _only_the_line(found) else None,
        parts,
        time_summary(parts, facts.now),
    )


def _only_the_line(found: list[Obstacle]) -> bool:
    """Nothing but other tasks is in the way, so the queue's pace says when the task starts."""
    return all(obstacle.kind in (Kind.POSITION, Kind.AGENTS_BUSY) for obstacle in found)


def _summary(facts: Facts, found: list[Obstacle]) -> str:
    task = facts.stored.task
    if task.state == RUNNING:
        return found[0].message if found else _running(facts) + _silence(facts)
    ended = end(task, _agent(facts))
    if ended is not None:
        return ended
    if found:
        more = f" (and {many(len(found) - 1, 'other obstacle')})" if len(found) > 1 else ""
        return found[0].message + more
    return "nothing is in its way: it is handed out with the next claim"


def _running(facts: Facts) -> str:
    task = facts.stored.task
    since = "" if task.claim_time is None else f" for {span(facts.now - task.claim_time)}"
    runs = f"attempt {task.attempt} runs at {_agent(facts)}{since}"
    cancel = cancellation_of(task)
    if cancel is not None:
        step = "delivered" if cancel.deliver_time else "requested"
        if cancel.acknowledge_time:
            step = "acknowledged"
        return f"{runs}; its cancel is {step}"
    return runs


def _agent(facts: Facts) -> str:
    """Whose attempt it is or was, in the words of lists."""
    agent_id = facts.stored.task.agent_id
    return facts.label(agent_id) if agent_id else "an agent"


def _silence(facts: Facts) -> str:
    """Say that the agent of a running task may be gone, long before its lease is over."""
    task = facts.stored.task
    for handler in facts.handlers:
        if handler.agent.id == task.agent_id:
            silent = facts.now - handler.agent.last_contact_time
            return f"; its agent was last heard of {span(silent)} ago" if silent > QUIET else ""
    return ""
