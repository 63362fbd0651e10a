"""What must be true of every hand-off: a second and simpler account of who may be given what.

It knows limits, rates, rests, holds, labels and batches as their rules are told to operators, counts with fractions
instead of instants, looks at every ready task, and keeps neither lanes nor turns. So it shares nothing with what the
engine does but the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

from quarterdeck_server.engine.commands import Batch, Claim
from quarterdeck_server.engine.flow.affinity import admits
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import QueueLimits, Rate, limits_of
from quarterdeck_server.engine.flow.supply import order
from quarterdeck_server.engine.model import Queue, Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import READY, RUNNING

Key = tuple[str, str]
Scope = tuple[str, str | None]
"""A queue's name and a group key in it; None for the whole queue."""

ROUNDING = Fraction(1, 1000)
"""Units by which the engine may count more as taken than was, when a rate is edited: it keeps whole microseconds."""


class Moment(NamedTuple):
    """One hand-off: what it found, and what it did."""

    now: int
    queues: Mapping[Key, Queue]
    tasks: Mapping[int, Task]
    """As they are after it."""
    started: Mapping[int, Task]
    """As they were before it."""
    claims: Sequence[Claim]
    name_held: Callable[[str], bool]
    agent_held: Callable[[str], bool]
    reopen: Iterable[tuple[int, Key]]


def key_of(task: Task) -> str:
    """The group key of a task."""
    return lane_of(task.lane).group_key


class HandOffs:
    """Follows the hand-offs of the namespace "default" from one to the next."""

    def __init__(self) -> None:
        self.rests: dict[Scope, int] = {}
        """Until when agents asked for a rest."""
        self._limits: dict[str, QueueLimits] = {}
        self._taken: dict[Scope, tuple[Fraction, int]] = {}
        """Units that are missing from a bucket, and when that was so."""
        self._shares: dict[Scope, Fraction] = {}
        """The largest turn that a key ever had: what it was given under another weight is not taken back."""
        self._windows: dict[str, dict[tuple[str, str], Counter[str]]] = {}
        """Of two keys that could both be served at every start since: how often each was."""

    def limits(self, queue: str) -> QueueLimits:
        """The limits of a queue."""
        return self._limits.get(queue, QueueLimits())

    def edit(self, queue: str, limits: QueueLimits, now: int) -> None:
        """The limits of a queue are others: what was taken stays so, as far as the new bucket goes."""
        before = self.limits(queue)
        self._windows.pop(queue, None)
        for scope in [scope for scope in self._taken if scope[0] == queue]:
            field = "rate" if scope[1] is None else "rate_per_key"
            old, new = getattr(before, field), getattr(limits, field)
            if old != new:
                missing = self._missing(scope, old, now)
                kept = old.units and new.units
                full = Fraction(_burst(new))
                self._taken[scope] = (min(missing, full) if kept else Fraction(0), now)
        self._limits[queue] = limits

    def rest(self, queue: str, key: str | None, until: int) -> None:
        """An agent asked for a rest."""
        self.rests[queue, key] = max(until, self.rests.get((queue, key), 0))

    def forget_turns(self) -> None:
        """The server began anew: turns are kept in memory only."""
        self._windows.clear()

    def check(self, moment: Moment) -> None:
        """Go through a hand-off claim by claim."""
        for (_, name), queue in moment.queues.items():
            assert limits_of(queue.limits) == self.limits(name), (
                "the limits are those that were set"
            )
            rest = self.rests.get((name, None), 0)
            assert queue.back_off_until == rest or (not queue.back_off_until and rest <= moment.now)
        line = _HandOff(self, moment)
        for claim in sorted(moment.claims, key=lambda one: one.place):
            line.serve(claim)
        line.check_reopen()
        given = {task.id for claim in moment.claims for task in claim.taken}
        assert given == moment.started.keys(), "what starts was given to a claim"

    def _missing(self, scope: Scope, rate: Rate, now: int) -> Fraction:
        missing, since = self._taken.get(scope, (Fraction(0), now))
        return max(Fraction(0), missing - Fraction(rate.units * (now - since), rate.period))

    def allows(self, scope: Scope, units: int, now: int, spare: Fraction = Fraction(0)) -> bool:
        """Say whether a rate and a rest let so many units through now."""
        if self.rests.get(scope, 0) > now:
            return False
        rate = self._rate(scope)
        if not rate.units:
            return True
        burst = _burst(rate)
        return self._missing(scope, rate, now) + spare <= burst - min(units, burst)

    def _rate(self, scope: Scope) -> Rate:
        limits = self.limits(scope[0])
        return limits.rate if scope[1] is None else limits.rate_per_key

    def take(self, scope: Scope, units: int, now: int) -> None:
        """Take units from a bucket, which may hold fewer."""
        rate = self._rate(scope)
        if rate.units:
            self._taken[scope] = (self._missing(scope, rate, now) + units, now)

    def turn(self, queue: str, key: str, able: set[str]) -> None:
        """A key was served while all of `able` could have been: the shares of two of them never part by more than one
        turn of each, however long both wait (the bound of start-time fair queueing).
        """
        windows = self._windows.get(queue, {})
        weights = dict(self.limits(queue).weights)
        for k in able | {key}:
            share = Fraction(1, weights.get(k, 1))
            self._shares[queue, k] = max(share, self._shares.get((queue, k), share))
        pairs = combinations(sorted(able), 2) if key in able else ()
        self._windows[queue] = {pair: windows.get(pair, Counter()) for pair in pairs}
        for (one, other), served in self._windows[queue].items():
            if key in (one, other):
                served[key] += 1
            share, share_of_other = (Fraction(1, weights.get(k, 1)) for k in (one, other))
            apart = abs(served[one] * share - served[other] * share_of_other)
            most = self._shares[queue, one] + self._shares[queue, other]
            assert apart <= most, f"turns of {one!r} and {other!r}: {served}"


