"""One act on everything that a filter matched, and how far it has come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import grpc

from quarterdeck.v1 import task_service_pb2 as pb
from quarterdeck_console.stream.channel import Link
from quarterdeck_console.stream.errors import Refusal, refusal, refusal_of
from quarterdeck_console.stream.outcome import Outcome, actor

MOST = 1_000_000
"""Tasks that one act may be about; the server's limit."""

COUNT_TIMEOUT = 60.0
"""Seconds that the count before an act may take."""

LIST_TOO_OLD = "LIST_TOO_OLD"

_LOOK = ":audit tells how far it came; * and the same act do the rest"


class Everything(NamedTuple):
    """All tasks that matched a filter when the operator looked.

    Attributes:
        filter: As the server wants it; never empty.
        token: The state of the list that was on the screen.
        at: The instant of that, on the server's clock.
    """

    filter: str
    token: str
    at: float


class BulkAct(NamedTuple):
    """What is to be done.

    Attributes:
        ask: What the question says: `Cancel`.
        verb: What it will have been, in the past: `cancelled`.
    """

    ask: str
    verb: str
    cancel: pb.CancelAct | None = None
    retry: pb.RetryAct | None = None
    pause: pb.PauseAct | None = None
    resume: pb.ResumeAct | None = None
    update: pb.TaskUpdate | None = None


CANCEL = BulkAct("Cancel", "cancelled", cancel=pb.CancelAct())
CANCEL_ALONE = BulkAct("Cancel", "cancelled", cancel=pb.CancelAct(keep_children=True))
RETRY = BulkAct("Retry", "retried", retry=pb.RetryAct())
PAUSE = BulkAct("Pause", "asked to pause", pause=pb.PauseAct())
RESUME = BulkAct("Resume", "resumed", resume=pb.ResumeAct())


@dataclass(slots=True)
class Progress:
    """How far an act has come."""

    act: BulkAct
    matched: int
    done: int = 0
    refused: int = 0


def _request(
    link: Link, act: BulkAct, what: Everything, most: int, reason: str, *, dry_run: bool
) -> pb.ActOnTasksRequest:
    return pb.ActOnTasksRequest(
        namespace=link.namespace,
        filter=what.filter,
        max_count=max(1, most),
        watch_token=what.token,
        reason=reason,
        actor=actor(),
        dry_run=dry_run,
        cancel=act.cancel,
        retry=act.retry,
        pause=act.pause,
        resume=act.resume,
        update=act.update,
    )


async def count_matching(link: Link, act: BulkAct, what: Everything) -> int | Refusal:
    """How many tasks the act would be about, or why it cannot be done."""
    request = _request(link, act, what, MOST, "", dry_run=True)
    matched = 0
    try:
        async for answer in link.tasks.ActOnTasks(request, timeout=COUNT_TIMEOUT):
            matched = answer.matched
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    return matched


class BulkRun:
    """One act under way.

    Attributes:
        progress: How far it has come.
        reason: Why it is done.
        too_late: True when nothing was done because too much had changed since the list.
    """

    def __init__(self, act: BulkAct, what: Everything, matched: int, reason: str) -> None:
        self.progress = Progress(act, matched)
        self.reason = reason
        self.too_late = False
        self._what = what
        self._call: asyncio.Task[None] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Ends it after the page that is being done."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()

    async def run(self, link: Link) -> Outcome:
        """Does it, and says what became of it."""
        outcome = Outcome(self.progress.act.verb, "task")

        async def follow() -> None:
            progress = self.progress
            request = _request(
                link, progress.act, self._what, progress.matched, self.reason, dry_run=False
            )
            async for answer in link.tasks.ActOnTasks(request):
                progress.matched, progress.done = answer.matched, answer.done
                progress.refused = answer.refused
                for error in answer.errors:
                    outcome.sentence = outcome.sentence or refusal_of(error).words

        self._call = asyncio.create_task(follow())
        try:
            await self._call
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            outcome.sentence = "stopped: what was done stays done"
        except grpc.aio.AioRpcError as error:
            why, progress = refusal(error), self.progress
            outcome.refuse(why, progress.matched - progress.done - progress.refused)
            self.too_late = why.reason == LIST_TOO_OLD
            # That it was broken off says more than why one of its tasks was refused.
            outcome.sentence = why.words + (f"; {_LOOK}" if why.away else "")
        outcome.done = self.progress.done
        if self.progress.refused:
            outcome.refused["WRONG_STATE"] = self.progress.refused
        return outcome
