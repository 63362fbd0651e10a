"""Filling a World with the rows that a group of commands touches, in a constant number of set-based reads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from quarterdeck_server.engine.admission import kept_keys
from quarterdeck_server.engine.branches import AT_ONCE
from quarterdeck_server.engine.commands import Prune
from quarterdeck_server.engine.decide import Needs
from quarterdeck_server.engine.flow.preference import origins
from quarterdeck_server.engine.flow.quarantine import Streaks, agents_to_know, judge
from quarterdeck_server.engine.flow.rest import bring_forward
from quarterdeck_server.engine.model import (
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    Payload,
    Queue,
    Task,
)
from quarterdeck_server.engine.namespaces import (
    NO_SETTINGS,
    Due,
    NamespaceSettings,
    due,
    quarantine_rules,
    settings_of,
)
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.rerun import MAX_DEPENDENCIES, MAX_TASKS
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.states import RUNNING
from quarterdeck_server.engine.world import HoldKey, QueueKey, World
from quarterdeck_server.store.sqlite.admissions import load_admissions, load_links
from quarterdeck_server.store.sqlite.arrivals import StoredActive
from quarterdeck_server.store.sqlite.branches import load_branches, load_dependents
from quarterdeck_server.store.sqlite.meters import StoredMeters
from quarterdeck_server.store.sqlite.queries import load_queries


class Loader:
    """Reads on the writing connection, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._leased: dict[int, Task] = {}
        """Rows of running tasks as this connection committed them; nobody else writes, so they are the truth."""
        self._queues: dict[QueueKey, Queue] = {}
        """The same for queues: every group asks for those that it touches."""
        self._meters = StoredMeters(connection)
        self._active = StoredActive(connection)
        self._queries = load_queries()
        self._holds: dict[HoldKey, Hold] = {
            row[:3]: Hold._make(row) for row in self.rows("all_holds")
        }

        self.streaks = Streaks()
        self._namespaces: dict[str, NamespaceSettings] = {
            name: settings_of(text) for name, text in self.rows("all_namespaces")
        }
        self._rules = quarantine_rules(self._namespaces)
        self._turn = 0
        """Of the namespaces, the one whose ended tasks are looked at first in this round of removing."""

    def rows(self, name: str, *parameters: Any) -> list[Any]:
        """Return all rows of a named query."""
        return self._connection.execute(self._queries[name], parameters).fetchall()

    def _by_key(self, name: str, keys: Iterable[Any]) -> list[Any]:
        return self.rows(name, json.dumps(list(keys)))

    def load(self, world: World, needs: Needs) -> None:
        """Load what the commands need, where it exists."""
        set_back = self._meters.show(world)
        if set_back:
            self.load_queues(world, self.rows("resting_queues", world.now))
            bring_forward(world, set_back)
        self._active.show(world)
        world.holds = self._holds
        world.namespaces, world.rules = self._namespaces, self._rules
        if needs.sweep:
            self._load_due(world, needs.sweep)
        if needs.tasks:
            self.load_tasks(world, needs.tasks)
        if needs.children_of:
            self._load_children(world, needs.children_of)
        if needs.walk:
            load_branches(self.rows, self.load_tasks, world, needs.walk)
        for roots in needs.dependents_of:
            self._load_dependents(world, roots)
        if needs.attempts:
            self._load_attempts(world, needs.attempts)
        if needs.keys:
            for namespace, key, *holder in self._by_key("keys", needs.keys):
                world.keys[namespace, key] = (holder[0], holder[1], holder[2])
            if needs.holders:
                self.load_tasks(world, [holder[0] for holder in world.keys.values()])
        keys = needs.admissions
        if needs.retries:
            keys = keys | kept_keys(world.tasks[i] for i in needs.retries if i in world.tasks)
        if keys:
            self.load_tasks(world, load_admissions(self._by_key, world, keys))
        if needs.requests:
            for namespace, method, request_id, body, reply in self._by_key(
                "requests", needs.requests
            ):
                world.requests[namespace, method, request_id] = (body, reply)
        if needs.log_ends:
            self._load_log_ends(world, needs.log_ends)
        self._load_fleet(world, needs)
        self._load_arrivals(world, needs)
        self.load_origins(world, list(world.tasks.values()), needs.origins)
        if needs.prune is not None:
            self._load_prune(world, needs.prune)

    def _load_fleet(self, world: World, needs: Needs) -> None:
        if needs.queues:
            self.load_queues(world, needs.queues)
        if needs.agents:
            self.load_agents(world, needs.agents)
            self._count_unrecorded(world, needs.agents - world.agents.keys())
        if needs.schedules:
            for row in self._by_key("schedules_by_key", needs.schedules):
                schedule = Schedule._make(row)
                world.schedules[schedule.namespace, schedule.id] = schedule
        for namespace, schedule_id in needs.instants:
            world.instants.update(self.rows("schedule_instants", namespace, schedule_id, world.now))
        if needs.instances:
            for row in self._by_key("instances_by_id", needs.instances):
                world.instances[row[0]] = Instance._make(row)
        if needs.audit:
            for row in self._by_key("audit_by_key", needs.audit):
                entry = AuditEntry._make(row)
                world.audit[entry.namespace, entry.id] = entry
        if needs.pools:
            for row in self.rows("pools"):
                pool = PoolStatus._make(row)
                world.pools[pool.namespace, pool.name] = pool

    def _load_arrivals(self, world: World, needs: Needs) -> None:
        others = {
            (rule.namespace, rule.queue) for rule in world.schedules.values()
        } | needs.arrivals
        queues = {
            (command.namespace, queue)
            for command in needs.submits
            for queue in {spec.queue for spec in command.specs}
        }
        resting = (world.tasks[task_id] for task_id in needs.resting if task_id in world.tasks)
        rested = {(task.namespace, task.queue) for task in resting}
        self.load_queues(world, queues | rested | others)
        self.load_tasks(world, self._active.prepare(world, queues, needs.submits, others))
        if world.active:
            world.fetch = partial(self.load_tasks, world)

    def load_origins(self, world: World, tasks: Iterable[Task], more: Collection[int] = ()) -> None:
        """Load what `same_agent_as` of these tasks, or of tasks to be made, speaks of."""
        ids = origins(task.policy for task in tasks).union(more)
        if ids:
            self.load_tasks(world, ids)
            found = [world.tasks[task_id] for task_id in ids if task_id in world.tasks]
            self.load_agents(world, {(t.namespace, t.agent_id) for t in found if t.agent_id})

    def rolled_back(self) -> None:
        """Forget what a failed group did to what is kept up to date in place."""
        self._active.forget()

    def load_tasks(self, world: World, task_ids: Iterable[int]) -> None:
        """Load tasks that are not loaded yet."""
        missing = []
        for task_id in task_ids:
            if task_id not in world.tasks:
                known = self._leased.get(task_id)
                if known is not None:
                    world.tasks[task_id] = known
                else:
                    missing.append(task_id)
        if missing:
            for row in self._by_key("tasks_by_id", missing):
                world.tasks[row[0]] = Task._make(row)

    def committed(self, world: World) -> None:
        """Remember the rows that will be asked for next: of tasks that run, for their report, and of queues."""
        self._queues.update(world.queues)
        self._meters.committed(world)
        self._active.committed(world)
        self._holds = world.holds
        self._namespaces, self._rules = world.namespaces, world.rules
        for namespace in world.forgotten_streaks:
            self.streaks.forget(namespace)
        if world.streaks:
            self.streaks.update(world.streaks)
        for touched in (world.born, world.stored):
            for task_id in touched:
                task = world.tasks.get(task_id)
                if task is not None and task.state == RUNNING:
                    self._leased[task_id] = task
                else:
                    self._leased.pop(task_id, None)

    def _load_children(self, world: World, parents: Collection[int]) -> None:
        known = [task_id for task_id in parents if task_id in world.tasks]
        below = AT_ONCE + 1
        rows = self.rows("children", json.dumps(known), len(known) + below)
        # The wanted tasks that have a parent are among the rows themselves.
        below += sum(world.tasks[task_id].parent_id is not None for task_id in known)
        world.trees_cut = len(rows) == below
        for row in rows:
            task = Task._make(row)
            world.tasks.setdefault(task.id, task)
            assert task.parent_id is not None
            world.children.setdefault(task.parent_id, []).append(task.id)

    def _load_dependents(self, world: World, roots: Sequence[int]) -> None:
        found = [row[0] for row in self.rows("dependents_tree", json.dumps(roots), MAX_TASKS + 1)]
        named = {*roots, *found}
        ((count,),) = self._by_key("count_dependencies", named)
        if count > MAX_DEPENDENCIES:
            world.uncopied[tuple(roots)] = count
            return
        for task_id, dependency_id, met in self._by_key("dependencies_of", named):
            world.depend(task_id, dependency_id, met=bool(met))
            named.add(dependency_id)
        self.load_tasks(world, named)

    def _load_attempts(self, world: World, proofs: Collection[tuple[int, int]]) -> None:
        stale = []
        for task_id, token in proofs:
            task = world.tasks.get(task_id)
            if task is not None and task.lease_token != token:
                stale.append((task_id, token))
        if stale:
            for row in self._by_key("attempts_by_token", stale):
                attempt = Attempt._make(row)
                world.past_attempts[attempt.task_id, attempt.lease_token] = attempt

    def _load_log_ends(self, world: World, task_ids: Collection[int]) -> None:
        for task_id, attempt, sequence, next_offset in self._by_key("log_ends", task_ids):
            last, offsets = world.log_ends.get(task_id, (0, {}))
            offsets[attempt] = next_offset
            world.log_ends[task_id] = (max(last, sequence), offsets)

    def _load_due(self, world: World, limit: int) -> None:
        for row in self.rows("tasks_due", world.now, limit):
            world.tasks[row[0]] = Task._make(row)
            world.due_tasks.append(row[0])
        for row in self.rows("schedules_due", world.now, limit):
            schedule = Schedule._make(row)
            key = (schedule.namespace, schedule.id)
            world.schedules[key] = schedule
            world.due_schedules.append(key)
            taken = self.rows(
                "schedule_instants", schedule.namespace, schedule.id, schedule.next_at
            )
            world.instants.update(taken)

    def _load_prune(self, world: World, prune: Prune) -> None:
        namespaces = [name for (name,) in self.rows("namespaces_with_ended")]
        if namespaces:
            # Each comes first once: one that ends more than a round removes does not keep the others' tasks.
            self._turn = (self._turn + 1) % len(namespaces)
            namespaces = namespaces[self._turn :] + namespaces[: self._turn]
        due = [part for name in namespaces for part in self._due(world, prune, name)]
        for row in self.rows("tasks_to_prune", json.dumps(due), prune.limit):
            world.prune(Task._make(row))
        for row in self.rows("agents_to_prune", prune.ended_before, prune.limit):
            world.delete_agent(Agent._make(row))
        for row in self.rows("instances_to_prune", prune.ended_before, prune.limit):
            world.delete_instance(Instance._make(row))

    def _due(self, world: World, prune: Prune, namespace: str) -> list[Due]:
        retention = world.namespaces.get(namespace, NO_SETTINGS).retention
        return due(namespace, retention, prune.ended_before, prune.failed_before, world.now)

    def judge(self, world: World) -> None:
        """Put in quarantine what the rules of its namespace say."""
        self.load_agents(world, agents_to_know(world))
        judge(world, self.streaks)

    def load_queues(self, world: World, keys: Iterable[QueueKey]) -> None:
        """Load queues with their counts that are not loaded yet."""
        missing = []
        for key in keys:
            if key not in world.queues:
                known = self._queues.get(key)
                if known is not None:
                    world.queues[key] = known
                else:
                    missing.append(key)
        if not missing:
            return
        counts: dict[QueueKey, list[tuple[str, int, int]]] = {}
        for namespace, queue, name, state, count in self._by_key("counts_by_key", missing):
            if count:
                counts.setdefault((namespace, queue), []).append((name, state, count))
        for row in self._by_key("queues_by_key", missing):
            key = (row[0], row[1])
            world.queues[key] = Queue._make((*row, tuple(counts.get(key, ()))))

    def reopen(self, world: World) -> None:
        """Let the waiting claims of a namespace be looked at where a hold ended: nothing else need have changed."""
        for namespace in {key[0] for key in world.deleted_holds}:
            queues = [(namespace, name) for (name,) in self.rows("ready_queues", namespace)]
            self.load_queues(world, queues)
            world.reopened.update(queues)

    def load_agents(self, world: World, keys: Iterable[tuple[str, str]]) -> None:
        """Load agents that are not loaded yet."""
        known = world.agents.keys() | world.deleted_agents
        missing = [key for key in keys if key not in known]
        if missing:
            for row in self._by_key("agents_by_key", missing):
                agent = Agent._make(row)
                world.agents[agent.namespace, agent.id] = agent

    def _count_unrecorded(self, world: World, agents: Collection[tuple[str, str]]) -> None:
        if not agents:
            return
        for task in self._leased.values():
            key = (task.namespace, task.agent_id or "")
            if key in agents:
                world.unrecorded[key] += 1

    def dependents(
        self, world: World, ended: Sequence[Task], links: Collection[int]
    ) -> list[tuple[int, int]]:
        """Return stored (dependent, dependency) pairs of ended tasks, in order: those that this group settles."""
        return load_dependents(self.rows, world, ended, links)

    def load_links(self, world: World, links: Sequence[int]) -> None:
        """Load what tasks that ended in the chain of a unique key have left to others."""
        self.load_tasks(world, load_links(self._by_key, world, links))

    def inputs(self, task_ids: Sequence[int]) -> dict[int, Payload]:
        """Return the stored inputs of tasks; a task without one is left out."""
        return {
            task_id: Payload(content_type, data)
            for task_id, content_type, data in self._by_key("inputs_by_id", task_ids)
        }

    def edit_inputs(self, world: World, inputs: dict[int, Payload]) -> None:
        """Put right the inputs of claimed tasks that this group replaced, or copied from others."""
        copied = [(i, world.copied_inputs[i]) for i in world.claimed if i in world.copied_inputs]
        originals = self.inputs([original for _, original in copied])
        inputs.update({i: originals[old] for i, old in copied if old in originals})
        for task_id in world.replaced_inputs.keys() & set(world.claimed):
            payload = world.replaced_inputs[task_id]
            if payload is None:
                inputs.pop(task_id, None)
            else:
                inputs[task_id] = payload

    def load_details(self, world: World) -> None:
        """Give the claims what earlier attempts of their tasks have saved."""
        again = {
            task.id: claim for claim in world.claims for task in claim.taken if task.attempt > 1
        }
        stored = [task_id for task_id in again if task_id not in world.details]
        if stored:
            for task_id, content_type, data in self._by_key("details_by_id", stored):
                again[task_id].details[task_id] = Payload(content_type, data)
        for task_id in again.keys() & world.details.keys():
            details = world.details[task_id]
            if details is not None:
                again[task_id].details[task_id] = details

    def next_wake(self) -> int | None:
        """Return the earliest instant at which any row wants a Sweep."""
        found: int | None = self.rows("next_wake")[0][0]
        return found
