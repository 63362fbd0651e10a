"""Resources as the console holds them: made from the wire once, sanitised, never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quarterdeck._words import agent_labels
from quarterdeck.v1 import agent_pb2, pool_pb2, queue_pb2, schedule_pb2, task_pb2
from quarterdeck_console.model import words
from quarterdeck_console.model.format import duration, zoned
from quarterdeck_console.model.parts import (
    NO_LIMITS,
    CancelRow,
    FailureRow,
    Labels,
    LimitsRow,
    PauseRow,
    attributes_of,
    labels_of,
    seconds,
)
from quarterdeck_console.model.text import sanitize


def _share(done: float, total: float) -> float:
    """How much is done, 0 to 1; -1.0 when an agent's figures do not say."""
    if not (math.isfinite(done) and math.isfinite(total)) or total <= 0:
        return -1.0
    return max(0.0, min(1.0, done / total))


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task. Instants are seconds since the epoch, 0.0 when unset."""

    id: str
    revision: int
    name: str
    queue: str
    state: int
    reason: str
    priority: int
    created: float
    run_at: float
    started: float
    ended: float
    attempt: int
    max_attempts: int
    crashes: int
    agent_id: str
    deadline: float
    labels: Labels
    parent_id: str
    schedule_id: str
    pending: int
    progress: str
    progress_share: float
    failure: FailureRow | None
    cancel: CancelRow | None
    late_reports: int
    group: str
    attributes: Labels
    required: Labels
    preferred: str
    pause: PauseRow | None
    rerun_of: str

    @classmethod
    def of(cls, task: task_pb2.Task) -> TaskRow:
        """From the wire."""
        progress = task.progress
        return cls(
            id=sanitize(task.id),
            revision=task.revision,
            name=sanitize(task.name),
            queue=sanitize(task.queue),
            state=int(task.state),
            reason=sanitize(task.reason),
            priority=task.priority,
            created=seconds(task.create_time),
            run_at=seconds(task.run_time),
            started=seconds(task.start_time),
            ended=seconds(task.end_time),
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            crashes=task.crashes,
            agent_id=sanitize(task.agent_id),
            deadline=seconds(task.attempt_deadline),
            labels=labels_of(task.labels) if task.labels else (),
            parent_id=sanitize(task.parent_id),
            schedule_id=sanitize(task.schedule_id),
            pending=task.pending_dependencies,
            progress=sanitize(progress.message),
            progress_share=_share(progress.done, progress.total),
            failure=FailureRow.of(task.failure) if task.HasField("failure") else None,
            cancel=CancelRow.of(task.cancellation) if task.HasField("cancellation") else None,
            late_reports=task.late_reports,
            group=sanitize(task.group_key),
            attributes=attributes_of(task.attributes) if task.attributes else (),
            required=labels_of(task.required_labels) if task.required_labels else (),
            preferred=sanitize(task.preferred_agent_id),
            pause=PauseRow.of(task.pause) if task.HasField("pause") else None,
            rerun_of=sanitize(task.rerun_of),
        )

    @property
    def terminal(self) -> bool:
        """True once it has ended."""
        return self.state in words.TERMINAL

    def state_words(self) -> tuple[str, str, words.Tone]:
        """Glyph, word and tone; a retry, a pause, and a cancel under way or disobeyed have words of their own."""
        if self.state == words.RUNNING and self.cancel is not None:
            return ("◐", "cancelling", words.Tone.WARN)
        if self.state == words.RUNNING and self.pause is not None:
            still = "paused" if self.pause.acknowledged else "pausing"
            return ("‖", still, words.Tone.WARN)
        if self.state == words.CANCELLED and self.cancel is not None and self.cancel.escalated:
            # Whoever ran it had not obeyed when the grace was over; nobody knows whether it stopped.
            return ("⊗", "revoked", words.Tone.WARN)
        if self.state == words.SCHEDULED and self.attempt > 0:
            return ("↻", "retrying", words.Tone.WARN)
        return words.TASK_STATES.get(self.state) or words.unknown(self.state)


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent."""

    id: str
    revision: int
    name: str
    version: str
    hostname: str
    pid: int
    slots: int
    labels: Labels
    instance_id: str
    state: int
    queues: tuple[str, ...]
    running: int
    created: float
    contact: float
    pool: str

    @classmethod
    def of(cls, agent: agent_pb2.Agent) -> AgentRow:
        """From the wire."""
        info = agent.info
        return cls(
            id=sanitize(info.agent_id),
            revision=agent.revision,
            name=sanitize(info.name),
            version=sanitize(info.version),
            hostname=sanitize(info.hostname),
            pid=info.pid,
            slots=info.slots,
            labels=labels_of(info.labels),
            instance_id=sanitize(info.instance_id),
            state=int(agent.state),
            queues=tuple(sanitize(queue) for queue in agent.queues),
            running=agent.running,
            created=seconds(agent.create_time),
            contact=seconds(agent.last_contact_time),
            pool=sanitize(agent.pool),
        )

    @property
    def label(self) -> str:
        """Its name and the beginning of its id; an id that somebody chose says enough."""
        return agent_labels({self.id: self.name})[self.id]

    def state_words(self) -> tuple[str, str, words.Tone]:
        """Glyph, word and tone; an active agent is busy or idle."""
        if self.state == words.ACTIVE:
            if self.running:
                return ("●", "busy", words.Tone.RUN)
            return ("○", "idle", words.Tone.OK)
        return words.AGENT_STATES.get(self.state) or words.unknown(self.state)


