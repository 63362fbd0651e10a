"""What became of an act on some resources, and who did it."""

from __future__ import annotations

import getpass
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc

from quarterdeck._words import counted
from quarterdeck.v1 import task_service_pb2 as task_pb
from quarterdeck_console.stream.errors import Refusal, refusal, refusal_of

BATCH = 5_000
"""Tasks in one batched call; the server's limit."""

Result: TypeAlias = (
    task_pb.SubmitResult
    | task_pb.CancelResult
    | task_pb.RetryResult
    | task_pb.PauseResult
    | task_pb.ResumeResult
    | task_pb.UpdateResult
    | task_pb.RerunResult
)


@dataclass(slots=True)
class Outcome:
    """What became of an act on some resources.

    Attributes:
        verb: What was done, in the past: `cancelled`.
        noun: What it was done to: `task`.
        done: How many it was done to.
        refused: How many the server refused, by reason.
        missed: How many got no answer: whether they were done is not known.
        sentence: The words for the first that was not done.
        made: Ids of what was created.
    """

    verb: str
    noun: str
    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    sentence: str = ""
    made: list[str] = field(default_factory=list)

    def refuse(self, why: Refusal, items: int = 1) -> None:
        """Counts what was not done, and keeps the first reason for it."""
        if why.away:
            self.missed += items
        else:
            self.refused[why.reason] += items
        self.sentence = self.sentence or why.words

    @property
    def failed(self) -> bool:
        """True when not all of it was done."""
        return bool(self.refused or self.missed)

    @property
    def text(self) -> str:
        """Such as `12 tasks cancelled, 1 refused`."""
        parts = [f"{counted(self.done, self.noun)} {self.verb}"]
        if self.failed and not self.done:
            parts = []
        if refused := self.refused.total():
            by_reason = ", ".join(f"{n:,} {reason}" for reason, n in self.refused.most_common())
            parts.append(f"{refused:,} refused" + (f": {by_reason}" * (len(self.refused) > 1)))
        if self.missed:
            parts.append(f"{self.missed:,} without an answer")
        return ", ".join(parts)

    def count(self, result: Result) -> None:
        """Counts what became of one item."""
        if result.HasField("error"):
            self.refuse(refusal_of(result.error))
        else:
            self.done += 1


def actor() -> str:
    """Who sits here, for the audit: user and machine, as the command line says it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"[:256]


async def batched(
    verb: str,
    items: Sequence[str],
    call: Callable[[Sequence[str]], Awaitable[Iterable[Result]]],
    most: int = BATCH,
) -> Outcome:
    """Calls for at most so many tasks at once, and counts what became of each."""
    outcome = Outcome(verb, "task")
    for at in range(0, len(items), most):
        batch = items[at : at + most]
        try:
            for result in await call(batch):
                outcome.count(result)
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error), len(batch))
    return outcome


async def each(
    verb: str, noun: str, items: Sequence[str], call: Callable[[str], Awaitable[None]]
) -> Outcome:
    """Calls for one item after the other."""
    outcome = Outcome(verb, noun)
    for item in items:
        try:
            await call(item)
            outcome.done += 1
        except grpc.aio.AioRpcError as error:
            outcome.refuse(refusal(error))
    return outcome
