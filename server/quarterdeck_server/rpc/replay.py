"""Claims that are repeated with their request id."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from quarterdeck_server.engine.commands import Profile, Refusal
from quarterdeck_server.rpc.errors import ApiError

_MAX_AGENTS = 20_000
"""Above what one server is built for; the longest silent are forgotten first."""

PER_PROFILE = 6
"""Claims of one agent and profile that are remembered: a busy one has three under way at a time."""

_PER_AGENT = 256
"""Claims of one agent: it has a profile for each handler that takes batches, and one for the others."""


Body = tuple[Profile, int]
"""What a claim asks for: its profile and `max_tasks`."""


class Held(NamedTuple):
    """A lease that a claim was given."""

    task_id: int
    token: int


@dataclass(slots=True)
class Entry:
    """A claim with a request id."""

    request_id: str
    body: Body
    leases: tuple[Held, ...] = ()
    done: asyncio.Event = field(default_factory=asyncio.Event)


class ClaimReplay:
    """Remembers per agent what its last claims were given.

    In memory: after a restart a repeated claim is a new one, and the leases of the lost answer run
    out.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], dict[str, Entry]] = OrderedDict()

    def find(self, agent: tuple[str, str], request_id: str, body: Body) -> Entry | None:
        """The earlier call with this id, which may still be waiting.

        Args:
            agent: Namespace and agent id.
            request_id: Of the claim.
            body: What the claim asks for.

        Raises:
            ApiError: REQUEST_ID_REUSED, when its body was another.
        """
        entry = self._entries.get(agent, {}).get(request_id)
        if entry is None:
            return None
        if entry.body != body:
            message = f"request id {request_id!r} was used before with another claim; use a new one"
            metadata = (("request_id", request_id),)
            raise ApiError(Refusal("REQUEST_ID_REUSED", f"request_id: {message}", metadata))
        return entry

    def begin(self, agent: tuple[str, str], request_id: str, body: Body) -> Entry:
        """Remember a claim that starts to wait, instead of the agent's oldest of that profile."""
        entry = Entry(request_id, body)
        entries = self._entries.setdefault(agent, {})
        entries[request_id] = entry
        alike = [known for known, other in entries.items() if other.body[0] == body[0]]
        if len(alike) > PER_PROFILE:
            del entries[alike[0]]
        elif len(entries) > _PER_AGENT:
            del entries[next(iter(entries))]
        self._entries.move_to_end(agent)
        if len(self._entries) > _MAX_AGENTS:
            self._entries.popitem(last=False)
        return entry

    def finish(self, agent: tuple[str, str], entry: Entry, leases: tuple[Held, ...]) -> None:
        """Note what a claim was given; nothing is as if it had not been made."""
        entry.leases = leases
        entry.done.set()
        if not leases:
            self._drop(agent, entry)

    def forget(self, agent: tuple[str, str]) -> None:
        """Forget an agent that is gone."""
        self._entries.pop(agent, None)

    def _drop(self, agent: tuple[str, str], entry: Entry) -> None:
        entries = self._entries.get(agent, {})
        if entries.get(entry.request_id) is entry:
            del entries[entry.request_id]
            if not entries:
                del self._entries[agent]
