"""The one writer: commands wait here while a group is written, and form the next group."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from quarterdeck_server.engine.commands import (
    AppendLogs,
    Cancel,
    Claim,
    Command,
    PauseTasks,
    Release,
    Report,
    ReportItem,
    Rerun,
    ResumeTasks,
    Retry,
    Submit,
    UpdateTasks,
    Walk,
)
from quarterdeck_server.engine.world import QueueKey
from quarterdeck_server.logs import Log
from quarterdeck_server.runtime.clock import Clock
from quarterdeck_server.runtime.line import Given, Line
from quarterdeck_server.runtime.reopen import Reopener
from quarterdeck_server.runtime.ticks import Ticks
from quarterdeck_server.store.base import GroupResult, Store, StoreUnavailable

GROUP_ITEMS = 5_000
"""Items in one group at most, so that no group holds the others up for long. A larger command makes a group alone."""

_log = Log(__name__)


class Draining(Exception):
    """The server is stopping; nothing was applied."""


class Committer:
    """Carries out commands in groups, without artificial delay, and tells the rest of the server what became of them.

    `published` is called after every group, before any of its callers is answered. When it fails, or another that
    follows what was written, memory is not what is on disk: nothing more is carried out, and `broken` is called.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        published: Callable[[Sequence[Command], GroupResult], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._published = published
        self._commands: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._work = asyncio.Event()
        self._ticks = Ticks()
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self._stopping = False
        self.line = Line()
        self._reopener = Reopener(clock, self._reopen)
        self.available = True
        """The store takes writes."""
        self.availability_changed: Callable[[bool], None] = lambda available: None
        self.broken: Callable[[], None] = lambda: None
        """Only a restart helps."""

    def start(self) -> None:
        """Begin to carry out commands."""
        self._task = asyncio.create_task(self._run(), name="committer")

    async def stop(self) -> None:
        """Carry out what waits, answer every claim with nothing, and end."""
        self._stopping = True
        self._work.set()
        if self._task is not None:
            await self._task
        self._reopener.stop()
        self.line.empty()

    async def execute(self, command: Command) -> Any:
        """Carry out a command and return its reply once it is durable.

        A caller that is cancelled stops waiting; its command is carried out all the same.

        Raises:
            StoreUnavailable: nothing was applied.
            Draining: the server is stopping.
        """
        return await self.post(command)

    def post(self, command: Command) -> asyncio.Future[Any]:
        """Put a command in line at once; the future gets what `execute` returns or raises later.

        Raises:
            StoreUnavailable, Draining: as `execute`.
        """
        if self._stopping:
            raise Draining
        if not self.available:
            raise StoreUnavailable("the store cannot be written now")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._commands.append((command, future))
        self._work.set()
        return future

    async def claim(self, claim: Claim, wait: float) -> Given:
        """Wait up to `wait` seconds for tasks; empty when there were none."""
        if self._stopping:
            return []
        future = self.line.park(claim)
        if self.line.servable:
            self._work.set()
        end = self._ticks.after(wait, partial(self._end_wait, claim))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._give_back(claim)
            else:
                self.line.abandon(claim)
            raise
        finally:
            end.cancel()

    def dismiss(self, namespace: str, agent_id: str) -> None:
        """Answer an agent's waiting claims with nothing, or with what a running group is giving them."""
        for claim in self.line.of_agent(namespace, agent_id):
            self.line.withdraw(claim, busy=self._busy)

    def _reopen(self, key: QueueKey) -> None:
        """Look again at a queue that has more to give now."""
        self.line.reopen(key)
        if self.line.servable:
            self._work.set()

    def _end_wait(self, claim: Claim) -> None:
        coming = self.available and (bool(self._commands) or self.line.servable)
        self.line.withdraw(claim, busy=self._busy or coming)

    def _give_back(self, claim: Claim) -> None:
        """Release what was leased to a caller that is gone, so that nobody waits for its lease to run out."""
        items = [
            ReportItem(task.id, task.lease_token or 0, Release("the caller was gone"))
            for task in claim.taken
        ]
        if items:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda done: done.exception())
            report = Report(claim.profile.namespace, claim.agent_id, items)
            self._commands.append((report, future))
            self._work.set()

    async def _run(self) -> None:
        try:
            await self._rounds()
        except Exception as error:
            _log_failure("a written group was not followed, only a restart helps", error)
            self.available = False
            self.broken()
            self._refuse_waiting(_restart())
            self.line.empty()

    async def _rounds(self) -> None:
        while True:
            if not self._commands and not self.line.servable:
                self.line.release_expired()
                if self._stopping:
                    return
                self._work.clear()
                await self._work.wait()
                continue
            await self._group(self._take())
            # Let the answers out, and in what has arrived, before the next group holds the loop: measured, a drain by
            # one agent is an eighth slower when they wait for it.
            await asyncio.sleep(0)

    def _take(self) -> list[tuple[Command, asyncio.Future[Any]]]:
        batch: list[tuple[Command, asyncio.Future[Any]]] = []
        items = 0
        while self._commands:
            size = _size(self._commands[0][0])
            if batch and items + size > GROUP_ITEMS:
                break
            items += size
            batch.append(self._commands.popleft())
        return batch

    async def _group(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        commands = [command for command, _ in batch]
        self._busy = True
        try:
            result = await self._store.run_group(commands, self.line.snapshot(), self._clock.now())
        except Exception as error:
            self._busy = False
            self._fail(batch, error)
            if isinstance(error, StoreUnavailable):
                await self._recover(error)
            else:
                _log_failure("group failed", error)
            return
        self._busy = False
        try:
            self._follow(batch, commands, result)
        except Exception:
            self._fail(batch, _restart())
            raise
        if isinstance(result.failure, StoreUnavailable):
            await self._recover(result.failure)
        elif result.failure is not None:
            _log_failure("hand-off failed", result.failure)

    def _follow(
        self,
        batch: list[tuple[Command, asyncio.Future[Any]]],
        commands: Sequence[Command],
        result: GroupResult,
    ) -> None:
        """Tell the rest of the server what was written, then those who wait for it."""
        self._published(commands, result)
        for (command, future), reply in zip(batch, result.replies, strict=True):
            if isinstance(reply, Exception):
                _log_failure("command failed", reply, command=type(command).__name__)
                if not future.done():
                    future.set_exception(reply)
            elif not future.done():
                future.set_result(reply)
        for claim in self.line.settle(result.claims, result.inputs, result.ready):
            self._give_back(claim)
        if result.reopen:
            self._reopener.note(result.reopen)

    def _fail(self, batch: list[tuple[Command, asyncio.Future[Any]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)

    def _refuse_waiting(self, error: StoreUnavailable) -> None:
        waiting = list(self._commands)
        self._commands.clear()
        self._fail(waiting, error)

    async def _recover(self, error: StoreUnavailable) -> None:
        """Refuse commands until the store takes a durable write again."""
        _log.warning("store unavailable", error=str(error))
        self.available = False
        self.availability_changed(False)
        delay = 0.1
        while not self._stopping:
            self.line.release_expired()
            self._refuse_waiting(error)
            try:
                await self._store.probe()
            except Exception as problem:
                # Whatever it is: without this task nothing would ever be written again.
                if not isinstance(problem, StoreUnavailable):
                    _log_failure("probe failed", problem)
                await asyncio.sleep(delay)
                delay = min(2.0, delay * 2)
            else:
                _log.warning("store available again")
                self.available = True
                self.availability_changed(True)
                self.line.retry()
                return


def _restart() -> StoreUnavailable:
    return StoreUnavailable("the server is to be restarted")


def _log_failure(event: str, error: Exception, **fields: str) -> None:
    try:
        raise error
    except Exception:
        _log.error(event, **fields)


def _size(command: Command) -> int:
    match command:
        case Submit():
            return len(command.specs) + sum(len(spec.depends_on) for spec in command.specs)
        case Report():
            return len(command.items)
        case Rerun(with_dependents=True):
            # What depends on the tasks is not known here.
            return GROUP_ITEMS
        case Cancel() | Retry() | Rerun() | UpdateTasks() | PauseTasks() | ResumeTasks():
            return len(command.task_ids)
        case Walk():
            return command.limit
        case AppendLogs():
            return sum(len(item.lines) for item in command.items)
    return 1
