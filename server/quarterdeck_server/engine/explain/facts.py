"""What must be known to explain a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from quarterdeck._words import BESIDE_NAME, agent_labels, short_ids
from quarterdeck_server.engine.flow.meters import Meter
from quarterdeck_server.engine.model import Agent, Attempt, Hold, Queue, Task
from quarterdeck_server.engine.pools import PoolStatus
from quarterdeck_server.engine.states import AgentState, HoldKind

SAMPLES = 10
"""Tasks and agents that an answer names of each kind, at most."""

COUNTED = 10_000
"""Tasks ahead that are counted, at most."""


class Runners(NamedTuple):
    """Running tasks: how many, and some of them."""

    number: int = 0
    task_ids: tuple[int, ...] = ()


class Ahead(NamedTuple):
    """Ready tasks that come before one."""

    number: int = 0
    minimum: bool = False
    """There are more than were counted."""


class Stored(NamedTuple):
    """What the store knows, all of one moment."""

    task: Task
    queue: Queue | None
    attempts: Sequence[Attempt]
    unmet: Sequence[int]
    """Tasks that it waits for, some of them."""
    unblocked_at: int | None
    """When the last of the tasks that it depended on ended; None where it depended on none, or still does."""
    holds: Sequence[Hold]
    """Those of its namespace."""
    in_queue: Runners
    of_key: Runners
    meter: Meter
    """Of its queue."""
    key_meter: Meter
    """Of its group key."""
    ahead: Ahead
    """Of a ready task, in its queue, of names that compete with it. Group keys take turns, so of another key only as
    many count as of its own."""


class Handler(NamedTuple):
    """An agent in contact, and what it takes."""

    agent: Agent
    names: frozenset[str] | None
    """Task names that it handles; None means any."""

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return json.loads(self.agent.labels) if self.agent.labels else {}

    @property
    def queues(self) -> list[str]:
        """The queues that it takes from."""
        found: list[str] = json.loads(self.agent.queues)
        return found


class Facts(NamedTuple):
    """What the store knows, and what the running server knows besides."""

    now: int
    stored: Stored
    handlers: Sequence[Handler]
    """Every agent in contact in the task's namespace."""
    starts_per_second: float | None
    """How fast the queue moves now; None when nothing can be said."""
    pools: Sequence[PoolStatus] = ()
    """Those of its namespace."""

    def label(self, agent_id: str) -> str:
        """How a person is told of an agent: as lists call it, by the beginning of its id once it is gone."""
        beside = {
            handler.agent.id: handler.agent.name
            for handler in self.handlers
            if handler.agent.id.startswith(agent_id[:BESIDE_NAME])
        }
        named = agent_labels(beside).get(agent_id)
        return named or short_ids([agent_id])[agent_id]


def competing(
    task: Task, handlers: Sequence[Handler], holds: Sequence[Hold]
) -> Callable[[str], bool]:
    """Say of a name whether its tasks compete with this one: the same agents run them, and nobody holds it.

    While no agent takes the task every name counts that is not held.
    """
    held = {hold.subject for hold in holds if hold.kind == HoldKind.TASK_NAME} - {task.name}
    live = (AgentState.ACTIVE, AgentState.DRAINING)
    mine = [
        handler
        for handler in handlers
        if handler.agent.state in live
        and task.queue in handler.queues
        and (handler.names is None or task.name in handler.names)
    ]
    any_name = not mine or any(handler.names is None for handler in mine)
    names = {name for handler in mine for name in handler.names or ()}
    return lambda name: name not in held and (any_name or name in names)
