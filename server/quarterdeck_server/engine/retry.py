"""How long to wait before another attempt."""

from __future__ import annotations

from quarterdeck_server.engine.policy import Policy

_MASK = (1 << 64) - 1


def _unit(seed: int) -> float:
    """Return a number in [0, 1) that looks random but follows from `seed` (splitmix64)."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def backoff(policy: Policy, attempt: int, seed: int) -> int:
    """Return the delay in microseconds after failed attempt number `attempt` (1, 2, 3 and so on) of a budget.

    min(max_backoff, initial_backoff * factor ^ (attempt - 1)), times a factor in [1 - jitter, 1 + jitter] that
    follows from `seed`, so that tasks which failed together do not come back together. A list of delays stands instead
    of the formula: entry `attempt`, or the last one when there are not as many.
    """
    spread = 1 + policy.jitter * (2 * _unit(seed ^ (attempt << 48)) - 1)
    if policy.delays:
        return round(policy.delays[min(attempt, len(policy.delays)) - 1] * spread)
    try:
        delay = policy.initial_backoff * policy.factor ** (attempt - 1)
    except OverflowError:
        delay = policy.max_backoff
    delay = min(delay, policy.max_backoff)
    return max(0, round(delay * spread))