def _counts(pairs: Iterable[queue_pb2.StateCount]) -> dict[int, int]:
    return {int(pair.state): pair.count for pair in pairs}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue with its counters."""

    id: str
    revision: int
    paused: bool
    pause_note: str
    counts: Mapping[int, int]
    names: tuple[tuple[str, Mapping[int, int]], ...]
    succeeded_total: int
    failed_total: int
    created: float
    limits: LimitsRow
    drops: bool
    rests_until: float
    etag: str

    @classmethod
    def of(cls, queue: queue_pb2.Queue) -> QueueRow:
        """From the wire."""
        return cls(
            id=sanitize(queue.name),
            revision=queue.revision,
            paused=queue.paused,
            pause_note=sanitize(queue.pause_note, 1_024),
            counts=_counts(queue.counts),
            names=tuple((sanitize(entry.name), _counts(entry.counts)) for entry in queue.names),
            succeeded_total=queue.succeeded_total,
            failed_total=queue.failed_total,
            created=seconds(queue.create_time),
            limits=LimitsRow.of(queue.limits) if queue.HasField("limits") else NO_LIMITS,
            drops=queue.paused_arrivals == queue_pb2.ARRIVAL_POLICY_DROP,
            rests_until=seconds(queue.back_off_until),
            etag=queue.etag,
        )

    def in_state(self, *states: int) -> int:
        """How many of its tasks are in any of these states."""
        return sum(self.counts.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule."""

    id: str
    revision: int
    rule: str
    zone: str
    task_name: str
    queue: str
    paused: bool
    pause_note: str
    next: float
    last: float
    last_task_id: str
    fired: int
    created: float

    @classmethod
    def of(cls, schedule: schedule_pb2.Schedule) -> ScheduleRow:
        """From the wire."""
        spec = schedule.spec
        return cls(
            id=sanitize(schedule.id),
            revision=schedule.revision,
            rule=_rule(spec),
            zone=sanitize(spec.cron.time_zone or "UTC") if spec.HasField("cron") else "",
            task_name=sanitize(spec.task.name),
            queue=sanitize(spec.task.queue or "default"),
            paused=schedule.paused,
            pause_note=sanitize(schedule.pause_note, 1_024),
            next=seconds(schedule.next_time),
            last=seconds(schedule.last_time),
            last_task_id=sanitize(schedule.last_task_id),
            fired=schedule.fired_count,
            created=seconds(schedule.create_time),
        )


def _rule(spec: schedule_pb2.ScheduleSpec) -> str:
    if spec.HasField("cron"):
        return sanitize(spec.cron.expression)
    if spec.HasField("interval"):
        return f"every {duration(seconds(spec.interval))}"
    return f"once {zoned(seconds(spec.once))}"


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One piece of compute that a pool started."""

    id: str
    revision: int
    pool: str
    state: int
    agent_id: str
    created: float
    ended: float
    detail: str

    @classmethod
    def of(cls, instance: pool_pb2.Instance) -> InstanceRow:
        """From the wire."""
        return cls(
            id=sanitize(instance.id),
            revision=instance.revision,
            pool=sanitize(instance.pool),
            state=int(instance.state),
            agent_id=sanitize(instance.agent_id),
            created=seconds(instance.create_time),
            ended=seconds(instance.end_time),
            detail=sanitize(instance.detail),
        )


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A rule that starts compute."""

    id: str
    revision: int
    queue: str
    min: int
    max: int
    slots: int
    launcher: str
    instances: int
    detail: str

    @classmethod
    def of(cls, pool: pool_pb2.Pool) -> PoolRow:
        """From the wire."""
        return cls(
            id=sanitize(pool.name),
            revision=pool.revision,
            queue=sanitize(pool.queue),
            min=pool.min,
            max=pool.max,
            slots=pool.slots,
            launcher=sanitize(pool.launcher),
            instances=pool.instances,
            detail=sanitize(pool.detail),
        )
