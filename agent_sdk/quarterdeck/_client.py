"""The blocking client, for scripts and threads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, Unpack, overload

from quarterdeck import _calls
from quarterdeck._calls import Call, Page
from quarterdeck._convert import from_message
from quarterdeck._core import POLL_SECONDS, Core, Submitted, one_submit, result_of, task_of
from quarterdeck._errors import ApiError
from quarterdeck._models import (
    AgentStatus,
    LogLine,
    Queue,
    Schedule,
    ServerInfo,
    Task,
    TaskDetails,
)
from quarterdeck._specs import Spec, TaskOptions, When, task_spec
from quarterdeck._watch import Kind, Mode, Watch, watch_request

T = TypeVar("T")

_PAGE = 500


class Client:
    """Submits work and looks after it; every method blocks until the server has answered.

    Thread-safe. Opens its connection at the first call; all clients of a process share it.
    While the server is away a call is repeated for `timeout` seconds, safely: whatever
    creates something carries a request id.

    Args:
        address: `host:port` of the server; by default `QUARTERDECK_SERVER` of the environment,
            else `127.0.0.1:7400`.
        namespace: Tenant; by default `QUARTERDECK_NAMESPACE`, else `default`.
        timeout: Seconds that a call may take, its repetitions included.
    """

    def __init__(
        self, address: str | None = None, namespace: str | None = None, *, timeout: float = 30.0
    ) -> None:
        self._core = Core(address, namespace, timeout)
        self._namespace = self._core.namespace

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The server's address."""
        return self._core.address

    def close(self) -> None:
        """Let go of the connection; a later call opens it again."""
        self._core.control.run(self._core.close())

    def submit(self, name: str, input: Any = None, **options: Unpack[TaskOptions]) -> str:
        """Submit a task; it is on the server's disk when this returns.

        Args:
            name: What is to be done.
            input: The handler's input: JSON types, dataclasses, pydantic models.
            options: How it is to be run, see `TaskOptions`.

        Returns:
            The task's id.

        Raises:
            PayloadError: The input has no JSON form.
            ApiError: The server refused it, or stayed away.
        """
        return one_submit(task_spec(name, input, options), self._core).result()

    def submit_many(self, specs: Sequence[Spec]) -> Sequence[Submitted]:
        """Submit many tasks; one bad item does not keep the others from being accepted.

        A `depends_on` entry `#n` names item n of `specs`, which must stand before.

        Returns:
            What became of each, in order.
        """
        return self._core.control.run(self._core.submit_many(specs))

    def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """Wait until a task has ended, however.

        Args:
            task_id: The task.
            timeout: Seconds to wait; None waits for ever.

        Raises:
            WaitTimeoutError: It has not ended by then; it goes on.
        """
        return task_of(self._core.control.run(self._core.wait(task_id, timeout)))

    @overload
    def result(self, task_id: str, type: type[T], *, timeout: float | None = None) -> T: ...

    @overload
    def result(self, task_id: str, type: Any = Any, *, timeout: float | None = None) -> Any: ...

    def result(self, task_id: str, type: Any = Any, *, timeout: float | None = None) -> Any:
        """Wait for a task and return what its handler returned.

        Args:
            task_id: The task.
            type: What the result is decoded to; plain JSON by default.
            timeout: Seconds to wait; None waits for ever.

        Raises:
            TaskFailedError: It ended without a result.
            WaitTimeoutError: It has not ended by then; it goes on.
            PayloadError: The result does not fit `type`.
        """
        return result_of(self._core.control.run(self._core.wait(task_id, timeout)), type)

    def get(self, task_id: str) -> TaskDetails:
        """One task with its payloads and attempts."""
        return self._do(_calls.get(self._namespace, task_id))

    def list(
        self, filter: str = "", *, order_by: str = "", page_size: int = _PAGE
    ) -> Iterator[Task]:
        """Tasks that match a filter such as `state:failed`, fetched as they are read."""
        return self._pages(
            lambda token: _calls.tasks(self._namespace, filter, order_by, page_size, token)
        )

    def count(self, filter: str = "") -> dict[str, int]:
        """How many tasks match a filter, by state."""
        return self._do(_calls.count(self._namespace, filter))

    def cancel(
        self, task_id: str, reason: str = "", *, actor: str = "", keep_children: bool = False
    ) -> str:
        """Request that a task be cancelled.

        Returns:
            Its state now: `cancelled`, or `running` while its agent is being told.

        Raises:
            WrongStateError: It ended before.
        """
        return _one(
            self._do(_calls.cancel(self._namespace, [task_id], reason, actor, keep_children))
        )

    def retry(self, task_id: str) -> str:
        """Put an ended task back in its queue with a fresh budget of attempts; its state now.

        Raises:
            WrongStateError: It has not ended, or it succeeded.
        """
        return _one(self._do(_calls.retry(self._namespace, [task_id])))

    def logs(
        self, task_id: str, *, follow: bool = False, attempt: int = 0, after: int = 0
    ) -> Iterator[LogLine]:
        """The log of a task.

        Args:
            task_id: The task.
            follow: Wait for more until the task has ended.
            attempt: Only lines of this attempt; 0 means all.
            after: Only lines with a larger sequence; -n means the last n.
        """
        wait = POLL_SECONDS if follow else 0.0
        while True:
            page = self._do(_calls.logs(self._namespace, task_id, after, attempt, wait))
            for line in page.lines:
                yield from_message(LogLine, line)
            after = page.next_sequence
            if page.end or not (follow or page.lines):
                return

    def watch(
        self,
        kinds: Sequence[Kind] = (),
        *,
        filter: str = "",
        mode: Mode = "every_change",
        resume_token: str = "",
        skip_snapshot: bool = False,
    ) -> Watch:
        """Changes as they happen; reconnects by itself and misses none.

        Args:
            kinds: What to watch, such as `["task"]`; none means everything.
            filter: Needs exactly one kind.
            mode: `every_change` in order, or only the `latest` of each resource.
            resume_token: From an earlier watch: only what came after it.
            skip_snapshot: Leave out the current state.

        Raises:
            WatchTokenExpiredError: While iterating: watch again without a token.
        """
        request = watch_request(self._namespace, kinds, filter, mode, resume_token, skip_snapshot)
        return Watch(self._core, request)

    def schedule(
        self,
        schedule_id: str,
        when: When,
        name: str,
        input: Any = None,
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        **options: Unpack[TaskOptions],
    ) -> Schedule:
        """Create a schedule, or replace the rule of the one with this id.

        Args:
            schedule_id: Chosen by you.
            when: A cron expression or `Cron`, an interval, or one instant.
            name: What is to be done.
            input: The handler's input.
            start: No task before this instant.
            end: No task at or after this instant.
            options: How its tasks are to be run.
        """
        task = task_spec(name, input, options)
        return self._do(_calls.schedule(self._namespace, schedule_id, when, task, start, end))

    def get_schedule(self, schedule_id: str) -> Schedule:
        """One schedule."""
        return self._do(_calls.get_schedule(self._namespace, schedule_id))

    def schedules(self, filter: str = "", *, page_size: int = _PAGE) -> Iterator[Schedule]:
        """Schedules that match a filter, fetched as they are read."""
        return self._pages(
            lambda token: _calls.schedules(self._namespace, filter, page_size, token)
        )

    def pause_schedule(self, schedule_id: str, note: str = "") -> Schedule:
        """Stop a schedule from creating tasks; `note` says who and why."""
        return self._do(_calls.pause_schedule(self._namespace, schedule_id, note))

    def resume_schedule(self, schedule_id: str) -> Schedule:
        """Let a schedule create tasks again, from now on."""
        return self._do(_calls.resume_schedule(self._namespace, schedule_id))

    def trigger_schedule(self, schedule_id: str) -> str:
        """Create one task of a schedule now; its id."""
        return self._do(_calls.trigger_schedule(self._namespace, schedule_id))

    def preview_schedule(
        self,
        schedule_id: str = "",
        when: When | None = None,
        *,
        count: int = 10,
        after: dt.datetime | None = None,
    ) -> Sequence[dt.datetime]:
        """When an existing schedule, or the rule `when`, would create tasks."""
        return self._do(_calls.preview_schedule(self._namespace, schedule_id, when, count, after))

    def delete_schedule(self, schedule_id: str) -> None:
        """Remove a schedule; its tasks stay."""
        self._do(_calls.delete_schedule(self._namespace, schedule_id))

    def queues(self, filter: str = "", *, page_size: int = _PAGE) -> Iterator[Queue]:
        """Queues that match a filter, fetched as they are read."""
        return self._pages(lambda token: _calls.queues(self._namespace, filter, page_size, token))

    def pause_queue(self, queue: str, note: str = "") -> Queue:
        """Hand out nothing from a queue; `note` says who and why."""
        return self._do(_calls.update_queue(self._namespace, queue, True, note))

    def resume_queue(self, queue: str, note: str = "") -> Queue:
        """Hand out tasks from a queue again."""
        return self._do(_calls.update_queue(self._namespace, queue, False, note))

    def agents(self, filter: str = "", *, page_size: int = _PAGE) -> Iterator[AgentStatus]:
        """Agents that match a filter, fetched as they are read."""
        return self._pages(lambda token: _calls.agents(self._namespace, filter, page_size, token))

    def drain_agent(self, agent_id: str) -> AgentStatus:
        """Tell an agent to finish what it has and to claim no more."""
        return self._do(_calls.drain_agent(self._namespace, agent_id))

    def server_info(self) -> ServerInfo:
        """Version, capabilities and limits of the server."""
        return self._do(_calls.server_info())

    def _do(self, call: Call[T]) -> T:
        return self._core.control.run(self._core.do(call))

    def _pages(self, page: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        token = ""
        while True:
            got = self._do(page(token))
            yield from got.items
            token = got.next_token
            if not token:
                return


def _one(states: Sequence[str | ApiError]) -> str:
    """The only answer of a batch of one.

    Raises:
        ApiError: It is a refusal.
    """
    if isinstance(states[0], ApiError):
        raise states[0]
    return states[0]
