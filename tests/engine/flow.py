"""What tests of the hand-off ask for: limits, keys, and claims that wait from group to group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from quarterdeck_server.engine.commands import Claim, Command, UpdateQueue
from quarterdeck_server.engine.flow.affinity import admits
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import NO_LIMITS, QueueLimits, limits_of
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import READY, RUNNING

from . import make
from .bench import Bench, Did

KEY = ("default", "default")


def limit_queue(bench: Bench, limits: QueueLimits) -> None:
    """Set the limits of the default queue."""
    bench.do(set_limits(limits))


def set_limits(limits: QueueLimits) -> UpdateQueue:
    """The command that sets the limits of the default queue."""
    return UpdateQueue("default", "default", None, "", None, limits)


def key_of(task: Task) -> str:
    """A task's group key."""
    return lane_of(task.lane).group_key


def keys_of(tasks: Iterable[Task]) -> list[str]:
    """The group keys of tasks."""
    return [key_of(task) for task in tasks]


class Flow:
    """Claims that wait in line, and groups that serve them as a committer lets them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.line: list[Claim] = []
        self.reopen: dict[tuple[str, str], int] = {}
        self.running_at_most = 0
        self._place = 0

    def park(self, *claims: Claim) -> None:
        """Let claims wait; the next group looks at their queues."""
        for claim in claims:
            self._place += 1
            claim.place = self._place
            self.line.append(claim)
            for name in claim.profile.queues:
                self.reopen[claim.profile.namespace, name] = 0

    def group(self, *commands: Command) -> Did:
        """Carry out a group; whoever was given something waits no longer."""
        now = self.bench.now
        due = [key for key, at in self.reopen.items() if at <= now]
        for key in due:
            del self.reopen[key]
        waiting = replace(make.waiting(self.line), candidates=due)
        did = self.bench.driver.run(commands, waiting, now)
        for reply in did.replies:
            if isinstance(reply, Exception):
                raise reply
        for at, key in did.reopen:
            self.reopen[key] = min(at, self.reopen.get(key, at))
        self.line = [claim for claim in self.line if not claim.taken]
        return did

    def hand_out(self, *claims: Claim) -> list[Task]:
        """Let claims wait for one group; return what they were given."""
        self.park(*claims)
        self.group()
        self.line = [claim for claim in self.line if claim not in claims]
        return [task for claim in claims for task in claim.taken]

    @property
    def ready(self) -> list[Task]:
        """What is ready."""
        return [task for task in self.bench.driver.tasks.values() if task.state == READY]

    @property
    def running(self) -> list[Task]:
        """What runs."""
        return [task for task in self.bench.driver.tasks.values() if task.state == RUNNING]

    @property
    def limits(self) -> QueueLimits:
        """The limits of the default queue."""
        queue = self.bench.driver.queues.get(KEY)
        return NO_LIMITS if queue is None else limits_of(queue.limits)

    def unserved(self) -> list[tuple[Task, Claim]]:
        """Ready tasks beside claims that might have them, where no limit of concurrency is in the way."""
        running = self.running
        queue = self.bench.driver.queues.get(KEY)
        limits = self.limits
        if queue is None or queue.paused or not _room(limits.concurrency.limit, running):
            return []
        return [
            (task, claim)
            for task in self.ready
            if _room(limits.concurrency_per_key.limit, _of_key(running, key_of(task)))
            for claim in self.line
            if _matches(task, claim)
        ]


def _of_key(tasks: Sequence[Task], key: str) -> list[Task]:
    return [task for task in tasks if key_of(task) == key]


def _room(limit: int, running: Sequence[Task]) -> bool:
    return not limit or len(running) < limit


def _matches(task: Task, claim: Claim) -> bool:
    names = claim.profile.names
    return (
        task.queue in claim.profile.queues
        and (names is None or task.name in names)
        and admits(lane_of(task.lane), claim.labels, claim.agent_id)
    )