def _burst(rate: Rate) -> int:
    return rate.burst or rate.units


class _HandOff:
    """What is ready and what runs, from claim to claim."""

    def __init__(self, book: HandOffs, moment: Moment) -> None:
        self._book = book
        self._moment = moment
        self._now = moment.now
        tasks = moment.tasks.values()
        self._ready = {t.id: t for t in tasks if t.state == READY} | dict(moment.started)
        self._left: set[int] = set()
        """Tasks that claims with room might have had but for limits."""
        self._running: Counter[Scope] = Counter()
        for task in tasks:
            if task.state == RUNNING and task.id not in moment.started:
                self._count(task)

    def _count(self, task: Task) -> None:
        self._running[task.queue, None] += 1
        self._running[task.queue, key_of(task)] += 1

    def serve(self, claim: Claim) -> None:
        """Hold what a claim was given, and what it was not, against the rules."""
        if self._moment.agent_held(claim.agent_id):
            assert not claim.taken, "who is held is given nothing"
            return
        batch = claim.profile.batch
        if batch is None:
            assert len(claim.taken) <= claim.max_tasks
            self._check_plain_order(claim)
        elif claim.taken:
            self._check_batch(claim, batch)
        for task in claim.taken:
            self._start(claim, self._moment.started[task.id])
        if batch is None and len(claim.taken) < claim.max_tasks:
            self._check_nothing_left(claim, self._matching(claim))
        elif batch is not None:
            self._check_no_batch_left(claim, batch)

    def _matching(self, claim: Claim) -> list[Task]:
        return [task for task in self._ready.values() if self._may_have(claim, task)]

    def _may_have(self, claim: Claim, task: Task) -> bool:
        profile = claim.profile
        return (
            task.queue in profile.queues
            and (profile.names is None or task.name in profile.names)
            and not self._moment.queues[task.namespace, task.queue].paused
            and not self._moment.name_held(task.name)
            and admits(lane_of(task.lane), claim.labels, claim.agent_id)
        )

    def _start(self, claim: Claim, task: Task) -> None:
        book, key, now = self._book, key_of(task), self._now
        mine = self._matching(claim)
        assert task in mine, "a claim is given what it asked for, of what is handed out"
        units = policy_of(task.policy).units
        for scope in ((task.queue, None), (task.queue, key)):
            assert self._has_room(scope), f"the limit of concurrency of {scope}"
            assert book.allows(scope, units, now), f"the rate, or the rest, of {scope}"
        rivals = [t for t in mine if t.queue == task.queue and key_of(t) == key]
        if claim.profile.batch is not None:
            rivals = [t for t in rivals if t.name == task.name]
            book.turn(task.queue, key, set())
        else:
            able = {key_of(t) for t in mine if t.queue == task.queue and self._can_start(t, mine)}
            book.turn(task.queue, key, able)
        assert task == min(rivals, key=self._place), "priority, then time, then id"
        for scope in ((task.queue, None), (task.queue, key)):
            book.take(scope, units, now)
        del self._ready[task.id]
        self._count(task)

    def _place(self, task: Task) -> tuple[int, int, int]:
        span = self._book.limits(task.queue).ageing
        risen = max(0, self._now - task.run_at) // span if span else 0
        return (-min(9, task.priority + risen), task.run_at, task.id)

    def _has_room(self, scope: Scope) -> bool:
        limits = self._book.limits(scope[0])
        limit = (limits.concurrency if scope[1] is None else limits.concurrency_per_key).limit
        return not limit or self._running[scope] < limit

    def _can_start(self, task: Task, mine: Iterable[Task]) -> bool:
        """Say whether nothing is in the way of a task, nor of any that may stand before it in its line."""
        key = key_of(task)
        for scope, line in (
            ((task.queue, None), [t for t in self._ready.values() if t.queue == task.queue]),
            ((task.queue, key), [t for t in mine if t.queue == task.queue and key_of(t) == key]),
        ):
            units = max(policy_of(t.policy).units for t in line)
            if not self._has_room(scope):
                return False
            if not self._book.allows(scope, units, self._now, ROUNDING):
                return False
        return True

    def _check_plain_order(self, claim: Claim) -> None:
        """Where nothing but the order counts, the queues are served as if they were one."""
        mine = self._matching(claim)
        queues = {task.queue for task in self._ready.values()} & set(claim.profile.queues)
        if any(task.lane for task in mine) or any(
            self._book.limits(name) != QueueLimits() or (name, None) in self._book.rests
            for name in queues
        ):
            return
        if any((name, "") in self._book.rests for name in queues):
            return
        first = sorted(mine, key=order)[: claim.max_tasks]
        assert [task.id for task in claim.taken] == [task.id for task in first]

    def _check_nothing_left(self, claim: Claim, mine: list[Task]) -> None:
        """A claim that was not filled has left nothing that it could have had."""
        for task in mine:
            assert not self._can_start(task, mine), f"{task} waits beside {claim}"
        self._left.update(task.id for task in mine)

    def check_reopen(self) -> None:
        """What time alone keeps from claims is looked at again when its time has come."""
        reopen = {key for at, key in self._moment.reopen if at > self._now}
        for task in self._ready.values():
            scopes = ((task.queue, None), (task.queue, key_of(task)))
            if task.id in self._left and all(self._has_room(scope) for scope in scopes):
                assert (task.namespace, task.queue) in reopen, "nobody would look at it again"

    def _check_batch(self, claim: Claim, batch: Batch) -> None:
        taken = [self._moment.started[task.id] for task in claim.taken]
        assert len(taken) <= batch.size
        assert len({(t.queue, t.name, key_of(t)) for t in taken}) == 1, "of one sort"
        line = [t for t in self._matching(claim) if _sort(t) == _sort(taken[0])]
        assert self._ripe(line, batch), "there were enough, or the oldest had waited"

    def _ripe(self, line: Sequence[Task], batch: Batch) -> bool:
        oldest = min(task.run_at for task in line)
        return len(line) >= batch.size or oldest + batch.linger <= self._now

    def _check_no_batch_left(self, claim: Claim, batch: Batch) -> None:
        mine = self._matching(claim)
        if claim.taken:
            if len(claim.taken) < batch.size:
                last = self._moment.started[claim.taken[-1].id]
                line = [task for task in mine if _sort(task) == _sort(last)]
                assert not any(self._can_start(task, line) for task in line), "a whole batch"
            return
        for sort in {_sort(task) for task in mine}:
            line = [task for task in mine if _sort(task) == sort]
            if self._ripe(line, batch):
                assert not self._can_start(line[0], line), f"a batch of {sort} waits beside {claim}"


def _sort(task: Task) -> tuple[str, str, str]:
    return task.queue, task.name, key_of(task)
