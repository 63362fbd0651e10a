"""What the bench and its load processes know of each other: the job, and the words over stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

NAMESPACE = "bench"
"""The tenant of all that a bench submits."""

TASK = "noop"


@dataclass(frozen=True, slots=True)
class Job:
    """What a role is to do. Not every role looks at everything.

    Attributes:
        address: The server.
        queue: The line of the scenario.
        tasks: How many tasks.
        limit: Seconds after which no more are submitted, whatever `tasks` says.
        parallel: Coroutines that submit at once.
        interval: Seconds between two tasks of a paced load.
        slots: Of an agent.
        board: The scoreboard of the agents; empty for none.
        place: This agent's place on it.
        agents: Simulated agents of a swarm.
        connections: That they share.
        beat: Seconds between two heartbeats of a simulated agent.
    """

    address: str
    queue: str
    tasks: int = 0
    limit: float = 0.0
    parallel: int = 1
    interval: float = 0.02
    slots: int = 500
    board: str = ""
    place: int = 0
    agents: int = 0
    connections: int = 1
    beat: float = 10.0


def say(answer: dict[str, Any]) -> None:
    """Tell the bench."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def told_to_begin() -> None:
    """Say that all is ready, and wait for the word; end the process when the bench has gone."""
    say({"ready": True})
    if not await asyncio.to_thread(sys.stdin.readline):
        sys.exit(1)
