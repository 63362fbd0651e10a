"""Meters: what a queue, or one group key in it, may start at what instant.

A rate limit is a token bucket of `burst` units that is filled evenly with `units` in each `period`. It is kept as the
one instant at which it will be full again: taking from it moves that instant on, and time does the rest. Nothing has
to be filled, a bucket at rest has no row, and in exact arithmetic nothing drifts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from quarterdeck_server.engine.flow.limits import QueueLimits, Rate
from quarterdeck_server.engine.timeunits import SECOND


class MeterKey(NamedTuple):
    """Whose meter it is."""

    namespace: str
    queue: str
    whole: int
    """1 for the whole queue, whose group key is empty then; 0 for one group key."""
    group_key: str


class Meter(NamedTuple):
    """The state of one bucket, and of the rest that an agent asked for."""

    full_at: int = 0
    """When the bucket is full again, rounded down to a microsecond."""
    back_off_until: int = 0
    """Nothing is started before."""
    part: int = 0
    """What was rounded off, in parts of a microsecond: as many as the rate has units."""


REST = Meter()
"""A full bucket of which nobody asked for a rest."""

STEP = SECOND
"""A step back of the wall clock up to which meters are left alone: they stand still for no longer than that."""


def whole_queue(namespace: str, queue: str) -> MeterKey:
    """Return the key of a whole queue's meter."""
    return MeterKey(namespace, queue, 1, "")


def one_key(namespace: str, queue: str, group_key: str) -> MeterKey:
    """Return the key of one group key's meter."""
    return MeterKey(namespace, queue, 0, group_key)


def _burst(rate: Rate) -> int:
    return rate.burst or rate.units


def available_at(meter: Meter, rate: Rate, units: int, now: int) -> int:
    """Return the instant from which `units` may be started, `now` or later.

    A bucket that holds fewer units than that gives them when it is full.
    """
    earliest = max(now, meter.back_off_until)
    if not rate.units:
        return earliest
    burst = _burst(rate)
    owed = meter.full_at * rate.units + meter.part
    allowed = (burst - min(units, burst)) * rate.period
    return max(earliest, -((allowed - owed) // rate.units))


def take(meter: Meter, rate: Rate, units: int, now: int) -> Meter | int:
    """Start `units` now.

    Args:
        meter: As it is.
        rate: The limit; one of no units lets everything through.
        units: What the start takes, at least 1.
        now: The instant.

    Returns:
        The meter afterwards, or the instant at which it would be possible, which is later than `now`.
    """
    possible = available_at(meter, rate, units, now)
    if possible > now:
        return possible
    if not rate.units:
        return meter
    owed = max(meter.full_at * rate.units + meter.part, now * rate.units) + units * rate.period
    full_at, part = divmod(owed, rate.units)
    return Meter(full_at, meter.back_off_until, part)


def back_off(meter: Meter, until: int) -> Meter:
    """Rest until an instant. An earlier one than was asked for before changes nothing."""
    return meter if until <= meter.back_off_until else meter._replace(back_off_until=until)


def edited(meter: Meter, before: Rate, after: Rate, now: int) -> Meter:
    """Return the meter under another rate: what was taken and not filled again stays so, as far as the new bucket goes.

    So a higher rate or a larger bucket helps at once, and a smaller bucket begins empty at worst.
    """
    if before == after:
        return meter
    owed = meter.full_at * before.units + meter.part - now * before.units
    if not (before.units and after.units) or owed <= 0:
        return meter._replace(full_at=0, part=0)
    owed = min(-(-owed * after.period // before.period), _burst(after) * after.period)
    full_at, part = divmod(now * after.units + owed, after.units)
    return meter._replace(full_at=full_at, part=part)


def at_rest(meter: Meter, now: int) -> bool:
    """Say whether a meter says no more than REST does."""
    return meter.full_at + bool(meter.part) <= now and meter.back_off_until <= now


def stepped_back(seen: int, now: int) -> int:
    """Return how far the wall clock was set back since it was last looked at; 0 for a small step."""
    return seen - now if seen - now > STEP else 0


class Meters:
    """The meters of a unit of work: those that the store has, and those that it changed."""

    def __init__(self, stored: Mapping[MeterKey, Meter] | None = None) -> None:
        self.stored: Mapping[MeterKey, Meter] = stored or {}
        self.changed: dict[MeterKey, Meter] = {}
        self.removed: set[MeterKey] = set()
        """Those at rest that need no row."""

    def get(self, key: MeterKey) -> Meter:
        """Return a meter; one that was never used is at rest."""
        return self.changed.get(key) or self.stored.get(key, REST)

    def put(self, key: MeterKey, meter: Meter) -> None:
        """Replace a meter."""
        self.changed[key] = meter

    def bring_forward(self, by: int, now: int) -> None:
        """Follow a wall clock that was set back: what was left to wait then is left now."""
        for key, meter in {**self.stored, **self.changed}.items():
            if not at_rest(meter, now):
                full_at, rest = max(0, meter.full_at - by), max(0, meter.back_off_until - by)
                self.put(key, meter._replace(full_at=full_at, back_off_until=rest))

    def limits_changed(
        self, namespace: str, queue: str, before: QueueLimits, after: QueueLimits, now: int
    ) -> None:
        """Carry the meters of a queue over to its new rates."""
        if (before.rate, before.rate_per_key) == (after.rate, after.rate_per_key):
            return
        for key in {**self.stored, **self.changed}:
            if key.namespace == namespace and key.queue == queue:
                rates = (before.rate, after.rate)
                if not key.whole:
                    rates = (before.rate_per_key, after.rate_per_key)
                self.put(key, edited(self.get(key), *rates, now))
