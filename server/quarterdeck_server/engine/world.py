"""The unit of work of one group of commands.

A World is filled by the store with the rows that the commands touch, changed by the deciding functions, and handed
back to be written. Rows in it are frozen and replaced, never altered. It does no I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.branches import Branch, BranchKey
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Claim
from quarterdeck_server.engine.flow.active import ActiveTasks
from quarterdeck_server.engine.flow.meters import Meters
from quarterdeck_server.engine.flow.preference import preferring
from quarterdeck_server.engine.model import (
    Admission,
    AdmissionKey,
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    LogRow,
    Payload,
    Queue,
    Task,
)
from quarterdeck_server.engine.namespaces import (
    NamespaceSettings,
    QuarantineRules,
    quarantine_rules,
)
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.states import ENDED, READY, RUNNING, WAITING, HoldKind

QueueKey = tuple[str, str]

IdempotencyKey = tuple[int, bytes, int | None]
"""The task that has the key, the hash of its content, and when the key is free whatever becomes of the task."""
HoldKey = tuple[str, int, str]
"""(namespace, kind, subject)."""


@dataclass(slots=True, eq=False)
class World:
    """Loaded rows, what became of them, and what else must be written."""

    now: int
    """The instant of the group, in microseconds."""
    revision: int
    """Of the last change."""
    new_id: Callable[[], int]
    new_token: Callable[[], int]

    tasks: dict[int, Task] = field(default_factory=dict)
    stored: dict[int, Task] = field(default_factory=dict)
    """Rows as the store has them, of tasks that changed."""
    born: dict[int, Task] = field(default_factory=dict)
    inputs: dict[int, Payload] = field(default_factory=dict)
    """Of tasks that are new."""
    replaced_inputs: dict[int, Payload | None] = field(default_factory=dict)
    """Of tasks that the store has; None removes."""
    copied_inputs: dict[int, int] = field(default_factory=dict)
    """New tasks that have the stored input of another one."""
    results: dict[int, Payload] = field(default_factory=dict)
    details: dict[int, Payload | None] = field(default_factory=dict)
    """What attempts saved in this group; None where it is to be removed."""
    attempts: list[Attempt] = field(default_factory=list)
    past_attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    """Ended attempts that late reports speak of."""
    dependencies: dict[tuple[int, int], bool] = field(default_factory=dict)
    """New (task, what it depends on), and whether that had ended as it must when the task was made."""
    met: set[tuple[int, int]] = field(default_factory=set)
    """Those, new or stored, whose dependency ended as it must in this group."""
    just_ended: list[Task] = field(default_factory=list)
    """Ended tasks whose dependents have not been looked at."""

    keys: dict[tuple[str, str], IdempotencyKey] = field(default_factory=dict)
    new_keys: dict[tuple[str, str], IdempotencyKey] = field(default_factory=dict)
    admissions: dict[AdmissionKey, Admission] = field(default_factory=dict)
    dirty_admissions: set[AdmissionKey] = field(default_factory=set)
    dependents: dict[int, set[int]] = field(default_factory=dict)
    """Of tasks that are run again: what depends on them."""
    depended: dict[int, dict[int, bool]] = field(default_factory=dict)
    """Of those: what each depends on, and whether that is met."""
    uncopied: dict[tuple[int, ...], int] = field(default_factory=dict)
    """Of tasks that are run again together: how many dependencies there are, where these are too many to be loaded."""
    links: dict[int, int] = field(default_factory=dict)
    """Of tasks that ended while they waited in a chain of a unique key: what each waited for."""
    requests: dict[tuple[str, str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    new_requests: dict[tuple[str, str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    log_ends: dict[int, tuple[int, dict[int, int]]] = field(default_factory=dict)
    """Last sequence of a task's log, and per attempt the next offset."""
    logs: list[LogRow] = field(default_factory=list)

    queues: dict[QueueKey, Queue] = field(default_factory=dict)
    deltas: dict[QueueKey, defaultdict[tuple[str, int], int]] = field(default_factory=dict)
    names: dict[QueueKey, set[str]] = field(default_factory=dict)
    """Of queues that have many: those of their tasks."""
    totals: dict[QueueKey, list[int]] = field(default_factory=dict)
    """What this group adds to the totals of a queue: submitted, then ended by state from SUCCEEDED on."""
    dirty_queues: set[QueueKey] = field(default_factory=set)
    agents: dict[tuple[str, str], Agent] = field(default_factory=dict)
    unrecorded: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Leases of agents that have no row yet: a group may serve a claim before its agent is written."""
    agent_deltas: defaultdict[tuple[str, str], int] = field(
        default_factory=lambda: defaultdict(int)
    )
    dirty_agents: set[tuple[str, str]] = field(default_factory=set)
    schedules: dict[tuple[str, str], Schedule] = field(default_factory=dict)
    dirty_schedules: set[tuple[str, str]] = field(default_factory=set)
    deleted_schedules: set[tuple[str, str]] = field(default_factory=set)
    due_schedules: list[tuple[str, str]] = field(default_factory=list)
    due_tasks: list[int] = field(default_factory=list)
    instants: set[tuple[str, str, int]] = field(default_factory=set)
    """(namespace, schedule, instant) that have their task."""
    instances: dict[str, Instance] = field(default_factory=dict)
    dirty_instances: set[str] = field(default_factory=set)
    pools: dict[tuple[str, str], PoolStatus] = field(default_factory=dict)
    dirty_pools: set[tuple[str, str]] = field(default_factory=set)
    deleted_pools: set[tuple[str, str]] = field(default_factory=set)
    trees_cut: bool = False
    """More stands below the tasks to cancel than is loaded: `children` is no use."""
    new_trees: dict[int, Branch] = field(default_factory=dict)
    """By root: what to walk from now on."""
    unsettled: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)
    """Tasks that ended in an earlier group, with those of their (dependent, dependency) pairs that come next."""
    settled: int = 0
    """How many pairs of stored dependents this group settles."""
    walked: list[tuple[Branch, list[int]]] = field(default_factory=list)
    """Branches with the children that are to be cancelled in this group."""
    branches: dict[BranchKey, Branch] = field(default_factory=dict)
    """Those that were walked or found, as they are after it."""
    walk_left: bool = False
    """Something is left for a Walk."""
    audit: dict[tuple[str, int], AuditEntry] = field(default_factory=dict)
    dirty_audit: set[tuple[str, int]] = field(default_factory=set)
    changed: str = ""
    """What the command that is being decided changed, for its entry in the audit log."""
    unchanged: int = 0
    """How much the commands so far found as they would have it; an entry does not count it as done."""
    meters: Meters = field(default_factory=Meters)
    set_back: int = 0
    """How far the wall clock was set back since the last group; see `engine.flow.rest`."""
    active: dict[QueueKey, ActiveTasks] = field(default_factory=dict)
    """Of queues whose overflow policy asks for it. Kept up to date in place; a failed group spoils it."""
    fetch: Callable[[list[int]], None] = lambda task_ids: None
    """Loads active tasks that turn out to be wanted: which one makes room depends on what the group did before."""
    holds: dict[HoldKey, Hold] = field(default_factory=dict)
    """All that is held, in every World. Shared with other groups: replaced by a copy before it is changed."""
    dirty_holds: set[HoldKey] = field(default_factory=set)
    deleted_holds: set[HoldKey] = field(default_factory=set)
    namespaces: dict[str, NamespaceSettings] = field(default_factory=dict)
    """Of every namespace that has settings of its own; shared and replaced as the holds are."""
    dirty_namespaces: set[str] = field(default_factory=set)
    rules: dict[str, QuarantineRules] = field(default_factory=dict)
    """Of every namespace that has some."""
    streaks: dict[HoldKey, int] = field(default_factory=dict)
    """What this group makes of the failures in a row of a subject; see `engine.flow.quarantine`."""
    forgotten_streaks: set[str] = field(default_factory=set)
    """Namespaces whose failures in a row are counted anew."""
    reopened: set[QueueKey] = field(default_factory=set)
    """Queues whose waiting claims must be looked at: a hold of their namespace ended, or a ready task's lane is
    another."""
    pruned: list[int] = field(default_factory=list)
    deleted_agents: set[tuple[str, str]] = field(default_factory=set)
    deleted_instances: set[str] = field(default_factory=set)

    lapsed: list[int] = field(default_factory=list)
    """Tasks whose leases ended otherwise than by a report of their agents, who must hear of it."""
    claims: list[Claim] = field(default_factory=list)
    claimed: list[int] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    wake_at: int | None = None

    def record(self, kind: int, op: int, row: Any, before: Any = None) -> None:
        """Append a change at the next revision; `row` carries that revision already."""
        self.changes.append(Change(self.revision, kind, op, self.now, row, before))

    def wake(self, instant: int | None) -> None:
        """Note an instant at which a Sweep is wanted."""
        if instant is not None and (self.wake_at is None or instant < self.wake_at):
            self.wake_at = instant

    def create(self, task: Task) -> Task:
        """Add a new task. One that has the next revision already is not copied."""
        if task.policy is not None and task.state == READY:
            task = preferring(task, self.tasks, self.agents, self.holds, self.now)
        self.revision = revision = self.revision + 1
        if task.revision != revision:
            task = task._replace(revision=revision)
        self.tasks[task.id] = self.born[task.id] = task
        key = (task.namespace, task.queue)
        totals = self.totals.get(key)
        if totals is None:
            totals = self.totals[key] = [0, 0, 0, 0, 0]
        totals[0] += 1
        if task.parent_id is not None:
            self.children.setdefault(task.parent_id, []).append(task.id)
        self._count(task, 1)
        if self.active:
            self._follow_active(task, task)
        if task.wake_at is not None:
            self.wake(task.wake_at)
        self.changes.append(Change(revision, log.TASK, log.CREATED, self.now, task, None))
        return task

    def put(self, task: Task) -> Task:
        """Replace a task's row by its successor. One that becomes ready is put into the lane of whom it waits for."""
        task_id = task.id
        before = self.tasks[task_id]
        if task.policy is not None and task.state == READY != before.state:
            task = preferring(task, self.tasks, self.agents, self.holds, self.now)
        self.revision = revision = self.revision + 1
        task = Task._make((*task[:-1], revision))
        self.tasks[task_id] = task
        if task_id in self.born:
            self.born[task_id] = task
        else:
            self.stored.setdefault(task_id, before)
        state = task.state
        if state != before.state:
            self._count(before, -1)
            self._count(task, 1)
            self._follow_lease(before, task)
            if state in ENDED:
                self._end(task)
        elif task.queue != before.queue:
            self._count(before, -1)
            self._count(task, 1)
        elif state == READY:
            self.reopened.add((task.namespace, task.queue))
        if self.active:
            self._follow_active(before, task)
        if task.wake_at is not None:
            self.wake(task.wake_at)
        self.changes.append(Change(revision, log.TASK, log.UPDATED, self.now, task, before))
        return task

    def _follow_active(self, before: Task, task: Task) -> None:
        """Keep the active tasks up to date; they stand in one queue at a time."""
        old = self.active.get((before.namespace, before.queue))
        new = self.active.get((task.namespace, task.queue))
        if old is not None and old is not new:
            old.remove(task.id)
        if new is not None:
            new.put(task)

    def put_input(self, task_id: int, payload: Payload | None) -> None:
        """Replace the input of a task."""
        if task_id not in self.born:
            self.replaced_inputs[task_id] = payload
        elif payload is not None:
            self.inputs[task_id] = payload
        else:
            self.inputs.pop(task_id, None)

    def depend(self, task_id: int, dependency_id: int, *, met: bool) -> None:
        """Note a dependency that the store knows, of tasks that are run again."""
        self.dependents.setdefault(dependency_id, set()).add(task_id)
        self.depended.setdefault(task_id, {})[dependency_id] = met

    def copy_input(self, original: int, task_id: int) -> None:
        """Give a new task the input of another one."""
        if original in self.replaced_inputs:
            self.put_input(task_id, self.replaced_inputs[original])
        elif original in self.born:
            self.put_input(task_id, self.inputs.get(original))
        else:
            self.copied_inputs[task_id] = original

    def put_admission(self, key: AdmissionKey, row: Admission) -> None:
        """Say who has a unique, debounce or throttle key."""
        self.admissions[key] = row
        self.dirty_admissions.add(key)

    def count_arrival(self, namespace: str, queue: str) -> None:
        """Count a task that was moved into a queue among those that were submitted to it."""
        self.totals.setdefault((namespace, queue), [0, 0, 0, 0, 0])[0] += 1

    def _end(self, task: Task) -> None:
        self.just_ended.append(task)
        totals = self.totals.setdefault((task.namespace, task.queue), [0, 0, 0, 0, 0])
        totals[task.state - WAITING] += 1

    def _count(self, task: Task, step: int) -> None:
        key = (task.namespace, task.queue)
        counts = self.deltas.get(key)
        if counts is None:
            counts = self.deltas[key] = defaultdict(int)
        counts[task.name, task.state] += step

    def _follow_lease(self, before: Task, task: Task) -> None:
        if before.state == RUNNING and before.agent_id is not None:
            self.agent_deltas[before.namespace, before.agent_id] -= 1
        if task.state == RUNNING and task.agent_id is not None:
            self.agent_deltas[task.namespace, task.agent_id] += 1

    def ready_count(self, key: QueueKey) -> dict[str, int]:
        """Return how many tasks of each name are ready in a loaded queue, with what this group did."""
        queue = self.queues.get(key)
        ready = {name: n for name, state, n in queue.counts if state == READY} if queue else {}
        for (name, state), step in self.deltas.get(key, {}).items():
            if state == READY:
                ready[name] = ready.get(name, 0) + step
        return {name: n for name, n in ready.items() if n > 0}

    def put_queue(self, queue: Queue) -> Queue:
        """Create or replace a queue; its change is recorded by `counts.finish`."""
        self.queues[queue.namespace, queue.name] = queue
        self.dirty_queues.add((queue.namespace, queue.name))
        return queue

    def put_agent(self, agent: Agent) -> None:
        """Create or replace an agent; its change is recorded by `counts.finish`."""
        self.agents[agent.namespace, agent.id] = agent
        self.dirty_agents.add((agent.namespace, agent.id))

    def put_schedule(self, schedule: Schedule) -> Schedule:
        """Create or replace a schedule."""
        key = (schedule.namespace, schedule.id)
        before = self.schedules.get(key)
        self.revision += 1
        schedule = schedule._replace(revision=self.revision)
        self.schedules[key] = schedule
        self.dirty_schedules.add(key)
        self.deleted_schedules.discard(key)
        self.wake(schedule.next_at)
        self.record(log.SCHEDULE, log.UPDATED if before else log.CREATED, schedule, before)
        return schedule

    def delete_schedule(self, schedule: Schedule) -> None:
        """Remove a schedule."""
        key = (schedule.namespace, schedule.id)
        del self.schedules[key]
        self.dirty_schedules.discard(key)
        self.deleted_schedules.add(key)
        self.revision += 1
        self.record(log.SCHEDULE, log.DELETED, schedule._replace(revision=self.revision), schedule)

    def put_hold(self, hold: Hold) -> Hold:
        """Create or replace a hold."""
        key = hold[:3]
        before = self.holds.get(key)
        self.revision += 1
        hold = hold._replace(revision=self.revision)
        self.holds = {**self.holds, key: hold}
        self.dirty_holds.add(key)
        self.deleted_holds.discard(key)
        self.record(log.HOLD, log.UPDATED if before else log.CREATED, hold, before)
        return hold

    def delete_hold(self, hold: Hold) -> None:
        """End a hold."""
        key = hold[:3]
        self.holds = {known: row for known, row in self.holds.items() if known != key}
        self.dirty_holds.discard(key)
        self.deleted_holds.add(key)
        self.revision += 1
        self.record(log.HOLD, log.DELETED, hold._replace(revision=self.revision), hold)

    def put_namespace(self, namespace: str, settings: NamespaceSettings) -> None:
        """Set what a namespace has of its own."""
        self.namespaces = {**self.namespaces, namespace: settings}
        self.rules = quarantine_rules(self.namespaces)
        self.dirty_namespaces.add(namespace)

    def prune(self, task: Task) -> None:
        """Remove an ended task with all that belongs to it."""
        self.tasks.pop(task.id, None)
        self.pruned.append(task.id)
        self._count(task, -1)
        self.revision += 1
        self.record(log.TASK, log.DELETED, task._replace(revision=self.revision), task)

    def delete_agent(self, agent: Agent) -> None:
        """Remove an agent."""
        key = (agent.namespace, agent.id)
        self.agents.pop(key, None)
        self.deleted_agents.add(key)
        hold = self.holds.get((agent.namespace, int(HoldKind.AGENT), agent.id))
        if hold is not None:
            self.delete_hold(hold)
        self.revision += 1
        self.record(log.AGENT, log.DELETED, agent._replace(revision=self.revision), agent)

    def delete_instance(self, instance: Instance) -> None:
        """Remove an instance."""
        self.instances.pop(instance.id, None)
        self.deleted_instances.add(instance.id)
        self.revision += 1
        self.record(log.INSTANCE, log.DELETED, instance._replace(revision=self.revision), instance)
