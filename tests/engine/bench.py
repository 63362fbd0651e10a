"""One engine with its rows under a test's hands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import (
    Claim,
    Command,
    Fail,
    Prune,
    Release,
    Spec,
    StopCancelled,
    Submitted,
    Succeed,
    Sweep,
)
from quarterdeck_server.engine.flow.claim import NOBODY, Waiting
from quarterdeck_server.engine.flow.meters import Meter, MeterKey
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
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.world import HoldKey

from . import make
from .make import NOW, SECOND


class Did(Protocol):
    """What a group did."""

    replies: list[Any]
    changes: list[Change]
    claims: list[Claim]

    @property
    def reopen(self) -> Sequence[tuple[int, tuple[str, str]]]: ...


class Driver(Protocol):
    """What carries out groups, and what is in its tables."""

    def run(self, commands: Sequence[Command], waiting: Waiting, now: int) -> Did: ...

    def restart(self) -> None: ...

    @property
    def tasks(self) -> Mapping[int, Task]: ...

    @property
    def attempts(self) -> Mapping[tuple[int, int], Attempt]: ...

    @property
    def details(self) -> Mapping[int, Payload]: ...

    @property
    def edges(self) -> Mapping[tuple[int, int], bool]: ...

    @property
    def keys(self) -> Mapping[tuple[str, str], tuple[int, bytes, int | None]]: ...

    @property
    def admissions(self) -> Mapping[AdmissionKey, Admission]: ...

    @property
    def inputs(self) -> Mapping[int, Payload]: ...

    @property
    def queues(self) -> Mapping[tuple[str, str], Queue]: ...

    @property
    def agents(self) -> Mapping[tuple[str, str], Agent]: ...

    @property
    def schedules(self) -> Mapping[tuple[str, str], Schedule]: ...

    @property
    def holds(self) -> Mapping[HoldKey, Hold]: ...

    @property
    def instances(self) -> Mapping[tuple[str, str], Instance]: ...

    @property
    def pools(self) -> Mapping[tuple[str, str], PoolStatus]: ...

    @property
    def audit(self) -> Mapping[tuple[str, int], AuditEntry]: ...

    @property
    def meters(self) -> Mapping[MeterKey, Meter]: ...

    @property
    def results(self) -> Mapping[int, Payload]: ...

    @property
    def logs(self) -> Sequence[LogRow]: ...

    @property
    def changes(self) -> Sequence[Change]: ...


class Bench:
    """A driver and a clock."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.now = NOW

    def group(self, *commands: Command, claims: Sequence[Claim] = ()) -> list[Any]:
        """Carry out commands in one group; raise what one raised."""
        line = make.waiting(claims) if claims else NOBODY
        replies = self.driver.run(commands, line, self.now).replies
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def do(self, command: Command) -> Any:
        """Carry out one command in a group of its own."""
        return self.group(command)[0]

    def prune(self) -> None:
        """Remove whatever may be removed: tasks and agents of the past, keys that are free."""
        self.do(Prune(self.now + 1, self.now + 1, 0, 1_000_000))

    def submit(self, *specs: Spec) -> list[int]:
        """Submit tasks that must be accepted."""
        replies: list[Submitted] = self.do(make.submit(*specs))
        assert [reply.refusal for reply in replies] == [None] * len(replies)
        return [reply.task_id for reply in replies]

    def one(self, spec: Spec | None = None) -> int:
        """Submit one task."""
        return self.submit(spec or make.spec())[0]

    def claim(self, agent_id: str = "a1", max_tasks: int = 1) -> list[Task]:
        """Claim what is ready."""
        claim = make.claim(agent_id, max_tasks)
        self.group(claims=[claim])
        return claim.taken

    def running(self, spec: Spec | None = None) -> Task:
        """A task under a lease."""
        task_id = self.one(spec)
        (task,) = self.claim()
        assert task.id == task_id
        return task

    def end(self, task: Task, outcome: Succeed | Fail | StopCancelled | Release) -> Task:
        """Report an attempt, which must be accepted; return the task as it is then."""
        (result,) = self.do(make.report(task.id, task.lease_token, outcome))
        assert result.refusal is None
        return self.task(task.id)

    def pass_time(self, seconds: float) -> None:
        """Let time pass and do what it brings."""
        self.now += round(seconds * SECOND)
        self.do(Sweep())

    def task(self, task_id: int) -> Task:
        """A task's row."""
        return self.driver.tasks[task_id]
