"""The audit log: what operators did by hand, and what the server did by a rule.

A command that carries an `Audit` is entered in the transaction that carries it out, so the log neither misses what was
done nor tells of what was not. `decide` does it for every command; what a rule does is entered with `enter`.
"""

from __future__ import annotations

from typing import Any

from quarterdeck_server.engine.commands import Audit, Command, PutSchedule, Refusal
from quarterdeck_server.engine.model import AuditEntry
from quarterdeck_server.engine.world import World

SERVER = "server"
"""The actor of what a rule did."""

UNKNOWN = "unknown"
"""The actor of a call that does not say who makes it."""


def enter(world: World, namespace: str, audit: Audit, done: int, change: str = "") -> int:
    """Begin an entry, or go on with the one that `audit` names; return its id.

    Args:
        world: Holds the entry that is gone on with.
        namespace: The tenant.
        audit: Who, what and why.
        done: For how many it was done, beside those that the entry counts already.
        change: What it changed, in words.
    """
    entry_id = world.new_id() if audit.entry_id is None else audit.entry_id
    key = (namespace, entry_id)
    known = world.audit.get(key)
    if known is None:
        known = AuditEntry(
            namespace,
            entry_id,
            world.now,
            audit.actor or UNKNOWN,
            audit.action,
            audit.reason,
            audit.target,
            audit.filter,
            audit.matched,
            0,
            change,
        )
    world.audit[key] = known._replace(done=known.done + done, change=change or known.change)
    world.dirty_audit.add(key)
    return entry_id


def record(world: World, command: Command, audit: Audit, reply: Any, unchanged: int) -> None:
    """Enter a command that was carried out, and found so many of its items as it would have them."""
    namespace = command_namespace(command)
    enter(world, namespace, audit, _done(reply) - unchanged, world.changed)
    world.changed = ""


def command_namespace(command: Command) -> str:
    """Return the tenant of a command that somebody may give by hand."""
    if isinstance(command, PutSchedule):
        return command.schedule.namespace
    namespace: str = command.namespace  # type: ignore[union-attr]
    return namespace


def _done(reply: Any) -> int:
    """Count what was not refused."""
    if isinstance(reply, list):
        return sum(not _refused(item) for item in reply)
    return int(not _refused(reply))


def _refused(item: Any) -> bool:
    if item is False or isinstance(item, Refusal):
        return True
    return getattr(item, "refusal", None) is not None
