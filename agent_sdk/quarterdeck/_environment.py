"""What the environment says: where the server is, and what a pool expects of its instance."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarterdeck._agent import Agent
from quarterdeck._errors import DefinitionError

DEFAULT_ADDRESS = "127.0.0.1:7400"

_ADDRESS = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")


def resolve_address(address: str | None) -> str:
    """The server to use: as given, else `QUARTERDECK_SERVER`, else the default.

    Raises:
        ValueError: It is no `host:port`, so that gRPC would look for the server elsewhere.
    """
    chosen = address or os.environ.get("QUARTERDECK_SERVER") or DEFAULT_ADDRESS
    target = chosen.removeprefix("http://").rstrip("/")
    found = _ADDRESS.fullmatch(target)
    if found is None or not 0 < int(found["port"]) < 65_536:
        whose = "" if address else " (from QUARTERDECK_SERVER)"
        raise ValueError(
            f"address: expected host:port such as {DEFAULT_ADDRESS}, got {chosen!r}{whose}"
        )
    return target


def resolve_namespace(namespace: str | None) -> str:
    """The tenant: as given, else `QUARTERDECK_NAMESPACE`, else `default`."""
    return namespace or os.environ.get("QUARTERDECK_NAMESPACE") or "default"


@dataclass(frozen=True, slots=True)
class Post:
    """Where and how much an agent works.

    Attributes:
        slots: How many tasks it runs at once.
        queues: The lines it takes from.
        instance_id: The pool instance that it is; empty when it was started by hand.
    """

    slots: int
    queues: Sequence[str]
    instance_id: str = ""


def post_of(agent: Agent, environ: Mapping[str, str] = os.environ) -> Post:
    """What the agent says of itself; in a pool's instance, what the pool's settings say.

    Raises:
        DefinitionError: `QUARTERDECK_SLOTS` is no number.
    """
    instance_id = environ.get("QUARTERDECK_INSTANCE_ID", "")
    if not instance_id:
        return Post(agent.slots, agent.queues)
    slots = environ.get("QUARTERDECK_SLOTS") or str(agent.slots)
    if not slots.isdecimal() or int(slots) < 1:
        raise DefinitionError(f"QUARTERDECK_SLOTS: expected a number from 1 on, got {slots!r}")
    queue = environ.get("QUARTERDECK_QUEUE")
    return Post(int(slots), (queue,) if queue else agent.queues, instance_id)
