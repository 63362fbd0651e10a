"""Pools and the instances that they start, as frozen rows; see `engine.model` for what a row is."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class InstanceState(IntEnum):
    """Where an instance stands; the numbers are those of `quarterdeck.v1.InstanceState`."""

    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    STOPPED = 4


class Instance(NamedTuple):
    """One process, container or machine that a pool started."""

    id: str
    namespace: str
    pool: str
    state: int
    agent_id: str | None
    """The agent in it, once it was heard of."""
    pid: int | None
    process_start: int | None
    """With `pid`, the identity of a process for as long as its machine is up. Opaque."""
    create_time: int
    end_time: int | None
    detail: str | None
    """Why it is being stopped, and how it ended."""
    revision: int


class PoolStatus(NamedTuple):
    """A pool of the settings, and what it does."""

    namespace: str
    name: str
    queue: str
    min: int
    max: int
    slots: int
    idle_timeout: int
    """Microseconds."""
    launcher: str
    instances: int
    """Those that have not ended."""
    detail: str | None
    """Why it starts nothing at the moment, if so."""
    revision: int
