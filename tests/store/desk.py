"""One store under a test's hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quarterdeck_server.engine.changes import Change
from quarterdeck_server.engine.commands import Claim, Command, Prune, Spec
from quarterdeck_server.engine.flow.claim import NOBODY
from quarterdeck_server.engine.model import Task
from quarterdeck_server.store.base import GroupResult, Store

from ..engine import make
from ..engine.make import NOW, SECOND


class Desk:
    """A store and a clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW

    async def group(self, *commands: Command, claims: Sequence[Claim] = ()) -> GroupResult:
        """Carry out commands in one group."""
        line = make.waiting(claims) if claims else NOBODY
        return await self.store.run_group(commands, line, self.now)

    async def do(self, command: Command) -> Any:
        """Carry out one command; raise what it raised."""
        reply = (await self.group(command)).replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def submit(self, *specs: Spec) -> list[int]:
        """Submit tasks."""
        return [reply.task_id for reply in await self.do(make.submit(*specs))]

    async def claim(self, max_tasks: int = 1, agent_id: str = "a1") -> list[Task]:
        """Claim what is ready."""
        claim = make.claim(agent_id, max_tasks)
        await self.group(claims=[claim])
        return claim.taken

    async def finish(self, task: Task, data: bytes | None = None) -> None:
        """Report a success."""
        await self.do(make.report(task.id, task.lease_token, make.succeed(data)))

    async def changes(self) -> list[Change]:
        """The whole log, read in small pieces."""
        position, found = 0, list[Change]()
        while part := await self.store.changes_after(position, 3):
            found += part
            position = part[-1].revision
        return found

    async def prune(
        self, ended: int | None = None, changes_before: int = 0, keep: int = 1_000_000
    ) -> int:
        """Prune what ended before `ended`, now by default."""
        before = self.now + SECOND if ended is None else ended
        removed: int = await self.do(Prune(before, before, changes_before, keep))
        return removed
