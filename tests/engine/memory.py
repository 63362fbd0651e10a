"""The engine on dicts: what a store does with a World, without a database.

Every World is filled with all rows, so a difference between this and a store is a row that the store did not load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from quarterdeck_server.engine.admission import note_links, open_links
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Claim, Command, Prune, Sweep
from quarterdeck_server.engine.counts import finish
from quarterdeck_server.engine.decide import decide, finished, gather, settle_before
from quarterdeck_server.engine.dependencies import open_edges, settle
from quarterdeck_server.engine.flow.active import ActiveTasks, needs_active
from quarterdeck_server.engine.flow.book import Book
from quarterdeck_server.engine.flow.claim import (
    NOBODY,
    Supply,
    Waiting,
    demand,
    eligible,
    hand_off,
    served_queues,
)
from quarterdeck_server.engine.flow.limits import limits_of
from quarterdeck_server.engine.flow.meters import Meter, MeterKey, at_rest, stepped_back
from quarterdeck_server.engine.flow.quarantine import Streaks, judge
from quarterdeck_server.engine.flow.rest import bring_forward
from quarterdeck_server.engine.flow.serving import desk_queues, serve
from quarterdeck_server.engine.flow.supply import Lane, order
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
from quarterdeck_server.engine.namespaces import NamespaceSettings, due, quarantine_rules
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    EXPIRED,
    FAILED,
    READY,
    RUNNING,
    SUCCEEDED,
    AgentState,
)
from quarterdeck_server.engine.world import HoldKey, World

from . import make


class Group:
    """What a group did."""

    def __init__(
        self,
        replies: list[Any],
        changes: list[Change],
        claims: list[Claim],
        reopen: Sequence[tuple[int, tuple[str, str]]] = (),
    ) -> None:
        self.replies = replies
        self.changes = changes
        self.claims = claims
        self.reopen = reopen


class Memory:
    """All tables as dicts."""

    def __init__(
        self,
        new_id: Callable[[int], int] | None = None,
        new_token: Callable[[], int] | None = None,
    ) -> None:
        self._new_id = new_id or make.ids()
        self._new_token = new_token or make.tokens()
        self.revision = 0
        self.seen = 0
        self.tasks: dict[int, Task] = {}
        self.inputs: dict[int, Payload] = {}
        self.results: dict[int, Payload] = {}
        self.details: dict[int, Payload] = {}
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self.edges: dict[tuple[int, int], bool] = {}
        self.keys: dict[tuple[str, str], tuple[int, bytes, int | None]] = {}
        self.admissions: dict[AdmissionKey, Admission] = {}
        self.requests: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}
        self.queues: dict[tuple[str, str], Queue] = {}
        self.agents: dict[tuple[str, str], Agent] = {}
        self.schedules: dict[tuple[str, str], Schedule] = {}
        self.meters: dict[MeterKey, Meter] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.namespaces: dict[str, NamespaceSettings] = {}
        self.streaks = Streaks()
        self.instances: dict[tuple[str, str], Instance] = {}
        self.pools: dict[tuple[str, str], PoolStatus] = {}
        self.audit: dict[tuple[str, int], AuditEntry] = {}
        self.entries_pruned = 0
        self.log_ends: dict[int, tuple[int, dict[int, int]]] = {}
        self.logs: list[LogRow] = []
        self.changes: list[Change] = []
        self.book = Book()
        self.reopen: list[tuple[int, tuple[str, str]]] = []

    def run(self, commands: Sequence[Command], waiting: Waiting, now: int) -> Group:
        """Carry out a group; a command with an unexpected error fails alone."""
        try:
            return self._group(commands, waiting, now)
        except Exception as error:
            if len(commands) == 1 and waiting is NOBODY:
                return Group([error], [], [])
        whole = Group([], [], [])
        for command in commands:
            part = self.run([command], NOBODY, now)
            whole.replies += part.replies
            whole.changes += part.changes
        last = self._group([], waiting, now)
        return Group(whole.replies, whole.changes + last.changes, last.claims, last.reopen)

    def _group(self, commands: Sequence[Command], waiting: Waiting, now: int) -> Group:
        world = World(now, self.revision, lambda: self._new_id(now), self._new_token)
        self._load(world, commands)
        if by := stepped_back(self.seen, now):
            bring_forward(world, by)
        replies = []
        for command in commands:
            if world.just_ended and settle_before(command):
                self._settle(world)
            replies.append(decide(world, command))
        self._settle(world)
        judge(world, self.streaks)
        if world.deleted_holds:
            world.reopened.update(world.queues)
        self._hand_off(world, waiting)
        saved = {**self.details, **world.details}
        for claim in world.claims:
            again = (task.id for task in claim.taken if task.attempt > 1)
            claim.details.update({i: p for i in again if (p := saved.get(i)) is not None})
        finish(world)
        self._store(world)
        if any(isinstance(command, Prune) for command in commands):
            self._forget_keys(set(world.pruned), now)
        for index, command in enumerate(commands):
            if isinstance(command, Sweep):
                replies[index] = self.next_wake()
            elif isinstance(command, Prune):
                meters = world.meters.removed - world.meters.changed.keys()
                kinds = (len(world.pruned), len(world.deleted_agents), len(meters))
                replies[index] = max(*kinds, self.entries_pruned, self.keys_pruned)
            else:
                replies[index] = finished(world, command, replies[index])
        return Group(replies, world.changes, world.claims, self.reopen)

    def _load(self, world: World, commands: Sequence[Command]) -> None:
        self._load_rows(world)
        self._load_bonds(world)
        self._load_active(world)
        needs = gather(commands)
        if needs.sweep:
            self._load_due(world)
        if needs.prune is not None:
            self._prune(world, needs.prune)

    def _load_rows(self, world: World) -> None:
        world.tasks = dict(self.tasks)
        world.keys = dict(self.keys)
        world.admissions = dict(self.admissions)
        world.requests = dict(self.requests)
        world.meters.stored = self.meters
        world.queues = dict(self.queues)
        world.agents = dict(self.agents)
        world.holds, world.namespaces = self.holds, self.namespaces
        world.rules = quarantine_rules(self.namespaces)
        world.schedules = dict(self.schedules)
        world.instances = {row.id: row for row in self.instances.values()}
        world.pools = dict(self.pools)
        world.audit = dict(self.audit)
        world.log_ends = {task: (end, dict(offs)) for task, (end, offs) in self.log_ends.items()}
        world.past_attempts = {(a.task_id, a.lease_token): a for a in self.attempts.values()}

    def _load_bonds(self, world: World) -> None:
        """What ties tasks to agents, schedules, parents and dependencies."""
        for task in self.tasks.values():
            if task.state == RUNNING and task.agent_id is not None:
                world.unrecorded[task.namespace, task.agent_id] += 1
            if task.schedule_id is not None and task.schedule_time is not None:
                world.instants.add((task.namespace, task.schedule_id, task.schedule_time))
            if task.parent_id is not None:
                world.children.setdefault(task.parent_id, []).append(task.id)
        for edge, met in self.edges.items():
            if edge[0] in self.tasks:
                world.depend(*edge, met=met)

    def _load_active(self, world: World) -> None:
        """Of queues whose overflow policy asks for it."""
        for key, queue in self.queues.items():
            if needs_active(limits_of(queue.limits)):
                world.active[key] = ActiveTasks(
                    (t.id, t.lane, t.cancel is not None)
                    for t in self.tasks.values()
                    if (t.namespace, t.queue) == key and t.state in (READY, RUNNING)
                )

    def _prune(self, world: World, prune: Prune) -> None:
        resting = (key for key, meter in self.meters.items() if at_rest(meter, world.now))
        world.meters.removed.update(resting)
        bounds = (prune.ended_before, prune.failed_before)
        for state in (SUCCEEDED, FAILED, CANCELLED, EXPIRED):
            for task in self._prunable(state, bounds[state == FAILED]):
                if task.namespace not in self.namespaces:
                    world.prune(task)
        for name, settings in self.namespaces.items():
            for part in due(name, settings.retention, *bounds, world.now):
                for task in self._prunable(part.state, part.before):
                    if task.namespace == name:
                        world.prune(task)
        for agent in self.agents.values():
            gone = agent.state == AgentState.GONE and not agent.running
            if gone and agent.last_contact_time < prune.ended_before:
                world.delete_agent(agent)
        kept = {k: entry for k, entry in world.audit.items() if entry.time >= prune.audit_before}
        world.audit = kept
        self.entries_pruned = len(self.audit) - len(kept)

    def _load_due(self, world: World) -> None:
        due = [t for t in self.tasks.values() if t.wake_at is not None and t.wake_at <= world.now]
        world.due_tasks = [task.id for task in sorted(due, key=lambda t: (t.wake_at, t.id))]
        rules = [(rule.next_at, key) for key, rule in self.schedules.items() if rule.next_at]
        world.due_schedules = [key for at, key in sorted(rules) if at <= world.now]

    def _prunable(self, state: int, before: int) -> list[Task]:
        waiting = {task.id for task in self.tasks.values() if task.state == BLOCKED}
        held = {b for (a, b), met in self.edges.items() if a in waiting and not met}
        return [
            task
            for task in self.tasks.values()
            if task.state == state and (task.end_time or 0) < before and task.id not in held
        ]

    def _settle(self, world: World) -> None:
        while world.just_ended:
            ended, world.just_ended = world.just_ended, []
            ids = {task.id for task in ended}
            links = open_links(ended)
            note_links(
                world, links, [e for e, met in self.edges.items() if e[0] in links and not met]
            )
            stored = [edge for edge, met in self.edges.items() if edge[1] in ids and not met]
            settle(world, ended, open_edges(world, ids, sorted(stored)))

    def _hand_off(self, world: World, waiting: Waiting) -> None:
        if self.book.touched:
            # The last group did not come about.
            self._fill()
        self.book.enter(world)
        queues = served_queues(world, waiting)
        special = desk_queues(world, waiting, self.book, queues)
        self.reopen = serve(world, waiting, self.book, self._read, special)
        profiles = eligible(world, waiting, queues - special)
        lanes: dict[Lane, list[Task]] = {lane: [] for lane in demand(world, waiting, profiles)}
        for task in sorted(world.tasks.values(), key=order):
            lane = Lane(task.namespace, task.queue, task.name)
            if task.state == READY and lane in lanes:
                lanes[lane].append(task)
        hand_off(world, waiting, profiles, Supply(lanes))

    def _read(self, lane: Lane, priority: int | None, limit: int, offset: int) -> list[Task]:
        rows = [
            task
            for task in self.tasks.values()
            if task.state == READY
            and Lane(task.namespace, task.queue, task.name, task.lane) == lane
            and priority in (None, task.priority)
        ]
        return sorted(rows, key=order)[offset : offset + limit]

    def restart(self) -> None:
        """Forget what is in memory only."""
        self.book = Book()
        self._fill()

    def _fill(self) -> None:
        laned = [task for task in self.tasks.values() if task.lane is not None]
        ready = Counter(
            (t.namespace, t.queue, t.name, t.lane or "") for t in laned if t.state == READY
        )
        running = Counter((t.namespace, t.queue, t.lane or "") for t in laned if t.state == RUNNING)
        self.book.fill(
            [(*lane, n) for lane, n in sorted(ready.items())],
            [(*lane, n) for lane, n in sorted(running.items())],
        )

    def _store(self, world: World) -> None:
        self.revision, self.seen = world.revision, world.now
        self.book.touched = False
        self.tasks = world.tasks
        self.inputs |= world.inputs
        for task_id, payload in world.replaced_inputs.items():
            if payload is None:
                self.inputs.pop(task_id, None)
            else:
                self.inputs[task_id] = payload
        for task_id, original in world.copied_inputs.items():
            if original in self.inputs:
                self.inputs[task_id] = self.inputs[original]
        self.results |= world.results
        for task_id, payload in world.details.items():
            if payload is None:
                self.details.pop(task_id, None)
            else:
                self.details[task_id] = payload
        self.attempts |= {(a.task_id, a.attempt): a for a in world.attempts}
        self.edges |= world.dependencies
        self.edges |= dict.fromkeys(world.met, True)
        self.keys |= world.new_keys
        self.admissions |= {key: world.admissions[key] for key in world.dirty_admissions}
        self.requests |= world.new_requests
        self.meters |= world.meters.changed
        removed = world.meters.removed - world.meters.changed.keys()
        self.meters = {k: m for k, m in self.meters.items() if k not in removed}
        self.holds, self.namespaces = world.holds, world.namespaces
        for namespace in world.forgotten_streaks:
            self.streaks.forget(namespace)
        self.streaks.update(world.streaks)
        self.queues = world.queues
        self.agents = world.agents
        self.schedules = world.schedules
        self.instances = {row[:2]: row for row in world.instances.values()}
        self.pools = world.pools
        self.audit = world.audit
        self.log_ends = world.log_ends
        self.logs += world.logs
        self.changes += world.changes
        self._forget(set(world.pruned))

    def _forget(self, pruned: set[int]) -> None:
        self.attempts = {k: a for k, a in self.attempts.items() if k[0] not in pruned}
        self.edges = {k: m for k, m in self.edges.items() if k[0] not in pruned}
        self.inputs = {k: v for k, v in self.inputs.items() if k not in pruned}
        self.results = {k: v for k, v in self.results.items() if k not in pruned}
        self.details = {k: v for k, v in self.details.items() if k not in pruned}
        self.log_ends = {k: v for k, v in self.log_ends.items() if k not in pruned}

    def _forget_keys(self, pruned: set[int], now: int) -> None:
        def kept(task_id: int, expire_at: int | None) -> bool:
            return task_id not in pruned if expire_at is None else expire_at > now

        rows = [(task_id, at) for task_id, _, at in self.keys.values()]
        held = [(row.task_id, row.expire_at) for row in self.admissions.values()]
        self.keys_pruned = max(
            sum(task_id not in pruned and not kept(task_id, at) for task_id, at in sort)
            for sort in (rows, held)
        )
        self.keys = {k: v for k, v in self.keys.items() if kept(v[0], v[2])}
        self.admissions = {k: v for k, v in self.admissions.items() if kept(v.task_id, v.expire_at)}

    def next_wake(self) -> int | None:
        """The earliest instant at which time alone changes a row."""
        wakes = [task.wake_at for task in self.tasks.values() if task.wake_at is not None]
        wakes += [s.next_at for s in self.schedules.values() if s.next_at is not None]
        return min(wakes, default=None)
