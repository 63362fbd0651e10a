"""What must be true of the rows and of the change log whatever happened: the invariants of a task queue.

The log is replayed change by change against a model that knows only the rules; what is not explained by them, or is
not what the tables say, is an error.
"""

from __future__ import annotations

from collections import Counter

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.deadlines import wake_at
from quarterdeck_server.engine.holds import AGENT, AGENT_VERSION, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.model import Task, cancellation_of
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, ENDED, FOLLOWERS, READY, RUNNING, SUCCEEDED

from .bench import Driver

Key = tuple[str, str]


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
        self.revived: set[int] = set()
        """Tasks that an operator retried in the group that is looked at."""

    def follow(self, changes: list[Change]) -> None:
        """Replay the changes of one group."""
        for change in changes:
            assert change.revision == self.revision + 1, "revisions have no gap"
            self.revision = change.revision
            if change.kind == log.TASK:
                self._task(change)
            else:
                self._other(change)
        self.revived = set()

    def _other(self, change: Change) -> None:
        key = (change.kind, tuple(change.row[: 3 if change.kind == log.HOLD else 2]))
        assert (change.op == log.CREATED) == (key not in self.images), change
        if change.op == log.DELETED:
            del self.images[key]
        else:
            self.images[key] = change.row

    def _task(self, change: Change) -> None:
        after: Task = change.row
        before = self.tasks.get(after.id)
        assert (change.op == log.CREATED) == (before is None), change
        if change.op == log.DELETED:
            assert after.state in ENDED, "only ended tasks are removed"
            del self.tasks[after.id]
            return
        self.tasks[after.id] = after
        self._row(after)
        if before is not None:
            self._step(before, after)
        if after.state in ENDED:
            self.ended.add(after.id)
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

    def _step(self, before: Task, after: Task) -> None:
        if before.state == after.state:
            assert before.lease_token == after.lease_token, "one owner"
            assert before.attempt == after.attempt
            return
        assert after.state in FOLLOWERS[before.state], (before.state, after.state)
        if before.state in ENDED:
            assert after.id in self.revived, "what ended goes on only when an operator retries it"
        if before.state == BLOCKED and after.state not in ENDED:
            self._all_met(after)
        if after.state == RUNNING:
            assert after.attempt == before.attempt + 1, "attempts have no gap"
            assert after.lease_token not in self.tokens, "a token is used once"
            assert cancellation_of(after) is None, "no claim after a cancel"
            assert not self.name_held(after.name), "what is held is handed to nobody"
            assert not self.agent_held(after.agent_id or ""), "who is held is given nothing"
            self.tokens.add(after.lease_token or 0)
        else:
            assert after.attempt == before.attempt

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
        tasks = driver.tasks
        assert dict(tasks) == self.tasks
        self._counts(driver)
        self._attempts(driver)
        for (kind, key), image in self.images.items():
            if kind == log.AGENT:
                assert driver.agents[key] == image  # type: ignore[index]
            elif kind == log.SCHEDULE:
                assert driver.schedules[key] == image  # type: ignore[index]
            elif kind == log.HOLD:
                assert driver.holds[key] == image  # type: ignore[index]
        assert len(driver.holds) == sum(kind == log.HOLD for kind, _ in self.images)
        for task in tasks.values():
            if task.state == BLOCKED:
                unmet = [e for e, met in driver.edges.items() if e[0] == task.id and not met]
                assert len(unmet) == task.pending, "what it waits for"
                assert any(self.tasks[d].state not in ENDED for _, d in unmet), "waits for nothing"

    def _counts(self, driver: Driver) -> None:
        counts: dict[Key, Counter[tuple[str, int]]] = {}
        held: Counter[Key] = Counter()
        for task in self.tasks.values():
            key = (task.namespace, task.queue)
            counts.setdefault(key, Counter())[task.name, task.state] += 1
            if task.state == RUNNING:
                held[task.namespace, task.agent_id or ""] += 1
        queues = driver.queues
        for key, queue in queues.items():
            stored = {(name, state): n for name, state, n in queue.counts}
            assert stored == dict(counts.get(key, Counter())), "counters are table counts"
        assert counts.keys() <= queues.keys()
        for key, agent in driver.agents.items():
            assert agent.running == held[key]

    def _attempts(self, driver: Driver) -> None:
        numbers: dict[int, list[int]] = {}
        for task_id, number in sorted(driver.attempts):
            numbers.setdefault(task_id, []).append(number)
        for task in self.tasks.values():
            ended = task.attempt - (task.state == RUNNING)
            assert numbers.get(task.id, []) == list(range(1, ended + 1)), "attempts on record"

    def ready(self, queue: str) -> list[Task]:
        """The line of a queue."""
        found = [t for t in self.tasks.values() if t.state == READY and t.queue == queue]
        return sorted(found, key=lambda t: (-t.priority, t.run_at, t.id))
