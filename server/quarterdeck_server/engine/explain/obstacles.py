"""What keeps a task from running, in the order in which it has to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from quarterdeck_server.engine.audit import UNKNOWN
from quarterdeck_server.engine.explain.facts import SAMPLES, Facts, Handler, Runners
from quarterdeck_server.engine.explain.texts import because, many, span
from quarterdeck_server.engine.flow.affinity import admits
from quarterdeck_server.engine.flow.holds import Holds, agent_held
from quarterdeck_server.engine.flow.lane import LaneKey, lane_of
from quarterdeck_server.engine.flow.limits import Rate, limits_of
from quarterdeck_server.engine.flow.meters import Meter, available_at
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Agent, Hold, Task, pause_of
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.pools import PoolStatus
from quarterdeck_server.engine.states import (
    BLOCKED,
    ENDED,
    READY,
    RUNNING,
    SCHEDULED,
    AgentState,
    HoldKind,
    Reason,
)
from quarterdeck_server.engine.timeunits import SECOND

QUIET = 15 * SECOND
"""An agent that is silent for longer is late: it is asked to call at least every 10 s."""


class Kind(IntEnum):
    """What kind of obstacle; the numbers are those of `quarterdeck.v1.ObstacleKind`."""

    DEPENDENCIES = 1
    DELAY = 2
    BACKOFF = 3
    QUEUE_PAUSED = 4
    NAME_PAUSED = 5
    NAME_QUARANTINED = 6
    FROZEN = 7
    QUEUE_CONCURRENCY = 8
    KEY_CONCURRENCY = 9
    QUEUE_RATE = 10
    KEY_RATE = 11
    BACK_OFF = 12
    NO_AGENT_FOR_QUEUE = 13
    NO_AGENT_FOR_NAME = 14
    NO_AGENT_WITH_LABELS = 15
    PREFERRED_AGENT = 16
    AGENTS_HELD = 17
    AGENTS_BUSY = 18
    POSITION = 19
    TASK_PAUSED = 20
    AGENTS_SILENT = 21


class Obstacle(NamedTuple):
    """One thing that keeps a task from running."""

    kind: Kind
    message: str
    until: int | None = None
    """When it ends by itself; None when that is not known."""
    actor: str = ""
    task_ids: tuple[int, ...] = ()
    agent_ids: tuple[str, ...] = ()


def obstacles(facts: Facts) -> list[Obstacle]:
    """Return all that keeps the task from running; nothing for one that runs unhindered or has ended."""
    task = facts.stored.task
    if task.state in ENDED:
        return []
    if task.state == RUNNING:
        return list(_paused_attempt(task))
    found = [*_waits(facts), *_held(facts), *_limits(facts), *_agents(facts)]
    # The pace says when its turn comes only while the queue goes on by itself.
    moves = all(obstacle.kind == Kind.AGENTS_BUSY for obstacle in found)
    return [*found, *_position(facts, moves=moves)]


def _paused_attempt(task: Task) -> Iterator[Obstacle]:
    pause = pause_of(task)
    if pause is not None:
        stands = "stands still" if pause.acknowledge_time else "was asked to stand still"
        who = pause.actor or UNKNOWN
        message = (
            f"attempt {task.attempt} {stands}: paused by {who}{because(pause.reason)}; resume it"
        )
        yield Obstacle(Kind.TASK_PAUSED, message, actor=who)


def _waits(facts: Facts) -> Iterator[Obstacle]:
    """What the task itself waits for."""
    task, now = facts.stored.task, facts.now
    if task.state == BLOCKED:
        ids = tuple(facts.stored.unmet[:SAMPLES])
        names = ", ".join(map(encode_task_id, ids[:3]))
        if task.pending > 3:
            names += " and others"
        message = f"waits for {many(task.pending, 'task')} to end: {names}"
        yield Obstacle(Kind.DEPENDENCIES, message, task_ids=ids)
    if task.state == SCHEDULED and task.run_at > now:
        left = span(task.run_at - now)
        if task.reason == Reason.BACKOFF:
            why = f": {task.error_type}{because(task.error_message)}" if task.error_type else ""
            message = f"waits {left} before attempt {task.attempt + 1}, after attempt {task.attempt} failed{why}"
            yield Obstacle(Kind.BACKOFF, message, task.run_at)
        else:
            yield Obstacle(Kind.DELAY, f"is to start in {left}, as submitted", task.run_at)


def _held(facts: Facts) -> Iterator[Obstacle]:
    """What an operator or a rule stopped."""
    stored = facts.stored
    for hold in stored.holds:
        if hold.kind == HoldKind.NAMESPACE:
            message = f"namespace {hold.namespace} is frozen by {hold.actor}{because(hold.reason)}; thaw it"
            yield Obstacle(Kind.FROZEN, message, actor=hold.actor)
    queue = stored.queue
    if queue is not None and queue.paused:
        message = f"queue {queue.name} is paused{because(queue.pause_note)}; resume it"
        yield Obstacle(Kind.QUEUE_PAUSED, message)
    for hold in stored.holds:
        if hold.kind == HoldKind.TASK_NAME and hold.subject == stored.task.name:
            yield _held_name(hold)


def _held_name(hold: Hold) -> Obstacle:
    if hold.quarantined:
        message = f"task name {hold.subject} is in quarantine{because(hold.reason)}; release it"
        return Obstacle(Kind.NAME_QUARANTINED, message, actor=hold.actor)
    message = (
        f"task name {hold.subject} is paused by {hold.actor}{because(hold.reason)}; release it"
    )
    return Obstacle(Kind.NAME_PAUSED, message, actor=hold.actor)


def _limits(facts: Facts) -> Iterator[Obstacle]:
    """What its queue allows."""
    stored = facts.stored
    queue, task = stored.queue, stored.task
    if queue is None:
        return
    limits = limits_of(queue.limits)
    key = lane_of(task.lane).group_key
    whose = (
        f"group key {key!r} in queue {queue.name}"
        if key
        else f"tasks without a group key in {queue.name}"
    )
    yield from _full(
        Kind.QUEUE_CONCURRENCY, limits.concurrency.limit, stored.in_queue, f"queue {queue.name}"
    )
    yield from _full(Kind.KEY_CONCURRENCY, limits.concurrency_per_key.limit, stored.of_key, whose)
    units = policy_of(task.policy).units
    yield from _spent(
        Kind.QUEUE_RATE, limits.rate, stored.meter, units, facts.now, f"queue {queue.name}"
    )
    yield from _spent(Kind.KEY_RATE, limits.rate_per_key, stored.key_meter, units, facts.now, whose)
    rest = max(queue.back_off_until or 0, stored.key_meter.back_off_until)
    if rest > facts.now:
        message = (
            f"an agent asked for a rest of {span(rest - facts.now)} more, for its provider's sake"
        )
        yield Obstacle(Kind.BACK_OFF, message, rest)


def _full(kind: Kind, limit: int, runners: Runners, whose: str) -> Iterator[Obstacle]:
    if limit and runners.number >= limit:
        runs = "runs" if runners.number == 1 else "run"
        message = f"{whose} may run {limit:,} at once and {runners.number:,} {runs}"
        yield Obstacle(kind, message, task_ids=runners.task_ids[:SAMPLES])


def _spent(
    kind: Kind, rate: Rate, meter: Meter, units: int, now: int, whose: str
) -> Iterator[Obstacle]:
    open_at = available_at(meter._replace(back_off_until=0), rate, units, now)
    if open_at > now:
        message = (
            f"{whose} may start {many(rate.units, 'unit')} in {span(rate.period)}; "
            f"there is enough for this task in {span(open_at - now)}"
        )
        yield Obstacle(kind, message, open_at)


def _agents(facts: Facts) -> Iterator[Obstacle]:
    """Who could take it; the narrowest set of agents that is empty is the answer."""
    task = facts.stored.task
    live = [h for h in facts.handlers if h.agent.state in (AgentState.ACTIVE, AgentState.DRAINING)]
    in_queue = [h for h in live if task.queue in h.queues]
    if not in_queue:
        message = f"no agent in contact takes from queue {task.queue}"
        takes = "takes" if len(live) == 1 else "take"
        others = f"; {many(len(live), 'agent')} {takes} from others" if live else "; start one"
        pools = [_serves(pool) for pool in facts.pools if pool.queue == task.queue]
        message += "".join(pools) or others
        yield Obstacle(Kind.NO_AGENT_FOR_QUEUE, message, agent_ids=_some(live))
        return
    named = [h for h in in_queue if h.names is None or task.name in h.names]
    if not named:
        unheard = [h for h in in_queue if h.names is not None and not h.names]
        if unheard:
            yield _unheard(task.queue, unheard)
            return
        handled = sorted({name for h in in_queue for name in h.names or ()})[:5]
        message = (
            f"no agent of queue {task.queue} handles {task.name}; they handle {', '.join(handled)}"
        )
        yield Obstacle(Kind.NO_AGENT_FOR_NAME, message, agent_ids=_some(in_queue))
        return
    fitting, obstacle = _fitting(facts, named)
    if obstacle is not None:
        yield obstacle
    if fitting:
        yield from _free(facts, fitting)


def _serves(pool: PoolStatus) -> str:
    """What a pool does about its queue, of which no agent has called yet."""
    if pool.detail:
        return f"; pool {pool.name}: {pool.detail}"
    if pool.instances:
        return f"; pool {pool.name} has {many(pool.instances, 'instance')} that did not call yet"
    return f"; pool {pool.name} starts agents for it"


def _unheard(queue: str, agents: Sequence[Handler]) -> Obstacle:
    """Agents whose names nobody knows yet: after a start, those that were busy before it."""
    busy = all(h.agent.running >= h.agent.slots for h in agents)
    message = (
        f"what {many(len(agents), 'agent')} of queue {queue} can do is known when they ask for work"
    )
    message += ", and they are busy" if busy else ""
    return Obstacle(
        Kind.AGENTS_BUSY if busy else Kind.NO_AGENT_FOR_NAME, message, agent_ids=_some(agents)
    )


def _fitting(facts: Facts, named: Sequence[Handler]) -> tuple[Sequence[Handler], Obstacle | None]:
    """The agents that the task's lane allows, and what the lane waits for."""
    task, lane = facts.stored.task, lane_of(facts.stored.task.lane)
    if lane.open:
        return named, None
    required = policy_of(task.policy).required
    able = [h for h in named if _has(h, required)]
    if not able:
        message = f"no agent that handles {task.name} has the labels {_labels(required)}"
        return [], Obstacle(Kind.NO_AGENT_WITH_LABELS, message, agent_ids=_close(named, required))
    wanted = [h for h in able if _matches(h, lane)]
    if wanted and lane.agent_id is None and set(lane.labels) <= set(required):
        return wanted, None
    until = task.wake_at
    left = f" for {span(until - facts.now)} more" if until is not None and until > facts.now else ""
    whom = (
        f"agent {facts.label(lane.agent_id)}"
        if lane.agent_id
        else f"an agent with {_labels(lane.labels)}"
    )
    return wanted, Obstacle(
        Kind.PREFERRED_AGENT,
        f"prefers {whom} and waits for it{left}",
        until,
        agent_ids=() if lane.agent_id is None else (lane.agent_id,),
    )


