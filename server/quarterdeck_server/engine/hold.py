"""Holding by hand, and letting go."""

from __future__ import annotations

from quarterdeck_server.engine.audit import UNKNOWN
from quarterdeck_server.engine.commands import PutHold, Refusal, ReleaseHold
from quarterdeck_server.engine.differences import held_kind, hold_change
from quarterdeck_server.engine.flow.holds import MAX_HOLDS, NAMESPACE, is_full
from quarterdeck_server.engine.model import Hold
from quarterdeck_server.engine.states import HoldKind
from quarterdeck_server.engine.world import World


def put_hold(world: World, command: PutHold) -> Hold | Refusal:
    """Hold something by hand. A freeze that is there stays as it is; another hold is replaced, from now on by hand.

    One that is replaced by its like counts as unchanged.
    """
    key = (command.namespace, command.kind, command.subject)
    known = world.holds.get(key)
    if known is not None and command.kind == NAMESPACE:
        world.unchanged += 1
        return known
    if known is None and is_full(world.holds, command.namespace):
        message = (
            f"namespace {command.namespace!r} has {MAX_HOLDS} holds; release some of them first"
        )
        return Refusal("LIMIT_EXCEEDED", message, (("limit", str(MAX_HOLDS)),))
    hold = Hold(
        *key,
        quarantined=0,
        actor=command.actor or UNKNOWN,
        reason=command.reason,
        drops=int(command.drops),
        create_time=world.now if known is None else known.create_time,
        revision=0,
    )
    unchanged = known is not None and known._replace(revision=0) == hold
    world.unchanged += unchanged
    if command.audit is not None and not unchanged:
        world.changed = hold_change(known, hold)
    return world.put_hold(hold)


def release_hold(world: World, command: ReleaseHold) -> Hold | Refusal:
    """End a hold; answered with the hold as it was. What failed before the release does not count for a quarantine."""
    key = (command.namespace, command.kind, command.subject)
    hold = world.holds.get(key)
    if hold is None:
        return hold_not_found(command.kind, command.subject)
    world.delete_hold(hold)
    world.streaks[key] = 0
    if command.audit is not None and command.kind != NAMESPACE:
        world.changed = f"{held_kind(command.kind)} released"
    return hold


def hold_not_found(kind: int, subject: str) -> Refusal:
    """Refuse to release what is not held."""
    return Refusal(
        "HOLD_NOT_FOUND",
        f"{held_kind(kind)} {subject!r} is not held; ListHolds has all that is",
        (("kind", HoldKind(kind).name), ("subject", subject)),
    )
