"""What the rules of the state machine share: the engine under test, the group that gathers, and what it is held to."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.flow.limits import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    REJECT,
    WAIT,
    Concurrency,
    QueueLimits,
    Rate,
)
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import Reason

from . import make
from .bench import Driver
from .checker import LABELS, Checker
from .make import NOW, SECOND

tasks: Bundle[int] = Bundle("tasks")
leases: Bundle[tuple[int, int]] = Bundle("leases")

QUEUES = ("default", "other")
TURNED_AWAY = (Reason.DROPPED, Reason.OVERFLOW)
WHO = c.Audit("ann", "Act", "because")
OVERFLOWS = st.sampled_from([WAIT, WAIT, WAIT, REJECT, CANCEL_OLDEST, CANCEL_NEWEST])
LIMITS = st.builds(
    QueueLimits,
    concurrency=st.builds(Concurrency, st.sampled_from([0, 0, 1, 3]), OVERFLOWS),
    concurrency_per_key=st.builds(Concurrency, st.sampled_from([0, 0, 1, 2]), OVERFLOWS),
    rate=st.sampled_from([Rate(), Rate(), Rate(2, 3 * SECOND), Rate(3, SECOND, 5)]),
    rate_per_key=st.sampled_from([Rate(), Rate(), Rate(1, 2 * SECOND), Rate(2, 7 * SECOND, 1)]),
    ageing=st.sampled_from([0, SECOND]),
    weights=st.sampled_from([(), (("a", 3),)]),
)


class Machine(RuleBasedStateMachine):
    """An engine and a checker; `make_driver` says what carries the groups out."""

    def make_driver(self) -> Driver:
        """Make an empty engine."""
        raise NotImplementedError

    @initialize(limits=st.none() | LIMITS)
    def begin(self, limits: QueueLimits | None) -> None:
        """Start empty, with one of the agents known, and perhaps with limits of the queue that most is done in."""
        self.requests = count(1)
        self.driver = self.make_driver()
        self.checker = Checker()
        self.now = NOW
        self.group: list[c.Command] = []
        self.keys: dict[str, int] = {}
        self.periods: dict[str, tuple[int, int, int]] = {}
        """Of keys that mean something for a period: the last task, how many passed, and when the period ends."""
        self.run([c.PutAgents([make.agent("a1")])])
        if limits is not None:
            self.run([c.UpdateQueue("default", "default", None, "", None, limits)])

    def run(self, commands: list[c.Command], claims: list[c.Claim] | None = None) -> Any:
        """Carry out a group and hold what became of it against the rules."""
        group, self.group = [*self.group, *commands], []
        self.checker.begin_group(self.now, self.driver, group)
        line = make.waiting(claims or [])
        did = self.driver.run(group, line, self.now)
        for command, reply in zip(group, did.replies, strict=True):
            self.check_reply(command, reply)
        self.checker.follow(did.changes)
        self.checker.compare(self.driver)
        self.checker.check_hand_off(self.driver, claims or [], did.reopen)
        for command, reply in zip(group, did.replies, strict=True):
            if isinstance(command, c.Submit) and not isinstance(reply, Exception):
                for spec, item in zip(command.specs, reply, strict=True):
                    self.check_new(spec, item)
        return did

    def check_reply(self, command: c.Command, reply: Any) -> None:
        """What a reply promises, before it is known what the log says."""
        checker = self.checker
        if isinstance(command, c.Submit):
            if any(spec.policy == "broken" for spec in command.specs):
                assert isinstance(reply, ValueError)
                return
            for spec, item in zip(command.specs, reply, strict=True):
                self.check_submitted(spec, item, reply)
        elif isinstance(command, c.Rerun) and not isinstance(reply, Exception):
            edges = self.driver.edges
            for item in reply:
                for copy in (item.task_id, *item.dependents):
                    unmet = {b for (a, b), met in edges.items() if a == copy and not met}
                    checker.depends_on.setdefault(copy, tuple(unmet))
        elif isinstance(command, c.PutSchedule):
            assert (reply[0].next_at is None) == bool(reply[0].paused)
        else:
            assert not isinstance(reply, Exception), reply
        if isinstance(command, c.UpdateQueue) and command.limits is not None:
            checker.hand_offs.edit(command.queue, command.limits, self.now)
        elif isinstance(command, c.Report):
            for item, result in zip(command.items, reply, strict=True):
                if result.refusal is None:
                    checker.reported.setdefault((item.task_id, item.token), item.outcome)

    def check_submitted(self, spec: c.Spec, item: c.Submitted, siblings: Any) -> None:
        """One task for one key, and dependencies as they were asked for."""
        if item.refusal is not None:
            return
        if spec.idempotency_key is not None and spec.key_ttl is None:
            held = self.keys.setdefault(spec.idempotency_key, item.task_id)
            assert held == item.task_id or held not in self.checker.tasks
            self.keys[spec.idempotency_key] = item.task_id
        if not item.existed:
            found = {siblings[-i - 1].task_id if i < 0 else i for i in spec.depends_on}
            self.checker.depends_on.setdefault(item.task_id, tuple(found))
        if spec.key_ttl is not None:
            self.check_period(spec.name, item, 1, spec.key_ttl)
        elif isinstance(spec.admission, c.Throttle):
            self.check_period(spec.name, item, spec.admission.limit, spec.admission.period)
        elif isinstance(spec.admission, c.Unique) and spec.admission.period:
            task = self.driver.tasks[item.task_id]
            # One that made room for another later has a cancel, and had the key.
            dropped = task.reason in TURNED_AWAY and task.cancel is None
            if item.existed or not dropped:
                self.check_period(spec.name, item, 1, spec.admission.period)

    def check_period(self, name: str, item: c.Submitted, most: int, period: int) -> None:
        """In a period, which begins with the first that comes after the one before, so many make a task."""
        last, passed, until = self.periods.get(name, (0, 0, 0))
        if until <= self.now:
            passed, until = 0, self.now + period
        assert item.existed == (passed >= most), (name, passed, item)
        assert not item.existed or item.task_id == last
        self.periods[name] = (item.task_id, passed + (not item.existed), until)

    def check_new(self, spec: c.Spec, item: c.Submitted) -> None:
        """A new task does not start earlier than it was asked to."""
        first = self.checker.born.get(item.task_id)
        if first is not None and item.refusal is None and not item.existed:
            assert first.run_at >= (spec.run_at or 0)
            assert first.run_at >= self.now + spec.delay or spec.admission is not None

    def limits(self, queue: str) -> QueueLimits:
        """The limits of a queue as they were set."""
        return self.checker.hand_offs.limits(queue)

    def alive(self, name: str) -> list[Task]:
        """Tasks of a name that have not ended."""
        return [t for t in self.checker.tasks.values() if t.name == name and t.end_time is None]


def claim_of(agent_id: str, profile: c.Profile, size: int, place: int) -> c.Claim:
    """A claim of one of the agents, with its labels and version."""
    claim = make.claim(agent_id, size, profile, place, labels=LABELS[agent_id])
    claim.agent_version = f"{agent_id}@1"
    return claim
