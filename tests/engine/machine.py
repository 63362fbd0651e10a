"""A state machine that does to an engine whatever clients, agents, operators and time may do, in groups."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import (
    ACTIVE,
    AFTER_EXISTING,
    PERIOD,
    REJECT,
    REPLACE_PENDING,
    RETURN_EXISTING,
)
from quarterdeck_server.engine.holds import AGENT, AGENT_VERSION, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.model import Payload, Progress, Task
from quarterdeck_server.engine.namespaces import QuarantineRules
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, ENDED, RUNNING, AgentState

from . import make
from .bench import Driver
from .checker import Checker
from .make import NOW, SECOND

QUEUES = ("default", "other")
PROFILES = (
    make.DEFAULT,
    c.Profile("default", QUEUES, None),
    c.Profile("default", QUEUES, frozenset({"a"})),
)
POLICIES = (
    None,
    Policy(max_attempts=1),
    Policy(max_attempts=2, all_ended=True, initial_backoff=5 * SECOND),
    Policy(schedule_to_start=20 * SECOND, task_timeout=60 * SECOND),
    Policy(attempt_timeout=10 * SECOND, stall_timeout=4 * SECOND, max_crashes=1),
    Policy(non_retryable_types=("Fatal",), cancel_grace=3 * SECOND),
)
WHO = c.Audit("ann", "Act", "because")
OUTCOMES = st.sampled_from(
    [
        make.succeed(),
        make.succeed(b"result"),
        make.fail(),
        make.fail("Fatal"),
        make.fail(final=True),
        make.fail(retry_delay=0),
        c.StopCancelled(""),
        c.Release(""),
    ]
)
HOLDS = [
    (NAMESPACE, ""),
    (TASK_NAME, "a"),
    (TASK_NAME, "b"),
    (AGENT, "a1"),
    (AGENT_VERSION, "a2@1"),
]
CHANGES = (
    c.TaskChange(priority=4, labels=(("a", "b"),)),
    c.TaskChange(queue="other", run_at=NOW),
    c.TaskChange(queue="default", delay=3 * SECOND),
    c.TaskChange(retry=Policy(max_attempts=1, delays=(2 * SECOND,), jitter=0.0)),
    c.TaskChange(retry=Policy(max_attempts=5)),
    c.TaskChange(timeouts=Policy(schedule_to_start=4 * SECOND, stall_timeout=6 * SECOND)),
    c.TaskChange(timeouts=Policy(attempt_timeout=5 * SECOND, task_timeout=9 * SECOND)),
    c.TaskChange(timeouts=Policy(), delay=SECOND),
)
ADMITTED = (
    *(
        make.spec(name="unique", admission=c.Unique("k", ACTIVE, policy, 0))
        for policy in (REJECT, RETURN_EXISTING, REPLACE_PENDING, AFTER_EXISTING, AFTER_EXISTING)
    ),
    make.spec(name="once", admission=c.Unique("k", PERIOD, RETURN_EXISTING, 9 * SECOND)),
    make.spec(name="late", data=b"1", admission=c.Debounce("k", 3 * SECOND, 5 * SECOND)),
    make.spec(name="late", data=b"y" * 20_000, admission=c.Debounce("k", 3 * SECOND, None)),
    make.spec(name="few", admission=c.Throttle("k", 3, 9 * SECOND)),
    make.spec(name="kept", key="ttl", key_ttl=9 * SECOND),
)
AGENTS = st.sampled_from(["a1", "a2"])


class EngineMachine(RuleBasedStateMachine):
    """The rules; `make_driver` says what carries them out."""

    tasks: Bundle[int] = Bundle("tasks")
    leases: Bundle[tuple[int, int]] = Bundle("leases")

    def make_driver(self) -> Driver:
        """Make an empty engine."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        """Start empty, with one of two agents known."""
        self.ids, self.tokens, self.requests = count(1), count(1001), count(1)
        self.driver = self.make_driver()
        self.checker = Checker()
        self.now = NOW
        self.group: list[c.Command] = []
        self.keys: dict[str, int] = {}
        self.run([c.PutAgents([make.agent("a1")])])

    def run(self, commands: list[c.Command], claims: list[c.Claim] | None = None) -> Any:
        """Carry out a group and hold what became of it against the rules."""
        group, self.group = [*self.group, *commands], []
        self.checker.revived = {i for x in group if isinstance(x, c.Retry) for i in x.task_ids}
        line = make.waiting(claims or [])
        did = self.driver.run(group, line, self.now)
        for command, reply in zip(group, did.replies, strict=True):
            self.check_reply(command, reply)
        self.checker.follow(did.changes)
        self.checker.compare(self.driver)
        return did

    def check_reply(self, command: c.Command, reply: Any) -> None:
        """What a reply promises."""
        if isinstance(command, c.Submit):
            if any(spec.policy == "broken" for spec in command.specs):
                assert isinstance(reply, ValueError)
                return
            for spec, item in zip(command.specs, reply, strict=True):
                self.check_submitted(spec, item, reply)
        elif isinstance(command, c.Rerun) and not isinstance(reply, Exception):
            for item in reply:
                for copy in (item.task_id, *item.dependents):
                    unmet = {
                        b for (a, b), met in self.driver.edges.items() if a == copy and not met
                    }
                    self.checker.depends_on.setdefault(copy, tuple(unmet))
        elif isinstance(command, c.PutSchedule):
            assert (reply[0].next_at is None) == bool(reply[0].paused)
        else:
            assert not isinstance(reply, Exception), reply

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

    @rule(
        target=tasks,
        names=st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
        queue=st.sampled_from(QUEUES),
        priority=st.integers(4, 6),
        delay=st.sampled_from([0, 0, 0, 3 * SECOND]),
        policy=st.sampled_from(POLICIES),
        data=st.sampled_from([None, b"x", b"y" * 20_000]),
    )
    def submit(
        self,
        names: list[str],
        queue: str,
        priority: int,
        delay: int,
        policy: Policy | None,
        data: bytes | None,
    ) -> Any:
        """Submit some tasks now."""
        specs = [
            make.spec(
                queue=queue, name=name, priority=priority, delay=delay, policy=policy, data=data
            )
            for name in names
        ]
        did = self.run([make.submit(*specs)])
        return multiple(*(item.task_id for item in did.replies[-1]))

    @rule(
        target=tasks,
        parents=st.lists(tasks, min_size=1, max_size=3),
        policy=st.sampled_from(POLICIES[:3]),
        chained=st.booleans(),
    )
    def submit_dependents(self, parents: list[int], policy: Policy | None, chained: bool) -> Any:
        """Submit a task that waits, and perhaps one that waits for that."""
        specs = [make.spec(policy=policy, depends_on=parents, parent_id=parents[0])]
        if chained:
            specs.append(make.spec(depends_on=(-1, *parents)))
        did = self.run([make.submit(*specs)])
        return multiple(*(item.task_id for item in did.replies[-1] if item.task_id))

    @rule(key=st.sampled_from(["k1", "k2"]), content=st.sampled_from([b"1", b"2"]))
    def submit_with_key(self, key: str, content: bytes) -> None:
        """Submit a task that may exist, and one that depends on it."""
        pair = (make.spec(key=key, content=content), make.spec(depends_on=(-1,)))
        self.group.append(make.submit(*pair))

    @rule()
    def submit_twice(self) -> None:
        """Repeat a request."""
        request = make.request(f"r{next(self.requests)}")
        once = make.submit(request=request)
        did = self.run([once, once])
        again = self.run([once])
        assert did.replies[-1] == did.replies[-2] == again.replies[-1]

    @rule()
    def submit_broken(self) -> None:
        """A command that fails unexpectedly must fail alone."""
        self.group.append(make.submit(make.spec()._replace(policy="broken")))

    @rule(
        target=leases,
        agents=st.lists(AGENTS, min_size=1, max_size=3),
        profile=st.sampled_from(PROFILES),
        size=st.integers(1, 3),
    )
    def claim(self, agents: list[str], profile: c.Profile, size: int) -> Any:
        """Let claims wait, and check that nobody waits beside work that is his."""
        claims = [make.claim(a, size, profile, place) for place, a in enumerate(agents)]
        for one in claims:
            one.agent_version = f"{one.agent_id}@1"
        self.run([c.PutAgents([make.agent(a) for a in dict.fromkeys(agents)])], claims)
        taken = [task for one in claims for task in one.taken]
        for one in claims:
            if len(one.taken) < size and not self.checker.agent_held(one.agent_id):
                self.check_nothing_left(profile)
        assert taken == sorted(taken, key=lambda t: (-t.priority, t.run_at, t.id))
        return multiple(*((task.id, task.lease_token or 0) for task in taken))

    def check_nothing_left(self, profile: c.Profile) -> None:
        """A claim that was not filled has left nothing that it could have had."""
        for queue in profile.queues:
            stored = self.driver.queues.get(("default", queue))
            if stored is not None and not stored.paused:
                names = {task.name for task in self.checker.ready(queue)}
                names = {name for name in names if not self.checker.name_held(name)}
                assert not (names if profile.names is None else names & profile.names)

    @rule(lease=leases, outcome=OUTCOMES, now=st.booleans())
    def report(self, lease: tuple[int, int], outcome: Any, now: bool) -> None:
        """Report an attempt: the running one, or one that ended long ago."""
        command = make.report(*lease, outcome)
        if not now:
            self.group.append(command)
            return
        if self.group:
            self.run([])
        before = self.checker.tasks.get(lease[0])
        ((result,),) = self.run([command]).replies
        self.check_report(lease[1], before, result)

    def check_report(self, token: int, before: Task | None, result: c.ItemResult) -> None:
        """A report is accepted with the lease, and without it changes nothing but a counter."""
        if before is None:
            assert result.refusal is not None and result.refusal.reason == "TASK_NOT_FOUND"
            return
        after = self.checker.tasks[before.id]
        if before.lease_token == token:
            assert result.refusal is None and after.state == result.state != RUNNING
            assert before.cancel is None or after.state in ENDED
        else:
            same = before._replace(late_reports=after.late_reports, revision=after.revision)
            assert after == same, "a stale report changes nothing"
            late = after.late_reports > before.late_reports
            assert (result.refusal is not None) or not late

    @rule(lease=leases, delivered=st.booleans(), done=st.floats(0, 1))
    def beat(self, lease: tuple[int, int], delivered: bool, done: float) -> None:
        """Say that an attempt goes on, and perhaps that it heard of its cancel."""
        progress = Progress("on it", done, 1.0, self.now)
        self.group.append(
            c.RecordBeats(
                [c.Beat(*lease, progress, delivered=delivered, acknowledged=not delivered)]
            )
        )

    @rule(lease=leases, data=st.sampled_from([b"", b"x", b"y" * 20_000]), late=st.booleans())
    def save(self, lease: tuple[int, int], data: bytes, late: bool) -> None:
        """Save details, or come too late."""
        details = None if late else Payload("t", data)
        self.group.append(c.RecordBeats([c.Beat(*lease, details=details, late=late)]))

    @rule(lease=leases, told=st.booleans(), stands=st.booleans())
    def stand_still(self, lease: tuple[int, int], told: bool, stands: bool) -> None:
        """Say that a pause was heard of, and perhaps that the handler stands still."""
        beat = c.Beat(*lease, pause_delivered=told, pause_acknowledged=stands)
        self.group.append(c.RecordBeats([beat]))

    @rule(task_id=tasks)
    def pause_task(self, task_id: int) -> None:
        """Pause a task, whatever the state; the answer says whether it was possible."""
        command = c.PauseTasks("default", [task_id], "look", "tester")
        (*_, (result,)) = self.run([command]).replies
        task = self.checker.tasks.get(task_id)
        possible = task is not None and task.state == RUNNING and task.cancel is None
        assert possible == (result.refusal is None)
        assert not possible or (task is not None and task.pause is not None)

    @rule(task_id=tasks)
    def resume_task(self, task_id: int) -> None:
        """Let a task go on, whatever the state."""
        self.run([c.ResumeTasks("default", [task_id])])
        task = self.checker.tasks.get(task_id)
        assert task is None or task.pause is None

    @rule(lease=leases, offset=st.integers(0, 3))
    def append_logs(self, lease: tuple[int, int], offset: int) -> None:
        """Send lines, some of them again."""
        lines = [c.Line(None, "info", "log", str(offset + i)) for i in range(2)]
        self.group.append(c.AppendLogs("default", [c.LogItem(*lease, offset, lines)]))

    @rule(lease=leases)
    def lose(self, lease: tuple[int, int]) -> None:
        """Nobody renewed a lease."""
        self.group.append(c.Expire([lease]))

    @rule(task_id=tasks, keep=st.booleans())
    def cancel(self, task_id: int, keep: bool) -> None:
        """Cancel; the answer says which of cancel and completion won."""
        (*_, (result,)) = self.run([make.cancel(task_id, keep_children=keep)]).replies
        task = self.checker.tasks.get(task_id)
        if task is None:
            assert result.refusal.reason == "TASK_NOT_FOUND"
        elif result.refusal is not None:
            assert result.refusal.reason == "WRONG_STATE" and task.state in ENDED - {CANCELLED}
        elif task.state not in ENDED:
            assert task.state == RUNNING and task.cancel is not None
        elif task.state != CANCELLED:
            assert not keep, (
                "a completion that won is not answered with OK, unless for its children"
            )

    @rule(pages=st.lists(st.lists(tasks, min_size=1, max_size=3), max_size=3))
    def act(self, pages: list[list[int]]) -> None:
        """Cancel by filter: the pages of an act go on with its entry in the audit log."""
        if self.group:
            self.run([])
        who = WHO._replace(matched=sum(map(len, pages)))
        entry_id = self.run([c.BeginAct("default", who)]).replies[-1]
        who = who._replace(entry_id=entry_id)
        cancels = [c.Cancel("default", page, "why", "tester", audit=who) for page in pages]
        replies = self.run(list(cancels)).replies
        done = sum(result.refusal is None for page in replies for result in page)
        assert self.driver.audit["default", entry_id].done == done

    @rule(task_id=tasks)
    def retry(self, task_id: int) -> None:
        """Retry, whatever the state."""
        self.group.append(make.retry(task_id))

    @rule(task_ids=st.lists(tasks, min_size=1, max_size=2), change=st.sampled_from(CHANGES))
    def update(self, task_ids: list[int], change: c.TaskChange) -> None:
        """Change tasks, whatever their state."""
        self.group.append(c.UpdateTasks("default", task_ids, change))

    @rule(
        target=tasks,
        task_ids=st.lists(tasks, min_size=1, max_size=2),
        dependents=st.booleans(),
        data=st.sampled_from([None, b"edited"]),
    )
    def rerun(self, task_ids: list[int], dependents: bool, data: bytes | None) -> Any:
        """Run tasks again, whatever their state."""
        edited = None if data is None else Payload("text/plain", data)
        did = self.run([c.Rerun("default", task_ids, edited, dependents)])
        results = {item.task_id: item for item in did.replies[-1] if item.task_id}
        for item in results.values():
            copies = [self.checker.tasks[i] for i in (item.task_id, *item.dependents)]
            assert all(copy.attempt == 0 and copy.origin_id is not None for copy in copies)
        return multiple(*results)

    @rule(spec=st.sampled_from(ADMITTED), now=st.booleans())
    def submit_admitted(self, spec: c.Spec, now: bool) -> None:
        """Submit a task with a key that others may have."""
        self.group.append(make.submit(spec, spec))
        if now:
            self.run([])

    @rule(place=st.integers(0, 3), how=st.sampled_from(["cancel", "update"]))
    def disturb_unique(self, place: int, how: str) -> None:
        """Cancel or change a task with a unique key."""
        alive = [t.id for t in self.uniques() if t.state not in ENDED]
        if alive:
            task_id = alive[place % len(alive)]
            change = c.UpdateTasks("default", [task_id], c.TaskChange(priority=5, delay=0))
            self.group.append(make.cancel(task_id) if how == "cancel" else change)

    def uniques(self) -> list[Task]:
        """Tasks with the unique key, which nobody retries."""
        return [task for task in self.checker.tasks.values() if task.name == "unique"]

    @invariant()
    def one_task_has_the_unique_key(self) -> None:
        """Of those that wait for nobody, and who has it is one that has not ended, if there is one."""
        if not hasattr(self, "checker"):
            return
        alive = [task for task in self.uniques() if task.state not in ENDED]
        assert sum(task.state != BLOCKED for task in alive) <= 1
        assert not alive or any(task.state != BLOCKED for task in alive), "the chain goes on"
        if alive:
            rows = [r for k, r in self.driver.admissions.items() if k.name == "unique"]
            assert [row.task_id in {task.id for task in alive} for row in rows] == [True]

    @rule(seconds=st.sampled_from([0.5, 2, 5, 30, 90]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass; after the sweep nothing is overdue."""
        self.run([])
        self.now += round(seconds * SECOND)
        reply = self.run([c.Sweep()]).replies[-1]
        assert reply is None or reply > self.now
        assert all(t.wake_at is None or t.wake_at > self.now for t in self.checker.tasks.values())

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        """Pause or resume a queue."""
        self.group.append(c.UpdateQueue("default", queue, paused, "", WHO))

    @rule(what=st.sampled_from(HOLDS), held=st.booleans())
    def hold(self, what: tuple[int, str], held: bool) -> None:
        """Hold something, or release it."""
        put = c.PutHold("default", *what, "tester", "why")
        self.group.append(put if held else c.ReleaseHold("default", *what))

    @rule(limits=st.tuples(*[st.sampled_from([0, 0, 1, 2])] * 3))
    def quarantine(self, limits: tuple[int, int, int]) -> None:
        """Set when something is put in quarantine, which both engines must do alike."""
        self.group.append(c.UpdateNamespace("default", quarantine=QuarantineRules(*limits)))

    @rule(schedule=st.sampled_from(["s1", "s2"]), seconds=st.integers(2, 9))
    def schedule(self, schedule: str, seconds: int) -> None:
        """Create or change a schedule."""
        self.group.append(c.PutSchedule(make.interval(schedule, seconds)))

    @rule(schedule=st.sampled_from(["s1", "s2"]), act=st.sampled_from("pdt"))
    def act_on_schedule(self, schedule: str, act: str) -> None:
        """Pause, delete or trigger a schedule that may exist."""
        commands: dict[str, c.Command] = {
            "p": c.PauseSchedule("default", schedule, True),
            "d": c.DeleteSchedule("default", schedule),
            "t": c.TriggerSchedule("default", schedule),
        }
        self.group.append(commands[act])

    @rule(agent_id=AGENTS, state=st.sampled_from(list(AgentState)))
    def agent(self, agent_id: str, state: AgentState) -> None:
        """An agent comes, or its state changes."""
        self.group.append(c.PutAgents([make.agent(agent_id)]))
        self.group.append(c.SetAgentState("default", [agent_id], int(state)))

    @rule(age=st.sampled_from([0, 10]))
    def prune(self, age: int) -> None:
        """Remove what ended a while ago."""
        before = self.now - age * SECOND
        self.group.append(c.Prune(before, before, 0, 1_000_000, 500, before))

    @precondition(lambda self: len(self.group) > 3)
    @rule()
    def flush(self) -> None:
        """Carry out what was gathered."""
        self.run([])

    @invariant()
    def instants_are_unique(self) -> None:
        """A schedule's instant has one task."""
        fired = [
            (t.schedule_id, t.schedule_time) for t in self.checker.tasks.values() if t.schedule_id
        ]
        assert len(fired) == len(set(fired))
