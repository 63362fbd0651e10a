"""The rules of the state machine for what operators do."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.flow.holds import AGENT, AGENT_VERSION, NAMESPACE, TASK_NAME
from quarterdeck_server.engine.flow.limits import QueueLimits
from quarterdeck_server.engine.model import Payload
from quarterdeck_server.engine.namespaces import QuarantineRules
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.pools import Instance, InstanceState, PoolStatus
from quarterdeck_server.engine.states import CANCELLED, ENDED, RUNNING

from . import make
from .machine_base import LIMITS, QUEUES, WHO, Machine, tasks
from .make import NOW, SECOND

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


class Operators(Machine):
    """What operators do."""

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
        """Cancel by filter: the pages of an act go on with its entry in the audit log.

        It counts the named tasks that were asked by it, or of whose children some were.
        """
        if self.group:
            self.run([])
        who = WHO._replace(matched=sum(map(len, pages)))
        entry_id = self.run([c.BeginAct("default", who)]).replies[-1]
        who = who._replace(entry_id=entry_id)
        cancels = [c.Cancel("default", page, "why", "tester", audit=who) for page in pages]
        done = self._left_to_cancel([task_id for page in pages for task_id in page])
        self.run(list(cancels))
        assert self.driver.audit["default", entry_id].done == done

    def _left_to_cancel(self, task_ids: list[int]) -> int:
        """For how many of the tasks, one after the other, there is something to cancel, be it below them."""
        rows = self.driver.tasks
        left = {i for i, task in rows.items() if task.state not in ENDED and task.cancel is None}
        count = 0
        for task_id in task_ids:
            tree = {task_id} & rows.keys()
            while below := {i for i, task in rows.items() if task.parent_id in tree} - tree:
                tree |= below
            count += bool(tree & left)
            left -= tree
        return count

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

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans(), drops=st.sampled_from([None, True]))
    def pause(self, queue: str, paused: bool, drops: bool | None) -> None:
        """Pause or resume a queue."""
        self.group.append(c.UpdateQueue("default", queue, paused, "", WHO, drops=drops and paused))

    @rule(queue=st.sampled_from(["default", *QUEUES]), limits=LIMITS)
    def limit(self, queue: str, limits: QueueLimits) -> None:
        """Set the limits of a queue, whatever runs."""
        self.group.append(c.UpdateQueue("default", queue, None, "", None, limits))

    @rule(what=st.sampled_from(HOLDS), held=st.booleans(), drops=st.booleans())
    def hold(self, what: tuple[int, str], held: bool, drops: bool) -> None:
        """Hold something, or release it."""
        drops = drops and what[0] == TASK_NAME
        put = c.PutHold("default", *what, "tester", "why", drops)
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

    @rule(
        instance_id=st.sampled_from(["i1", "i2"]),
        names=st.sets(st.sampled_from(["p1", "p2"])),
        replace=st.booleans(),
    )
    def pool(self, instance_id: str, names: set[str], replace: bool) -> None:
        """The pools of the settings are others, and one starts something."""
        row = Instance(
            instance_id,
            "default",
            "p1",
            InstanceState.STARTING,
            None,
            None,
            None,
            NOW,
            None,
            None,
            0,
        )
        pools = [
            PoolStatus("default", n, "default", 0, 2, 1, SECOND, "process", 1, None, 0)
            for n in sorted(names)
        ]
        self.group += [c.PutInstance(row), c.PutPools(pools, replace)]

    @rule(age=st.sampled_from([0, 10]))
    def prune(self, age: int) -> None:
        """Remove what ended a while ago."""
        before = self.now - age * SECOND
        self.group.append(c.Prune(before, before, 0, 1_000_000, 500, before))
