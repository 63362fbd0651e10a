"""Handlers that take several tasks at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from quarterdeck import _outcome
from quarterdeck._agent import InputError, TaskHandler
from quarterdeck._lease import Lease
from quarterdeck.v1.payload_pb2 import Failure


class Batch:
    """Leases that one call of a handler works on. Its handler's thread alone changes it."""

    def __init__(self, handler: TaskHandler, leases: Sequence[Lease]) -> None:
        self.handler = handler
        self.leases = list(leases)
        self.working: list[Lease] = []
        """Those that the handler was given, in their order."""
        self.task: asyncio.Task[None] | None = None
        for lease in leases:
            lease.batch = self

    def arguments(self, agent_id: str) -> tuple[Any, ...] | None:
        """The handler's arguments; None when there is nothing left to work on.

        A task whose input does not fit fails alone, and so does one that was cancelled before.
        """
        runs = []
        for lease in self.leases:
            run = lease.make_run(agent_id)
            try:
                self.handler.arguments(run, lease.claimed.input.data)
            except InputError as error:
                lease.report = _outcome.error(lease, error)
                continue
            if lease.cause is not None:
                lease.report = _outcome.interrupted(lease, "")
                continue
            self.working.append(lease)
            runs.append(run)
        if not runs:
            return None
        return (runs, [run.input for run in runs]) if self.handler.takes_input else (runs,)

    def returned(self, values: object) -> None:
        """Take the results of the whole."""
        if not isinstance(values, (list, tuple)) or len(values) != len(self.working):
            got = f"{len(values)}" if isinstance(values, (list, tuple)) else type(values).__name__
            text = f"the handler takes a batch: expected a list of {len(self.working)} results, got {got}"
            for lease in self.working:
                failure = Failure(type="DefinitionError", message=text, non_retryable=True)
                lease.report = _outcome.failed(lease, failure)
            return
        for lease, value in zip(self.working, values, strict=True):
            if isinstance(value, BaseException):
                lease.report = _outcome.error(lease, value)
            else:
                lease.report = _outcome.result(lease, value)

    def raised(self, error: BaseException) -> None:
        """Fail the whole."""
        for lease in self.working:
            lease.report = _outcome.error(lease, error)

    def end(self) -> None:
        """The handler and all clean-up have ended."""
        for lease in self.leases:
            if lease.report is None:
                lease.report = _outcome.interrupted(lease, "")
            lease.end()
