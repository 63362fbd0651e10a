"""Where a task's time went: its life as spans in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from quarterdeck_server.engine.explain.facts import Stored
from quarterdeck_server.engine.explain.texts import span as text_of
from quarterdeck_server.engine.model import Attempt, Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.retry import backoff
from quarterdeck_server.engine.states import BLOCKED, ENDED, READY, RUNNING, SCHEDULED, Outcome


class Span(NamedTuple):
    """One part of a task's life."""

    phase: str
    """`blocked`, `delayed`, `ready`, `running` or `backoff`, the values of `quarterdeck.v1.LifePhase`."""
    start: int
    end: int | None
    """None for what goes on."""
    attempt: int = 0


_WORDS = {
    "blocked": "waiting for other tasks",
    "delayed": "waiting for its start time",
    "ready": "waiting in its queue",
    "running": "running",
    "backoff": "waiting before retries",
}


def spans(stored: Stored) -> list[Span]:
    """Return the task's life in order, without spans of no length.

    What the rows do not keep is taken together: of a task that was retried, the wait for its first start is all
    `ready`, its delay being forgotten; a wait between two attempts is `backoff` for as long as the policy says, but for
    the last one, of which it is known when it was over.
    """
    task = stored.task
    found = [*_before_first(stored), *_attempts(task, stored.attempts), *_last_wait(stored)]
    return [part for part in found if part.end is None or part.end > part.start]


def _first_start(stored: Stored) -> int | None:
    if stored.attempts:
        return stored.attempts[0].start_time
    return stored.task.claim_time


def _before_first(stored: Stored) -> Iterator[Span]:
    task, start = stored.task, _first_start(stored)
    end = start if start is not None else task.end_time
    begun = task.create_time
    if task.state == BLOCKED or task.pending:
        # One that ended while something was pending was blocked to the end.
        yield Span("blocked", begun, end)
        return
    if stored.unblocked_at is not None:
        cleared = max(begun, stored.unblocked_at if end is None else min(end, stored.unblocked_at))
        yield Span("blocked", begun, cleared)
        begun = cleared
    if not stored.attempts and task.run_at > begun:
        delayed = task.run_at if end is None else min(end, task.run_at)
        waiting = task.state == SCHEDULED
        yield Span("delayed", begun, None if waiting else delayed)
        if waiting:
            return
        begun = delayed
    yield Span("ready", begun, end)


def _attempts(task: Task, attempts: Sequence[Attempt]) -> Iterator[Span]:
    used = _used(task, attempts)
    for place, attempt in enumerate(attempts):
        yield Span("running", attempt.start_time, attempt.end_time, attempt.attempt)
        later = attempts[place + 1 : place + 2]
        if later:
            last = place + 2 == len(attempts) and task.state in ENDED
            run_at = task.run_at if last else None
            yield from _between(task, attempt, used[place], later[0].start_time, run_at)
    if task.state == RUNNING and task.claim_time is not None:
        if attempts:
            yield from _between(task, attempts[-1], used[-1], task.claim_time, task.run_at)
        yield Span("running", task.claim_time, None, task.attempt)


def _used(task: Task, attempts: Sequence[Attempt]) -> list[int]:
    """How many attempts were used with each: those that were given back and those before a retry by hand not counted.

    It is 0 of the one after which the task was retried by hand, the last time. Before that it is not known, and the
    attempt's number stands for it.
    """
    used = []
    free = task.max_attempts - policy_of(task.policy).max_attempts
    for attempt in reversed(attempts):
        free -= attempt.outcome == Outcome.RELEASED
        used.append(attempt.attempt - free if attempt.attempt >= free else attempt.attempt)
    return used[::-1]


def _between(
    task: Task, attempt: Attempt, used: int, start: int, run_at: int | None
) -> Iterator[Span]:
    """The wait between two attempts: the backoff, which the error may have set, then the line.

    For how long a task had ended that was retried by hand is no part of its life.
    """
    due = attempt.end_time
    if not used:
        if run_at is not None and due <= run_at <= start:
            yield Span("ready", run_at, start)
        return
    if attempt.outcome in (Outcome.FAILED, Outcome.REVOKED):
        if run_at is None or not attempt.end_time <= run_at <= start:
            run_at = due + backoff(policy_of(task.policy), used, task.id)
        due = min(start, run_at)
        yield Span("backoff", attempt.end_time, due, attempt.attempt)
    yield Span("ready", due, start)


def _last_wait(stored: Stored) -> Iterator[Span]:
    """What comes after the last attempt of a task that waits for another, or ended while it did."""
    task = stored.task
    if not stored.attempts or task.state == RUNNING:
        return
    last = stored.attempts[-1]
    if not _used(task, stored.attempts)[-1] and task.state != SCHEDULED:
        end = task.end_time
        if end is None or end > max(last.end_time, task.run_at):
            yield Span("ready", max(last.end_time, task.run_at), end)
    elif task.state == SCHEDULED:
        yield Span("backoff", last.end_time, None, last.attempt)
    elif task.state == READY:
        due = max(last.end_time, task.run_at)
        yield Span("backoff", last.end_time, due, last.attempt)
        yield Span("ready", due, None)
    elif task.end_time is not None and task.end_time > last.end_time:
        yield Span("backoff", last.end_time, task.end_time, last.attempt)


def time_summary(parts: Sequence[Span], now: int) -> str:
    """Say in one sentence where most of the time went."""
    if not parts:
        return "it ended as it was submitted"
    lengths: dict[str, int] = defaultdict(int)
    for part in parts:
        lengths[part.phase] += (now if part.end is None else part.end) - part.start
    total = sum(lengths.values())
    if total <= 0:
        return "it took no time yet"
    ranked = sorted(lengths.items(), key=lambda item: -item[1])
    shares = [
        f"{text_of(length)} ({100 * length // total} %) {_WORDS[phase]}"
        for phase, length in ranked
        if length
    ]
    return f"of {text_of(total)}: " + ", ".join(shares)
