"""A task's policies, as producers set them: retries, time limits, dependencies, units and the agents that it wants."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from quarterdeck_server.engine.timeunits import MINUTE, SECOND


class Policy(NamedTuple):
    """What few tasks differ in, so that most rows have none. Spans are microseconds; None means no limit."""

    max_attempts: int = 3
    initial_backoff: int = SECOND
    max_backoff: int = 10 * MINUTE
    factor: float = 2.0
    jitter: float = 0.2
    non_retryable_types: tuple[str, ...] = ()
    max_crashes: int = 3
    schedule_to_start: int | None = None
    attempt_timeout: int | None = None
    task_timeout: int | None = None
    stall_timeout: int | None = None
    cancel_grace: int = 30 * SECOND
    all_ended: bool = False
    """Dependencies need only to have ended, not to have succeeded."""
    delays: tuple[int, ...] = ()
    """The delays before the attempts themselves, instead of those of the formula; the last one is repeated."""
    units: int = 1
    """What a start takes from the queue's rate limits."""
    required: tuple[tuple[str, str], ...] = ()
    """Labels that the agent must have, sorted."""
    preferred: tuple[tuple[str, str], ...] = ()
    """Labels of the agents that are waited for first, sorted."""
    same_agent_as: int | None = None
    """The task whose agent is waited for first."""
    patience: int = 5 * SECOND
    """How long preferred agents are waited for."""
    serial: bool = False
    """It waits in the chain of its unique key for the one before it; see `engine.admission`."""
    unique_key: str | None = None
    """That it has for as long as it is active, or not started, and needs again to be retried."""
    unique_pending: bool = False
    """It has the key only until it is started for the first time."""


DEFAULT_POLICY = Policy()

RETRY_FIELDS = (
    *("max_attempts", "initial_backoff", "max_backoff", "factor", "jitter"),
    *("non_retryable_types", "max_crashes", "delays"),
)
"""What says how failed attempts are retried."""

TIMEOUT_FIELDS = (
    *("schedule_to_start", "attempt_timeout", "task_timeout", "stall_timeout"),
    "cancel_grace",
)
"""The time limits."""


def policy_text(policy: Policy) -> str | None:
    """Encode for the task row: only what differs from the default, None when nothing does."""
    if policy == DEFAULT_POLICY:
        return None
    changed = {
        name: value
        for name, value, default in zip(Policy._fields, policy, DEFAULT_POLICY, strict=True)
        if value != default
    }
    return json.dumps(changed, separators=(",", ":"), sort_keys=True)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Policy:
    values = json.loads(text)
    for name in ("non_retryable_types", "delays"):
        if name in values:
            values[name] = tuple(values[name])
    for name in ("required", "preferred"):
        if name in values:
            values[name] = tuple((key, value) for key, value in values[name])
    return Policy(**values)


def policy_of(text: str | None) -> Policy:
    """Decode what `policy_text` made. Few distinct policies exist, so they are cached by their text."""
    return DEFAULT_POLICY if text is None else _parse(text)