def _free(facts: Facts, fitting: Sequence[Handler]) -> Iterator[Obstacle]:
    holds = {(hold.namespace, hold.kind, hold.subject): hold for hold in facts.stored.holds}
    held = [h for h in fitting if _takes_nothing(h.agent, holds)]
    if len(held) == len(fitting):
        yield _none_takes(facts, held, holds)
        return
    able = [h for h in fitting if h not in held]
    free = [h for h in able if h.agent.running < h.agent.slots]
    if not free:
        slots = sum(h.agent.slots for h in able)
        message = f"the agents that could take it are busy: {many(len(able), 'agent')}, {many(slots, 'slot')}"
        yield Obstacle(Kind.AGENTS_BUSY, message, agent_ids=_some(able))
        return
    silent = facts.now - max(h.agent.last_contact_time for h in free)
    if silent > QUIET:
        who = many(len(free), "agent")
        message = (
            f"the agents that could take it are silent: {who}, the last one for {span(silent)}"
        )
        yield Obstacle(Kind.AGENTS_SILENT, message, agent_ids=_some(free))


def _takes_nothing(agent: Agent, holds: Holds) -> bool:
    return agent.state == AgentState.DRAINING or _hold_of(agent, holds) is not None


def _hold_of(agent: Agent, holds: Holds) -> Hold | None:
    return agent_held(holds, agent.namespace, agent.id, agent.name, agent.version)


