"""The one place that knows which function decides which command, and what each command must find loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from quarterdeck_server.engine import (
    audit,
    beats,
    cancel,
    fleet,
    hold,
    pause,
    report,
    rerun,
    submit,
    timers,
    update,
    walk,
)
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import key_of
from quarterdeck_server.engine.flow.preference import origins
from quarterdeck_server.engine.model import AdmissionKey
from quarterdeck_server.engine.replies import decode_reply, encode_reply
from quarterdeck_server.engine.schedule import firing
from quarterdeck_server.engine.world import World


@dataclass(slots=True)
class Needs:
    """What a group of commands must find in its World, where it exists."""

    tasks: set[int] = field(default_factory=set)
    submits: list[c.Submit] = field(default_factory=list)
    """Their queues are needed, and the tasks that theirs may displace."""
    arrivals: set[tuple[str, str]] = field(default_factory=set)
    """Queues that tasks come into without a submit, by a move or a new schedule: how many of their tasks are active is
    needed where a policy asks for it."""
    resting: set[int] = field(default_factory=set)
    """Tasks whose queues are needed."""
    origins: set[int] = field(default_factory=set)
    """Tasks whose last agents new tasks want; needed with those agents."""
    children_of: set[int] = field(default_factory=set)
    """With their own children, to any depth."""
    walk: int = 0
    """How many children of cancelled trees and dependents of ended tasks."""
    keys: set[tuple[str, str]] = field(default_factory=set)
    """(namespace, idempotency key)."""
    admissions: set[AdmissionKey] = field(default_factory=set)
    """With the tasks that have them."""
    retries: set[int] = field(default_factory=set)
    """Tasks whose unique keys are needed, likewise."""
    holders: bool = False
    """The tasks that have those keys, too: an item that depends on its sibling may find that it existed."""
    requests: set[tuple[str, str, str]] = field(default_factory=set)
    dependents_of: list[tuple[int, ...]] = field(default_factory=list)
    """Tasks of which all that depends on them is needed, to any depth, each of these with all its dependencies."""
    attempts: set[tuple[int, int]] = field(default_factory=set)
    """(task, token) of reports; needed only where the token is not of the current lease."""
    log_ends: set[int] = field(default_factory=set)
    queues: set[tuple[str, str]] = field(default_factory=set)
    agents: set[tuple[str, str]] = field(default_factory=set)
    schedules: set[tuple[str, str]] = field(default_factory=set)
    instants: set[tuple[str, str]] = field(default_factory=set)
    """Schedules of which the instants from now on that have their task are needed."""
    instances: set[str] = field(default_factory=set)
    audit: set[tuple[str, int]] = field(default_factory=set)
    """(namespace, id) of the entries that acts go on with."""
    pools: bool = False
    sweep: int = 0
    """How many due rows of each kind."""
    prune: c.Prune | None = None


def gather(commands: Sequence[c.Command]) -> Needs:
    """Say what the commands need."""
    needs = Needs()
    for command in commands:
        request = getattr(command, "request", None)
        if request is not None:
            needs.requests.add(request[:3])
        entry: c.Audit | None = getattr(command, "audit", None)
        if entry is not None and entry.entry_id is not None:
            needs.audit.add((audit.command_namespace(command), entry.entry_id))
        gatherer = _GATHER.get(type(command))
        if gatherer is not None:
            gatherer(needs, command)
    return needs


def _gather_submit(needs: Needs, command: c.Submit) -> None:
    needs.submits.append(command)
    needs.origins |= origins(spec.policy for spec in command.specs)
    for spec in command.specs:
        if spec.idempotency_key is not None:
            needs.keys.add((command.namespace, spec.idempotency_key))
        if spec.parent_id is not None:
            needs.tasks.add(spec.parent_id)
        if spec.admission is not None:
            needs.admissions.add(key_of(command.namespace, spec))
        if spec.depends_on:
            needs.tasks.update(task_id for task_id in spec.depends_on if task_id > 0)
            needs.holders = needs.holders or any(task_id < 0 for task_id in spec.depends_on)


def _gather_schedule(needs: Needs, command: c.PutSchedule) -> None:
    schedule = command.schedule
    needs.schedules.add((schedule.namespace, schedule.id))
    # It may fire in this group already.
    needs.arrivals.add((schedule.namespace, schedule.queue))


def _gather_retry(needs: Needs, command: c.Retry) -> None:
    needs.tasks.update(command.task_ids)
    needs.retries.update(command.task_ids)


def _gather_report(needs: Needs, command: c.Report) -> None:
    for item in command.items:
        needs.tasks.add(item.task_id)
        needs.attempts.add((item.task_id, item.token))
        if isinstance(item.outcome, c.Fail) and item.outcome.back_off is not None:
            needs.resting.add(item.task_id)


def _gather_beats(needs: Needs, command: c.RecordBeats) -> None:
    for beat in command.beats:
        needs.tasks.add(beat.task_id)
        if beat.late:
            needs.attempts.add((beat.task_id, beat.token))


def _gather_logs(needs: Needs, command: c.AppendLogs) -> None:
    for item in command.items:
        needs.tasks.add(item.task_id)
        needs.log_ends.add(item.task_id)
        needs.attempts.add((item.task_id, item.token))


def _gather_cancel(needs: Needs, command: c.Cancel) -> None:
    needs.tasks.update(command.task_ids)
    if not command.keep_children:
        needs.children_of.update(command.task_ids)


def _gather_rerun(needs: Needs, command: c.Rerun) -> None:
    needs.tasks.update(command.task_ids)
    if command.with_dependents:
        needs.dependents_of.append(tuple(command.task_ids))


def _gather_walk(needs: Needs, command: c.Walk) -> None:
    needs.walk = command.limit


def _gather_update(needs: Needs, command: c.UpdateTasks) -> None:
    needs.tasks.update(command.task_ids)
    if command.change.queue is not None:
        key = (command.namespace, command.change.queue)
        needs.queues.add(key)
        needs.arrivals.add(key)


def _gather_pools(needs: Needs, command: c.PutPools) -> None:
    needs.pools = True


def _gather_trigger(needs: Needs, command: c.TriggerSchedule) -> None:
    needs.schedules.add((command.namespace, command.schedule_id))
    needs.instants.add((command.namespace, command.schedule_id))


def _gather_sweep(needs: Needs, command: c.Sweep) -> None:
    needs.sweep = max(needs.sweep, command.limit)


def _gather_prune(needs: Needs, command: c.Prune) -> None:
    needs.prune = command


_GATHER: dict[type, Callable[[Needs, Any], None]] = {
    c.Submit: _gather_submit,
    c.Report: _gather_report,
    c.AppendLogs: _gather_logs,
    c.Cancel: _gather_cancel,
    c.Walk: _gather_walk,
    c.Retry: _gather_retry,
    c.UpdateTasks: _gather_update,
    c.Rerun: _gather_rerun,
    c.PauseTasks: lambda needs, command: needs.tasks.update(command.task_ids),
    c.ResumeTasks: lambda needs, command: needs.tasks.update(command.task_ids),
    c.RecordBeats: _gather_beats,
    c.Expire: lambda needs, command: needs.tasks.update(task_id for task_id, _ in command.leases),
    c.Sweep: _gather_sweep,
    c.Prune: _gather_prune,
    c.PutAgents: lambda needs, command: needs.agents.update(
        (agent.namespace, agent.id) for agent in command.agents
    ),
    c.SetAgentState: lambda needs, command: needs.agents.update(
        (command.namespace, agent_id) for agent_id in command.agent_ids
    ),
    c.UpdateQueue: lambda needs, command: needs.queues.add((command.namespace, command.queue)),
    c.PutSchedule: _gather_schedule,
    c.PauseSchedule: lambda needs, command: needs.schedules.add(
        (command.namespace, command.schedule_id)
    ),
    c.TriggerSchedule: _gather_trigger,
    c.DeleteSchedule: lambda needs, command: needs.schedules.add(
        (command.namespace, command.schedule_id)
    ),
    c.PutInstance: lambda needs, command: needs.instances.add(command.instance.id),
    c.PutPools: _gather_pools,
}

_DECIDE: dict[type, Callable[[World, Any], Any]] = {
    c.Submit: submit.submit,
    c.Report: report.report,
    c.AppendLogs: report.append_logs,
    c.RecordBeats: beats.record_beats,
    c.Expire: report.expire,
    c.Cancel: cancel.cancel,
    c.Walk: walk.walk,
    c.Retry: cancel.retry,
    c.UpdateTasks: update.update,
    c.Rerun: rerun.rerun,
    c.PauseTasks: pause.pause,
    c.ResumeTasks: pause.resume,
    c.Sweep: lambda world, command: timers.sweep(world),
    c.Prune: lambda world, command: len(world.pruned),
    c.PutAgents: fleet.put_agents,
    c.SetAgentState: fleet.set_agent_state,
    c.UpdateQueue: fleet.update_queue,
    c.PutSchedule: firing.put_schedule,
    c.PauseSchedule: firing.pause_schedule,
    c.TriggerSchedule: firing.trigger_schedule,
    c.DeleteSchedule: firing.delete_schedule,
    c.PutHold: hold.put_hold,
    c.ReleaseHold: hold.release_hold,
    c.UpdateNamespace: fleet.update_namespace,
    c.BeginAct: lambda world, command: audit.enter(world, command.namespace, command.audit, 0),
    c.PutInstance: fleet.put_instance,
    c.PutPools: fleet.put_pools,
}


def settle_before(command: c.Command) -> bool:
    """Say whether what ended earlier in the group must reach its dependents before this command is decided.

    It must where the command makes new dependents, which that end does not concern, or revives what ended.
    """
    if isinstance(command, c.Submit):
        return any(spec.depends_on or spec.admission is not None for spec in command.specs)
    return isinstance(command, c.Retry | c.Rerun)


def finished(world: World, command: c.Command, reply: Any) -> Any:
    """Return the reply of a command that tells what the whole group did; `counts.finish` counts and gives revisions."""
    if isinstance(command, c.UpdateQueue) and not isinstance(reply, c.Refusal):
        return world.queues[command.namespace, command.queue]
    if isinstance(command, c.SetAgentState):
        return [
            row if isinstance(row, c.Refusal) else world.agents[row.namespace, row.id]
            for row in reply
        ]
    if isinstance(command, c.Walk):
        return world.walk_left
    return reply


def decide(world: World, command: c.Command) -> Any:
    """Carry out one command on the World and return its reply.

    A command with a request id that is known is not carried out again: with the same body it gets the reply of the
    first time, with another body a Refusal.
    """
    request: c.RequestKey | None = getattr(command, "request", None)
    if request is None:
        return _decide_once(world, command)
    known = world.new_requests.get(request[:3]) or world.requests.get(request[:3])
    if known is None:
        reply = _decide_once(world, command)
        world.new_requests[request[:3]] = (request.body_hash, encode_reply(reply))
        return reply
    body_hash, stored = known
    if body_hash != request.body_hash:
        return c.Refusal(
            "REQUEST_ID_REUSED",
            f"request id {request.request_id!r} was used before with another body; use a new one for a new request",
            (("request_id", request.request_id),),
        )
    return decode_reply(command, stored)


def _decide_once(world: World, command: c.Command) -> Any:
    before = world.unchanged
    reply = _DECIDE[type(command)](world, command)
    entry: c.Audit | None = getattr(command, "audit", None)
    if entry is not None and not isinstance(command, c.BeginAct):
        audit.record(world, command, entry, reply, world.unchanged - before)
    return reply
