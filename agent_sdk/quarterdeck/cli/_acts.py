"""What can be done to tasks, to named ones or to all that match a filter."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quarterdeck.cli import _format
from quarterdeck.cli._call import PATIENCE, CallError, Connection, request_id
from quarterdeck.cli._options import Why
from quarterdeck.v1.task_pb2 import TaskState
from quarterdeck.v1.task_service_pb2 import (
    ActOnTasksRequest,
    CancelResult,
    CancelTasksRequest,
    ListTasksRequest,
    PauseResult,
    PauseTasksRequest,
    ResumeResult,
    ResumeTasksRequest,
    RetryResult,
    RetryTasksRequest,
    TaskUpdate,
    UpdateResult,
    UpdateTasksRequest,
)

Result = CancelResult | RetryResult | UpdateResult | PauseResult | ResumeResult
States = tuple[TaskState.ValueType, ...]

_ACTIVE: States = tuple(
    state for state in TaskState.values() if state and state not in _format.ENDED
)
_RUNNING: States = (TaskState.TASK_STATE_RUNNING,)


_LOOK = 50
"""Tasks looked at in one list: their ids have to fit into a filter."""


class Act(Protocol):
    """Something that is done to many tasks."""

    @property
    def verb(self) -> str:
        """What it is called."""

    @property
    def states(self) -> States:
        """The states in which it can do anything for a task."""

    @property
    def terms(self) -> str:
        """What a task must match besides, as a filter."""

    def send(self, connection: Connection, task_ids: Sequence[str], why: Why) -> Sequence[Result]:
        """Does it to named tasks, and returns a result for every id."""

    def words(
        self, connection: Connection, task_ids: Sequence[str], results: Sequence[Result]
    ) -> Sequence[str]:
        """What became of named tasks: a word for every id, whether it was refused or not."""

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request on all that matches."""


class Plain:
    """An act after which the state of a task says it all."""

    def words(
        self, connection: Connection, task_ids: Sequence[str], results: Sequence[Result]
    ) -> Sequence[str]:
        """The states."""
        return [_format.task_state(result.state).text for result in results]


@dataclass(frozen=True)
class Cancel(Plain):
    """Requests that tasks be cancelled."""

    keep_children: bool = False
    verb: str = "cancel"
    states: States = _ACTIVE
    terms: str = ""

    def send(
        self, connection: Connection, task_ids: Sequence[str], why: Why
    ) -> Sequence[CancelResult]:
        """Sends one batch."""
        request = CancelTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            reason=why.reason,
            actor=why.actor,
            keep_children=self.keep_children,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.CancelTasks, request, patience=PATIENCE).results

    def words(
        self, connection: Connection, task_ids: Sequence[str], results: Sequence[Result]
    ) -> Sequence[str]:
        """A task that runs goes on until its agent has stopped it."""
        running = TaskState.TASK_STATE_RUNNING
        states = super().words(connection, task_ids, results)
        return [
            "cancelling" if result.state == running else word
            for result, word in zip(results, states, strict=True)
        ]

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request."""
        request.cancel.keep_children = self.keep_children
        request.cancel.SetInParent()


@dataclass(frozen=True)
class Retry(Plain):
    """Puts ended tasks back in their queue."""

    verb: str = "retry"
    states: States = tuple(s for s in _format.ENDED if s != TaskState.TASK_STATE_SUCCEEDED)
    terms: str = ""

    def send(
        self, connection: Connection, task_ids: Sequence[str], why: Why
    ) -> Sequence[RetryResult]:
        """Sends one batch."""
        request = RetryTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            reason=why.reason,
            actor=why.actor,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.RetryTasks, request, patience=PATIENCE).results

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request."""
        request.retry.SetInParent()


@dataclass(frozen=True)
class Update(Plain):
    """Changes tasks that have not ended."""

    update: TaskUpdate
    verb: str = "update"
    states: States = _ACTIVE
    terms: str = ""

    def send(
        self, connection: Connection, task_ids: Sequence[str], why: Why
    ) -> Sequence[UpdateResult]:
        """Sends one batch."""
        request = UpdateTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            update=self.update,
            reason=why.reason,
            actor=why.actor,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.UpdateTasks, request, patience=PATIENCE).results

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request."""
        request.update.CopyFrom(self.update)


@dataclass(frozen=True)
class Pause:
    """Lets running tasks stand still."""

    verb: str = "pause"
    states: States = _RUNNING
    terms: str = "paused:no"

    def send(
        self, connection: Connection, task_ids: Sequence[str], why: Why
    ) -> Sequence[PauseResult]:
        """Sends one batch."""
        request = PauseTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            reason=why.reason,
            actor=why.actor,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.PauseTasks, request, patience=PATIENCE).results

    def words(
        self, connection: Connection, task_ids: Sequence[str], results: Sequence[Result]
    ) -> Sequence[str]:
        """A task goes on to its next checkpoint; it is paused once its agent says so."""
        still: set[str] = set()
        for start in range(0, len(task_ids), _LOOK):
            wanted = ",".join(map(_format.quoted, task_ids[start : start + _LOOK]))
            request = ListTasksRequest(
                namespace=connection.namespace, filter=f"id:{wanted}", page_size=_LOOK
            )
            # The pause was asked for, whether the server can still be asked how far it is or not.
            with contextlib.suppress(CallError):
                found = connection.call(connection.tasks.ListTasks, request)
                still.update(t.id for t in found.tasks if t.pause.HasField("acknowledge_time"))
        return [
            "paused" if task_id in still else "pausing: it stands still at its next checkpoint"
            for task_id in task_ids
        ]

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request."""
        request.pause.SetInParent()


@dataclass(frozen=True)
class Resume(Plain):
    """Lets paused tasks go on."""

    verb: str = "resume"
    states: States = _RUNNING
    terms: str = "paused:yes"

    def send(
        self, connection: Connection, task_ids: Sequence[str], why: Why
    ) -> Sequence[ResumeResult]:
        """Sends one batch."""
        request = ResumeTasksRequest(
            namespace=connection.namespace,
            task_ids=task_ids,
            reason=why.reason,
            actor=why.actor,
            request_id=request_id(),
        )
        return connection.call(connection.tasks.ResumeTasks, request, patience=PATIENCE).results

    def put(self, request: ActOnTasksRequest) -> None:
        """Makes it the act of a request."""
        request.resume.SetInParent()