def _none_takes(facts: Facts, agents: Sequence[Handler], holds: Holds) -> Obstacle:
    """What keeps all agents from taking it: one hold by its actor and reason, otherwise how many do what."""
    who = f"the agents that could take it ({len(agents):,})"
    draining = sum(h.agent.state == AgentState.DRAINING for h in agents)
    found = [
        hold
        for h in agents
        if h.agent.state != AgentState.DRAINING and (hold := _hold_of(h.agent, holds)) is not None
    ]
    if not draining and len(set(found)) == 1:
        (hold,) = set(found)
        subject = facts.label(hold.subject) if hold.kind == HoldKind.AGENT else hold.subject
        how = "in quarantine" if hold.quarantined else f"held by {hold.actor}"
        message = f"{who} are {how}{because(hold.reason)}; release {subject}"
        return Obstacle(Kind.AGENTS_HELD, message, actor=hold.actor, agent_ids=_some(agents))
    by_rule = sum(bool(hold.quarantined) for hold in found)
    counts = ((draining, "draining"), (len(found) - by_rule, "held"), (by_rule, "in quarantine"))
    said = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    message = f"{who} are given nothing: {said}"
    return Obstacle(Kind.AGENTS_HELD, message, agent_ids=_some(agents))


def _position(facts: Facts, *, moves: bool) -> Iterator[Obstacle]:
    task, ahead = facts.stored.task, facts.stored.ahead
    if task.state == READY and ahead.number:
        at_least = "at least " if ahead.minimum else ""
        comes = "comes" if ahead.number == 1 else "come"
        tasks = many(ahead.number, "task")
        message = f"{at_least}{tasks} of queue {task.queue} {comes} before it, or in turn with it"
        yield Obstacle(Kind.POSITION, message, estimated_start(facts) if moves else None)


def estimated_start(facts: Facts) -> int | None:
    """Return when a ready task will probably start: those before it at the pace of its queue now."""
    if facts.stored.task.state != READY or not facts.starts_per_second:
        return None
    ahead = facts.stored.ahead
    if ahead.minimum:
        return None
    return facts.now + round((ahead.number + 1) / facts.starts_per_second * 1_000_000)


def _some(handlers: Sequence[Handler]) -> tuple[str, ...]:
    return tuple(h.agent.id for h in handlers[:SAMPLES])


def _has(handler: Handler, labels: Sequence[tuple[str, str]]) -> bool:
    mine = handler.labels
    return all(mine.get(name) == value for name, value in labels)


def _matches(handler: Handler, lane: LaneKey) -> bool:
    return admits(lane, frozenset(handler.labels.items()), handler.agent.id)


def _close(handlers: Sequence[Handler], labels: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The agents that have most of the labels, those with the most first; none that has none."""
    scored = [(sum(h.labels.get(name) == value for name, value in labels), h) for h in handlers]
    near = sorted((item for item in scored if item[0]), key=lambda item: -item[0])
    return _some([handler for _, handler in near])


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels)
