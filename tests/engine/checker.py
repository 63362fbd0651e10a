"""What must be true of the rows and of the change log whatever happened: the invariants of a task queue.

The log is replayed change by change against a model that knows only the rules; what is not explained by them, or is
not what the tables say, is an error. Where each invariant is checked (those of one server; the others belong to
watches, schedules, tenants and backups):

|no.| invariant              | where                                                                                |
|---|------------------------|--------------------------------------------------------------------------------------|
|  3| idempotent submit      | `Machine.check_submitted` and `check_period`; `submit_twice` for whole requests      |
|  4| legal transitions      | `Checker._step` against `FOLLOWERS`; `compare`: the tables are what the log says     |
|  5| single owner           | `_step`: a token is used once, a lease ends before the next; `_attempts`: no gap     |
|  6| fencing                | `_step`, `_fenced`: nothing without the lease; `Agents.check_report`                 |
|  7| no early expiry        | processes: `tests/faults/test_process.py`, a server that was stopped for two leases  |
|  8| bounded recovery       | processes: `tests/faults/test_stopped_agents.py`, the task of a stopped agent        |
|  9| terminal is final      | `_step`: what ended goes on only when it is retried; only ended rows are deleted     |
| 10| budget of attempts     | `_row`, `_budget`: it grows only by a release, a retry or an edit                    |
| 11| no ready task left     | `HandOffs`: claims with room beside what they may have; or `reopen` names the queue  |
| 18| delays                 | `_started`: not before `run_at`; `Machine.check_new`: that is what was asked for     |
| 19| dependencies           | `_all_met`; `compare`: who waits waits for somebody who has not ended                |
| 20| cancels converge       | `_started`: no claim after a cancel; `pass_time`: nothing is overdue after a sweep;  |
|   |                        | processes: `tests/sdk/`, `tests/e2e/test_pools.py`: the running one hears and stops  |
| 21| limits and rates       | `HandOffs`: at every start, with the limits as they are then                         |
| 22| fairness               | `HandOffs.turn`: shares of two keys part by a turn of each at most                   |
| 23| conservation           | `_counts`, `_totals`: counters are table counts, totals are what the log counted     |
|  -| unique keys            | `Submits.one_task_has_the_unique_key`                                                |
|  -| holds, labels, pauses  | `_started`, `HandOffs`                                                               |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.deadlines import wake_at
from quarterdeck_server.engine.flow.holds import AGENT, AGENT_VERSION, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.model import Payload, Queue, Task, cancellation_of
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    ENDED,
    FOLLOWERS,
    READY,
    RUNNING,
    SUCCEEDED,
)

from .bench import Driver
from .handoff_checker import HandOffs, Moment, key_of

Key = tuple[str, str]
Proof = tuple[int, int]
"""A task and the token of a lease."""

LABELS: dict[str, tuple[tuple[str, str], ...]] = {
    "a1": (("gpu", "a"),),
    "a2": (("gpu", "a"), ("region", "eu")),
    "a3": (("gpu", "b"),),
}
"""Those of the agents."""


class Checker:
    """Follows the log of one driver."""

    def __init__(self) -> None:
        self.revision = 0
        self.tasks: dict[int, Task] = {}
        self.images: dict[tuple[int, object], object] = {}
        self.depends_on: dict[int, tuple[int, ...]] = {}
        """Set by who submits; the log does not say."""
        self.ended_well: set[int] = set()
        self.ended: set[int] = set()
        self.tokens: set[int] = set()
        self.now = 0
        self.hand_offs = HandOffs()
        self.born: dict[int, Task] = {}
        """Of the last group: new tasks as they came into being."""
        self.created: Counter[Key] = Counter()
        """With those that were moved into a queue."""
        self.moved = 0
        self.removed: Counter[Key] = Counter()
        self.finished: Counter[tuple[Key, int]] = Counter()
        """By queue and state: how often a task ended so."""
        self.reported: dict[Proof, object] = {}
        """Outcomes that were accepted in this group."""
        self._said: set[Proof] = set()
        """Leases under which something was said in this group."""
        self._revived: set[int] = set()
        """Tasks that an operator retried in this group."""
        self._edited: set[int] = set()
        self._started: dict[int, Task] = {}
        self._leases: dict[int, int] = {}
        self._details: dict[int, Payload] = {}

    def begin_group(self, now: int, driver: Driver, commands: Sequence[c.Command]) -> None:
        """Note what a group is asked to do, before it does it."""
        self.now = now
        self.born, self._started, self.reported = {}, {}, {}
        self._leases = {t.id: t.lease_token for t in self.tasks.values() if t.lease_token}
        self._details = dict(driver.details)
        self._revived = {i for x in commands if isinstance(x, c.Retry) for i in x.task_ids}
        self._edited = {i for x in commands if isinstance(x, c.UpdateTasks) for i in x.task_ids}
        self._said = {
            proof
            for x in commands
            for proof in (
                [(beat.task_id, beat.token) for beat in x.beats]
                if isinstance(x, c.RecordBeats)
                else []
            )
        }

    def follow(self, changes: list[Change]) -> None:
        """Replay the changes of one group."""
        for change in changes:
            assert change.revision == self.revision + 1, "revisions have no gap"
            self.revision = change.revision
            if change.kind == log.TASK:
                self._task(change)
            else:
                self._other(change)

    def _other(self, change: Change) -> None:
        key = (change.kind, tuple(change.row[: 3 if change.kind == log.HOLD else 2]))
        known = self.images.get(key)
        assert (change.op == log.CREATED) == (known is None), change
        if change.kind not in (log.QUEUE, log.AGENT) or change.op == log.DELETED:
            self._was(change, known)
        assert change.row.revision == change.revision
        if change.op == log.DELETED:
            del self.images[key]
        else:
            self.images[key] = change.row

    def _task(self, change: Change) -> None:
        after: Task = change.row
        before = self.tasks.get(after.id)
        assert (change.op == log.CREATED) == (before is None), change
        self._was(change, before)
        assert after.revision == change.revision
        queue = (after.namespace, after.queue)
        if change.op == log.DELETED:
            assert after.state in ENDED, "only ended tasks are removed"
            self.removed[queue] += 1
            del self.tasks[after.id]
            return
        self.tasks[after.id] = after
        self._row(after)
        if before is None:
            self.born[after.id] = after
            self.created[queue] += 1
        else:
            self._step(before, after)
            if before.queue != after.queue:
                self.created[queue] += 1
                self.moved += 1
        if after.state in ENDED:
            self.ended.add(after.id)
            if before is None or before.state not in ENDED:
                self.finished[queue, after.state] += 1
            if after.state == SUCCEEDED:
                self.ended_well.add(after.id)

    def _row(self, task: Task) -> None:
        assert task.wake_at == wake_at(task), "time knows when to look at it"
        assert (task.lease_token is not None) == (task.state == RUNNING)
        assert (task.end_time is not None) == (task.state in ENDED)
        assert task.attempt <= task.max_attempts, "the budget of attempts"
        assert task.pause is None or (task.state == RUNNING and task.cancel is None), "who pauses"
        if task.state == BLOCKED:
            assert task.pending > 0

    def _was(self, change: Change, known: object) -> None:
        assert change.before == known, "what it was"

    def _step(self, before: Task, after: Task) -> None:
        self._fenced(before, after)
        if after.max_attempts > before.max_attempts:
            self._budget(before, after)
        if before.state == after.state:
            assert before.lease_token == after.lease_token, "one owner"
            assert before.attempt == after.attempt
            return
        assert after.state in FOLLOWERS[before.state], (before.state, after.state)
        if before.state in ENDED:
            assert after.id in self._revived, "what ended goes on only when an operator retries it"
        if before.state == BLOCKED and after.state not in ENDED:
            self._all_met(after)
        if after.state == RUNNING:
            assert after.attempt == before.attempt + 1, "attempts have no gap"
            assert after.lease_token not in self.tokens, "a token is used once"
            self.tokens.add(after.lease_token or 0)
            self._may_start(before, after.agent_id or "")
        else:
            assert not self._started, "tasks are handed out when all else is done"
            assert after.attempt == before.attempt
        if before.state == RUNNING:
            self._rest(before)

    def _fenced(self, before: Task, after: Task) -> None:
        """What only the owner of a lease can say was said by the owner."""
        proof = (after.id, before.lease_token or 0)
        if after.progress not in (before.progress, None) and before.pause is None:
            assert proof in self._said, "progress under the lease"
        if after.state == SUCCEEDED != before.state:
            assert isinstance(self.reported.get(proof), c.Succeed), "only its owner can end it well"
        old, new = cancellation_of(before), cancellation_of(after)
        if old is not None and new is not None and new.acknowledge_time != old.acknowledge_time:
            assert proof in self._said or proof in self.reported, "who acknowledges a cancel"

    def _budget(self, before: Task, after: Task) -> None:
        if before.state == RUNNING and after.state in (READY, CANCELLED):
            outcome = self.reported.get((after.id, before.lease_token or 0))
            assert isinstance(outcome, c.Release), "an attempt that is given back"
            assert after.max_attempts == before.max_attempts + 1
        else:
            known = after.id in self._revived or after.id in self._edited
            assert known or after.name == "late", "more attempts than were allowed"

    def _may_start(self, task: Task, agent_id: str) -> None:
        assert task.run_at <= self.now, "not before its time"
        assert cancellation_of(task) is None, "no claim after a cancel"
        assert not self.name_held(task.name), "what is held is handed to nobody"
        assert not self.agent_held(agent_id), "who is held is given nothing"
        policy = policy_of(task.policy)
        assert set(policy.required) <= set(LABELS[agent_id]), "the labels that it needs"
        wanted = {**dict(policy.preferred), **dict(policy.required)}.items()
        if not set(wanted) <= set(LABELS[agent_id]):
            assert task.run_at + policy.patience <= self.now, "others are waited for first"
        self._started[task.id] = task

    def _rest(self, task: Task) -> None:
        """A report may ask that its queue, or its key there, is left alone for a while."""
        outcome = self.reported.get((task.id, task.lease_token or 0))
        if isinstance(outcome, c.Fail) and outcome.back_off is not None:
            key = key_of(task) if outcome.key_only else None
            self.hand_offs.rest(task.queue, key, self.now + outcome.back_off)

    def check_hand_off(
        self, driver: Driver, claims: Sequence[c.Claim], reopen: Iterable[tuple[int, Key]]
    ) -> None:
        """Hold what the group's claims were given against the rules."""
        self.hand_offs.check(
            Moment(
                self.now,
                driver.queues,
                self.tasks,
                self._started,
                claims,
                self.name_held,
                self.agent_held,
                reopen,
            )
        )

    def name_held(self, name: str) -> bool:
        """Say whether the default namespace hands out no tasks of a name."""
        return self._held(TASK_NAME, name) or self._held(NAMESPACE, "")

    def agent_held(self, agent_id: str) -> bool:
        """Say whether an agent is given nothing, for its own sake."""
        return self._held(AGENT, agent_id) or self._held(AGENT_VERSION, f"{agent_id}@1")

    def _held(self, kind: int, subject: str) -> bool:
        return (log.HOLD, ("default", kind, subject)) in self.images

    def _all_met(self, task: Task) -> None:
        needed = self.ended if policy_of(task.policy).all_ended else self.ended_well
        assert set(self.depends_on[task.id]) <= needed, "started before what it depends on ended"

    def compare(self, driver: Driver) -> None:
        """The tables say what the log says."""
        # Each table is read once: a driver may ask a database.
        tasks, queues, edges = driver.tasks, driver.queues, driver.edges
        assert dict(tasks) == self.tasks
        self._counts(queues)
        self._totals(queues)
        self._attempts(driver)
        self._saved(driver)
        tables: dict[int, Mapping[Any, Any]] = {
            log.AGENT: driver.agents,
            log.SCHEDULE: driver.schedules,
            log.HOLD: driver.holds,
            log.INSTANCE: driver.instances,
            log.POOL: driver.pools,
        }
        for kind, table in tables.items():
            images = {key: image for (of, key), image in self.images.items() if of == kind}
            assert dict(table) == images, "tables are what the log says"
        running = Counter(
            (t.namespace, t.agent_id) for t in self.tasks.values() if t.state == RUNNING
        )
        for key, agent in tables[log.AGENT].items():
            assert agent.running == running[key]
        unmet: dict[int, list[int]] = {}
        for (task_id, dependency), met in edges.items():
            if not met:
                unmet.setdefault(task_id, []).append(dependency)
        for task in tasks.values():
            if task.state == BLOCKED:
                waits_for = unmet.get(task.id, [])
                assert len(waits_for) == task.pending, "what it waits for"
                assert all(self.tasks[d].state not in ENDED for d in waits_for), "for nothing"

    def _counts(self, queues: Mapping[Key, Queue]) -> None:
        counts: dict[Key, Counter[tuple[str, int]]] = {}
        for task in self.tasks.values():
            key = (task.namespace, task.queue)
            counts.setdefault(key, Counter())[task.name, task.state] += 1
        for key, queue in queues.items():
            stored = {(name, state): n for name, state, n in queue.counts}
            assert stored == dict(counts.get(key, Counter())), "counters are table counts"
        assert counts.keys() <= queues.keys()

    def _totals(self, queues: Mapping[Key, Queue]) -> None:
        for key, queue in queues.items():
            assert queue.submitted_total == self.created[key]
            ended = [self.finished[key, state] for state in sorted(ENDED)]
            totals = queue[queue._fields.index("succeeded_total") :][: len(ended)]
            assert list(totals) == ended, "totals are what the log counted"
        submitted = len(self.tasks) + self.removed.total() + self.moved
        assert submitted == sum(queue.submitted_total for queue in queues.values())

    def _saved(self, driver: Driver) -> None:
        """Details come from the attempt that had the lease when the group began."""
        for task_id, payload in driver.details.items():
            if payload is not self._details.get(task_id) != payload:
                assert (task_id, self._leases.get(task_id)) in self._said, "details under the lease"

    def _attempts(self, driver: Driver) -> None:
        numbers: dict[int, list[int]] = {}
        for task_id, number in sorted(driver.attempts):
            numbers.setdefault(task_id, []).append(number)
        for task in self.tasks.values():
            ended = task.attempt - (task.state == RUNNING)
            assert numbers.get(task.id, []) == list(range(1, ended + 1)), "attempts on record"


class LogChecker(Checker):
    """Follows a log that was read from disk: it does not say what was asked, nor what each row was before."""

    def _was(self, change: Change, known: object) -> None: ...

    def _fenced(self, before: Task, after: Task) -> None: ...

    def _budget(self, before: Task, after: Task) -> None: ...

    def _may_start(self, task: Task, agent_id: str) -> None: ...

    def _rest(self, task: Task) -> None: ...
