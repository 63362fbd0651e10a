"""What keeps tasks from being handed out by hand or by rule: freezes, paused names, quarantines.

Holds are few, so a store keeps all of them in memory and every World sees them. Whoever hands out tasks asks here;
`if world.holds` comes first, so that where nothing is held nobody pays.
"""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck_server.engine.commands import Claim
from quarterdeck_server.engine.model import Hold
from quarterdeck_server.engine.states import HoldKind

NAMESPACE, TASK_NAME = int(HoldKind.NAMESPACE), int(HoldKind.TASK_NAME)
AGENT, AGENT_VERSION = int(HoldKind.AGENT), int(HoldKind.AGENT_VERSION)

MAX_HOLDS = 10_000
"""Of one namespace: what one answer lists."""

Holds = Mapping[tuple[str, int, str], Hold]
"""By namespace, kind and subject."""


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


def is_full(holds: Holds, namespace: str) -> bool:
    """Say whether a namespace has as many holds as it may."""
    return len(holds) >= MAX_HOLDS and sum(key[0] == namespace for key in holds) >= MAX_HOLDS
