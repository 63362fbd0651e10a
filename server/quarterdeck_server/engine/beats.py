"""What heartbeats say of single leases: progress, details, the steps of cancels and pauses, and that one is late."""

from __future__ import annotations

from quarterdeck_server.engine import pause_transitions, transitions
from quarterdeck_server.engine.commands import Beat, RecordBeats
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.report import holds_lease, past_attempt
from quarterdeck_server.engine.states import Outcome
from quarterdeck_server.engine.world import World

_TAKEN_AWAY = frozenset({int(Outcome.LOST), int(Outcome.REVOKED)})
"""How attempts end of which the agent need not know: of one that it reported, a heartbeat may cross the report."""


def record_beats(world: World, command: RecordBeats) -> None:
    """Record what beats say of running attempts; what comes from an ended lease changes nothing but a count."""
    for beat in command.beats:
        task = world.tasks.get(beat.task_id)
        if task is None:
            continue
        if not holds_lease(task, beat.token):
            if beat.late:
                _count_late(world, beat)
            continue
        if beat.details is not None:
            world.details[task.id] = beat.details
        after = _applied(task, beat, world.now)
        if after is not task:
            world.put(after)


def _applied(task: Task, beat: Beat, now: int) -> Task:
    after = task
    if beat.progress is not None:
        after = transitions.progressed(after, beat.progress)
    if beat.delivered or beat.acknowledged:
        after = transitions.cancel_step(
            after, now, delivered=beat.delivered, acknowledged=beat.acknowledged
        )
    if beat.pause_delivered or beat.pause_acknowledged:
        after = pause_transitions.pause_step(
            after, now, delivered=beat.pause_delivered, acknowledged=beat.pause_acknowledged
        )
    return after


def _count_late(world: World, beat: Beat) -> None:
    past = past_attempt(world, beat.task_id, beat.token)
    if past is None or past.outcome not in _TAKEN_AWAY:
        return
    counted = past._replace(late_heartbeats=past.late_heartbeats + 1)
    world.past_attempts[beat.task_id, beat.token] = counted
    world.attempts.append(counted)
