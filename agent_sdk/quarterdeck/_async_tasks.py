"""Methods of the asynchronous client about tasks."""

# The same parameters as the blocking client, `timeout` among them.
# ruff: noqa: ASYNC109

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar, Unpack, overload

from quarterdeck import _calls, _operator_calls
from quarterdeck._act import AsyncAct
from quarterdeck._convert import from_message
from quarterdeck._core import POLL_SECONDS, Submitted, result_of, task_of
from quarterdeck._methods import PAGE, AsyncMethods, Ids, ids, outcome, rerun_of
from quarterdeck._models import LogLine, Task, TaskDetails
from quarterdeck._operating import ActName, Explanation, Outcome, Rerun
from quarterdeck._specs import Spec, TaskChanges, task_specs

T = TypeVar("T")


class AsyncTaskMethods(AsyncMethods):
    """What a client asks about tasks."""

    async def submit_many(self, specs: Sequence[Spec]) -> Sequence[Submitted]:
        """Submit many tasks; one that is refused does not keep the others from being accepted.

        They are sent a thousand at a time, or fewer large ones. A `depends_on` entry `#n` names item n of
        `specs`, which must stand before.

        Returns:
            What became of each, in order. When the server goes away after it has accepted some, those
            that it did not acknowledge have that error.

        Raises:
            PayloadError: The input of an item has no JSON form; like the next two before anything is sent.
            TypeError: An item is no `Spec`, or an option of it is of a wrong type.
            ValueError: An option of an item has a value that it cannot have.
            ApiError: Nothing was acknowledged.
        """
        return await self._run(self._core.submit_many(task_specs(specs)))

    async def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """Wait until a task has ended, however.

        Args:
            task_id: The task.
            timeout: Seconds to wait; None waits for ever.

        Raises:
            WaitTimeoutError: It has not ended by then; it goes on.
        """
        return task_of(await self._run(self._core.wait(task_id, timeout)))

    @overload
    async def result(self, task_id: str, type: type[T], *, timeout: float | None = None) -> T: ...

    @overload
    async def result(
        self, task_id: str, type: Any = Any, *, timeout: float | None = None
    ) -> Any: ...

    async def result(self, task_id: str, type: Any = Any, *, timeout: float | None = None) -> Any:
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
        return result_of(await self._run(self._core.wait(task_id, timeout)), type)

    async def get(self, task_id: str) -> TaskDetails:
        """One task with its payloads and attempts.

        Raises:
            NotFoundError: There is none, or retention has removed it.
        """
        return await self._do(_calls.get(self._namespace, task_id))

    def list(
        self, filter: str = "", *, order_by: str = "", page_size: int = PAGE
    ) -> AsyncIterator[Task]:
        """Tasks that match a filter, fetched as they are read.

        Args:
            filter: Such as `state:failed`; empty for all. docs/filters.md has the grammar.
            order_by: `create_time`, `run_time`, `end_time`, `priority`, `name` or `state`, with ` desc`
                to reverse; empty for `create_time desc`.
            page_size: How many are fetched at once, 1,000 at most.

        Raises:
            InvalidArgumentError: While iterating: the filter or the order is wrong.
        """
        return self._pages(
            lambda token: _calls.tasks(self._namespace, filter, order_by, page_size, token)
        )

    async def count(self, filter: str = "") -> dict[str, int]:
        """How many tasks match a filter, by state such as `running`; states without any are left out.

        Args:
            filter: Such as `queue:mail`; empty for all. docs/filters.md has the grammar.

        Raises:
            InvalidArgumentError: The filter is wrong.
        """
        return await self._do(_calls.count(self._namespace, filter))

    async def explain(self, task_id: str) -> Explanation:
        """Why a task is not running, why it failed, and where its time went.

        Raises:
            NotFoundError: There is none, or retention has removed it.
        """
        return await self._do(_operator_calls.explain(self._namespace, task_id))

    async def logs(
        self, task_id: str, *, follow: bool = False, attempt: int = 0, after: int = 0
    ) -> AsyncIterator[LogLine]:
        """The log of a task.

        Args:
            task_id: The task.
            follow: Wait for more until the task has ended.
            attempt: Only lines of this attempt; 0 means all.
            after: Only lines with a larger sequence; -n means the last n.
        """
        wait = POLL_SECONDS if follow else 0.0
        while True:
            page = await self._do(_calls.logs(self._namespace, task_id, after, attempt, wait))
            for line in page.lines:
                yield from_message(LogLine, line)
            after = page.next_sequence
            if page.end or not (follow or page.lines):
                return

    @overload
    async def cancel(
        self, task_ids: str, reason: str = "", *, actor: str = "", keep_children: bool = False
    ) -> str: ...

    @overload
    async def cancel(
        self,
        task_ids: Ids,
        reason: str = "",
        *,
        actor: str = "",
        keep_children: bool = False,
    ) -> Sequence[Outcome]: ...

    async def cancel(
        self,
        task_ids: str | Ids,
        reason: str = "",
        *,
        actor: str = "",
        keep_children: bool = False,
    ) -> str | Sequence[Outcome]:
        """Request that tasks be cancelled.

        Args:
            task_ids: One task, or at most 5,000.
            reason: Why, for the agent and the audit log.
            actor: Who asks.
            keep_children: Leave alone what they submitted.

        Returns:
            The state of the one task now, `cancelled`, or `running` while its agent is being
            told; of many what became of each, in order.

        Raises:
            WrongStateError: The one task ended before.
        """
        call = _calls.cancel(self._namespace, ids(task_ids), reason, actor, keep_children)
        return outcome(task_ids, await self._do(call))

    @overload
    async def retry(self, task_ids: str, reason: str = "", *, actor: str = "") -> str: ...

    @overload
    async def retry(
        self, task_ids: Ids, reason: str = "", *, actor: str = ""
    ) -> Sequence[Outcome]: ...

    async def retry(
        self, task_ids: str | Ids, reason: str = "", *, actor: str = ""
    ) -> str | Sequence[Outcome]:
        """Put ended tasks back in their queue with a fresh budget of attempts.

        Args:
            task_ids: One task, or at most 5,000.
            reason: Why, for the audit log.
            actor: Who asks.

        Returns:
            The state of the one task now; of many what became of each, in order.

        Raises:
            WrongStateError: The one task has not ended, or it succeeded.
        """
        call = _calls.retry(self._namespace, ids(task_ids), reason, actor)
        return outcome(task_ids, await self._do(call))

    @overload
    async def rerun(
        self,
        task_ids: str,
        input: Any = None,
        *,
        with_dependents: bool = False,
        reason: str = "",
        actor: str = "",
    ) -> Rerun: ...

    @overload
    async def rerun(
        self,
        task_ids: Ids,
        input: None = None,
        *,
        with_dependents: bool = False,
        reason: str = "",
        actor: str = "",
    ) -> Sequence[Rerun]: ...

    async def rerun(
        self,
        task_ids: str | Ids,
        input: Any = None,
        *,
        with_dependents: bool = False,
        reason: str = "",
        actor: str = "",
    ) -> Rerun | Sequence[Rerun]:
        """Run ended tasks again from the beginning, as new tasks that are linked to them.

        Args:
            task_ids: One task, or at most 1,000.
            input: Of one task: its input instead of the old one; None keeps that.
            with_dependents: Run again also what depended on them, to any depth.
            reason: Why, for the audit log.
            actor: Who asks.

        Returns:
            The new tasks of the one; of many what became of each, in order.

        Raises:
            WrongStateError: The one task has not ended.
        """
        many = ids(task_ids)
        call = _operator_calls.rerun(self._namespace, many, input, with_dependents, reason, actor)
        return rerun_of(task_ids, await self._do(call))

    @overload
    async def update(
        self, task_ids: str, *, reason: str = "", actor: str = "", **changes: Unpack[TaskChanges]
    ) -> str: ...

    @overload
    async def update(
        self,
        task_ids: Ids,
        *,
        reason: str = "",
        actor: str = "",
        **changes: Unpack[TaskChanges],
    ) -> Sequence[Outcome]: ...

    async def update(
        self,
        task_ids: str | Ids,
        *,
        reason: str = "",
        actor: str = "",
        **changes: Unpack[TaskChanges],
    ) -> str | Sequence[Outcome]:
        """Change tasks that have not ended.

        Args:
            task_ids: One task, or at most 5,000.
            reason: Why, for the audit log.
            actor: Who asks.
            changes: What to change, see `TaskChanges`.

        Returns:
            The state of the one task now; of many what became of each, in order.

        Raises:
            WrongStateError: The one task has ended, or runs where only a waiting one can be
                changed so.
        """
        call = _operator_calls.update(self._namespace, ids(task_ids), changes, reason, actor)
        return outcome(task_ids, await self._do(call))

    @overload
    async def pause(self, task_ids: str, reason: str = "", *, actor: str = "") -> str: ...

    @overload
    async def pause(
        self, task_ids: Ids, reason: str = "", *, actor: str = ""
    ) -> Sequence[Outcome]: ...

    async def pause(
        self, task_ids: str | Ids, reason: str = "", *, actor: str = ""
    ) -> str | Sequence[Outcome]:
        """Ask the agents of running tasks to let them stand still; `Task.pause` says how far that is.

        Args:
            task_ids: One task, or at most 5,000.
            reason: Why, for the agent and the audit log.
            actor: Who asks.

        Returns:
            The state of the one task now; of many what became of each, in order.

        Raises:
            WrongStateError: The one task does not run.
        """
        call = _operator_calls.pause(self._namespace, ids(task_ids), reason, actor)
        return outcome(task_ids, await self._do(call))

    @overload
    async def resume(self, task_ids: str, reason: str = "", *, actor: str = "") -> str: ...

    @overload
    async def resume(
        self, task_ids: Ids, reason: str = "", *, actor: str = ""
    ) -> Sequence[Outcome]: ...

    async def resume(
        self, task_ids: str | Ids, reason: str = "", *, actor: str = ""
    ) -> str | Sequence[Outcome]:
        """Let paused tasks go on.

        Args:
            task_ids: One task, or at most 5,000.
            reason: Why, for the audit log.
            actor: Who asks.

        Returns:
            The state of the one task now; of many what became of each, in order.

        Raises:
            WrongStateError: The one task is not paused.
        """
        call = _operator_calls.resume(self._namespace, ids(task_ids), reason, actor)
        return outcome(task_ids, await self._do(call))

    def act(
        self,
        filter: str,
        act: ActName,
        *,
        max_count: int,
        watch_token: str = "",
        dry_run: bool = False,
        keep_children: bool = False,
        reason: str = "",
        actor: str = "",
        **changes: Unpack[TaskChanges],
    ) -> AsyncAct:
        """Do one thing to all tasks that match a filter, page by page.

        Nothing is done before the answer is iterated, which gives how far it has come, or
        finished: `act(…).finish()`. It is not repeated when the server goes away meanwhile.

        Args:
            filter: Such as `state:failed name:research`; `id:*` means all.
            act: `cancel`, `retry` (redrives the dead-letter list), `update`, `pause`, `resume`.
            max_count: Refused, nothing being done, when more tasks match.
            watch_token: The `resume_token` of a watch: exactly what matched then is acted on.
            dry_run: Only count.
            keep_children: Of a cancel: leave alone what the tasks submitted.
            reason: Why, for the agents and the audit log.
            actor: Who asks.
            changes: Of an update, see `TaskChanges`.

        Raises:
            LimitExceededError: While iterating: more than `max_count` match.
            ListTooOldError: While iterating: too much has changed since the list.
        """
        request = _operator_calls.act_request(
            self._namespace,
            filter,
            act,
            changes,
            max_count=max_count,
            watch_token=watch_token,
            dry_run=dry_run,
            keep_children=keep_children,
            reason=reason,
            actor=actor,
        )
        return self._act(request)
