"""How long a failed task waits: by the formula, spread by numbers that follow from its id."""

from __future__ import annotations

from fractions import Fraction

import pytest

from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.retry import _unit, backoff

from .make import SECOND

GOLDEN = 0x9E3779B97F4A7C15
"""What splitmix64 adds to its state for every number."""

OF_1234567 = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)
"""The first numbers of splitmix64 with the seed 1234567: the example that its published implementations agree on."""


@pytest.mark.parametrize("place", range(5))
def test_the_spread_is_that_of_splitmix64(place: int) -> None:
    assert _unit(1234567 + place * GOLDEN) == (OF_1234567[place] >> 11) / 2**53


@pytest.mark.parametrize("policy", [Policy(jitter=0.5), Policy(jitter=0.5, delays=(SECOND, 7))])
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_delay_is_spread_evenly_around_what_was_asked_for(policy: Policy, attempt: int) -> None:
    seed = 42
    unit = Fraction(_unit(seed ^ (attempt << 48)))
    spread = 1 + Fraction(policy.jitter) * (2 * unit - 1)
    asked = policy.delays[min(attempt, 2) - 1] if policy.delays else 2 ** (attempt - 1) * SECOND
    assert abs(backoff(policy, attempt, seed) - asked * spread) <= 1
