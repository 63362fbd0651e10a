"""What a command of an operator changed, in words for the audit log: `paused`, `concurrency any → 10`."""

from __future__ import annotations

from typing import Any

from quarterdeck_server.engine.commands import TaskChange
from quarterdeck_server.engine.explain.texts import many, span
from quarterdeck_server.engine.flow.limits import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    REJECT,
    WAIT,
    Concurrency,
    QueueLimits,
    Rate,
    limits_of,
)
from quarterdeck_server.engine.model import Hold, Queue
from quarterdeck_server.engine.namespaces import NamespaceSettings
from quarterdeck_server.engine.states import HoldKind

MOST_WORDS = 512
"""Characters of an entry; what is beyond is cut."""

_OVER = {
    WAIT: "wait",
    REJECT: "reject",
    CANCEL_OLDEST: "cancel the oldest",
    CANCEL_NEWEST: "cancel the newest",
}


def queue_change(before: Queue, after: Queue) -> str:
    """Say what is another of a queue; empty when nothing is."""
    said = []
    if before.paused != after.paused:
        said.append("paused" if after.paused else "resumed")
    if before.drops != after.drops:
        said.append(f"drops what arrives while paused: {_yes(before.drops)} → {_yes(after.drops)}")
    return _cut(said + _limit_changes(limits_of(before.limits), limits_of(after.limits)))


def namespace_change(before: NamespaceSettings, after: NamespaceSettings) -> str:
    """Say what is another of a namespace; empty when nothing is."""
    kept = [
        f"{state} kept {_kept(old)} → {_kept(new)}"
        for state, old, new in zip(
            before.retention._fields, before.retention, after.retention, strict=True
        )
        if old != new
    ]
    held = [
        f"{subject} held {_after(old)} → {_after(new)}"
        for subject, old, new in zip(
            before.quarantine._fields, before.quarantine, after.quarantine, strict=True
        )
        if old != new
    ]
    return _cut(kept + held)


def hold_change(before: Hold | None, hold: Hold) -> str:
    """Say what became of what is held; empty of a freeze, of which the action of its entry says all."""
    if hold.kind == HoldKind.NAMESPACE:
        return ""
    by_hand = before is not None and before.quarantined and not hold.quarantined
    said = [f"{held_kind(hold.kind)} held{' by hand' if by_hand else ''}"]
    dropped = 0 if before is None else before.drops
    if dropped != hold.drops:
        said.append(f"drops what arrives: {_yes(dropped)} → {_yes(hold.drops)}")
    return _cut(said)


def held_kind(kind: int) -> str:
    """Say what a hold of a kind holds."""
    return HoldKind(kind).name.lower().replace("_", " ")


def task_change(change: TaskChange, now: int) -> str:
    """Say what tasks are to become; each had something of its own before."""
    said = []
    if change.priority is not None:
        said.append(f"priority {change.priority}")
    if change.queue is not None:
        said.append(f"queue {change.queue}")
    start = now + change.delay if change.delay is not None else change.run_at
    if start is not None:
        said.append(f"starts in {span(start - now)}" if start > now else "starts at once")
    if change.retry is not None:
        said.append("retries")
    if change.timeouts is not None:
        said.append("timeouts")
    said += [
        f"label {name}={value}" if value else f"no label {name}" for name, value in change.labels
    ]
    return _cut(said)


def _limit_changes(before: QueueLimits, after: QueueLimits) -> list[str]:
    said = [
        f"{name.replace('_', ' ')} {_limit(old)} → {_limit(new)}"
        for name, old, new in zip(QueueLimits._fields, before, after, strict=True)
        if name != "weights" and old != new
    ]
    old_weights, new_weights = dict(before.weights), dict(after.weights)
    for key in sorted(old_weights.keys() | new_weights.keys()):
        old_weight, new_weight = old_weights.get(key, 1), new_weights.get(key, 1)
        if old_weight != new_weight:
            said.append(f"weight of {key} {old_weight} → {new_weight}")
    return said


def _limit(value: Any) -> str:
    match value:
        case Concurrency(limit=0) | Rate(units=0):
            return "any"
        case Concurrency():
            return f"{value.limit:,}" + (
                f" ({_OVER[value.overflow]})" if value.overflow != WAIT else ""
            )
        case Rate():
            bursts = f" (bursts of {value.burst:,})" if value.burst not in (0, value.units) else ""
            return f"{many(value.units, 'unit')} in {span(value.period)}{bursts}"
    return span(value) if value else "never"


def _yes(flag: int) -> str:
    return "yes" if flag else "no"


def _kept(time: int | None) -> str:
    if time is None:
        return "as the server's"
    return span(time) if time else "not at all"


def _after(failures: int) -> str:
    return f"after {many(failures, 'failure')}" if failures else "never"


def _cut(said: list[str]) -> str:
    text = ", ".join(said)
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"
