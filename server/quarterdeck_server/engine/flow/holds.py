"""What keeps tasks from being handed out by hand or by rule: freezes, paused names, quarantines.

Holds are few, so a store keeps all of them in memory and every World sees them. Whoever hands out tasks asks here;
`if world.holds` comes first, so that where nothing is held nobody pays.
"""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck_server.engine.audit import UNKNOWN
from quarterdeck_server.engine.commands import Claim, PutHold, Refusal, ReleaseHold
from quarterdeck_server.engine.model import Hold
from quarterdeck_server.engine.states import HoldKind
from quarterdeck_server.engine.world import HoldKey, World

NAMESPACE, TASK_NAME = int(HoldKind.NAMESPACE), int(HoldKind.TASK_NAME)
AGENT, AGENT_VERSION = int(HoldKind.AGENT), int(HoldKind.AGENT_VERSION)

MAX_HOLDS = 10_000
"""Of one namespace: what one answer lists."""

Holds = Mapping[HoldKey, Hold]


def frozen(holds: Holds, namespace: str) -> Hold | None:
    """Return the freeze of a namespace, if there is one."""
    return holds.get((namespace, NAMESPACE, ""))


def name_held(holds: Holds, namespace: str, name: str) -> Hold | None:
    """Return what holds the tasks of a name, if something does. A freeze is not looked at."""
    return holds.get((namespace, TASK_NAME, name))


def agent_held(holds: Holds, namespace: str, agent_id: str, name: str, version: str) -> Hold | None:
    """Return what holds an agent: a hold of its own, or of all agents of its name and version."""
    return holds.get((namespace, AGENT, agent_id)) or holds.get(
        (namespace, AGENT_VERSION, version_subject(name, version))
    )


def handed_out(holds: Holds, namespace: str, names: Mapping[str, int]) -> dict[str, int]:
    """Leave out of a count by task name what is held: all of it in a frozen namespace."""
    if frozen(holds, namespace):
        return {}
    return {name: n for name, n in names.items() if not name_held(holds, namespace, name)}


def claim_held(holds: Holds, claim: Claim) -> bool:
    """Say whether a waiting claim is given nothing because its agent is held."""
    namespace = claim.profile.namespace
    own = (namespace, AGENT, claim.agent_id) in holds
    return own or (namespace, AGENT_VERSION, claim.agent_version) in holds


def version_subject(name: str, version: str) -> str:
    """Return the subject of a hold of all agents of one name and version; no name has an @."""
    return f"{name}@{version}"


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
        world.changed = put_words(known, hold)
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
        world.changed = f"{kind_words(command.kind)} released"
    return hold


def kind_words(kind: int) -> str:
    """Say what is held."""
    return HoldKind(kind).name.lower().replace("_", " ")


def put_words(before: Hold | None, hold: Hold) -> str:
    """Say for the audit log what became of what is held; of a freeze its action says all."""
    if hold.kind == NAMESPACE:
        return ""
    by_hand = before is not None and before.quarantined and not hold.quarantined
    said = f"{kind_words(hold.kind)} held{' by hand' if by_hand else ''}"
    dropped = 0 if before is None else before.drops
    if dropped != hold.drops:
        said += f", drops what arrives: {'no → yes' if hold.drops else 'yes → no'}"
    return said


def is_full(holds: Holds, namespace: str) -> bool:
    """Say whether a namespace has as many holds as it may."""
    return len(holds) >= MAX_HOLDS and sum(key[0] == namespace for key in holds) >= MAX_HOLDS


def hold_not_found(kind: int, subject: str) -> Refusal:
    """Refuse to release what is not held."""
    return Refusal(
        "HOLD_NOT_FOUND",
        f"{kind_words(kind)} {subject!r} is not held; ListHolds has all that is",
        (("kind", HoldKind(kind).name), ("subject", subject)),
    )
