"""What is remembered of claims that may be repeated."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Batch, Profile
from quarterdeck_server.rpc.replay import PER_PROFILE, ClaimReplay, Held

AGENT = ("default", "agent-1")


def profile(name: str, size: int) -> Profile:
    """What a handler that takes batches claims by."""
    return Profile("default", ("default",), frozenset((name,)), Batch(size, 0))


def answered(replay: ClaimReplay, request_id: str, asked: Profile) -> None:
    """A claim that was given a task."""
    entry = replay.begin(AGENT, request_id, (asked, 1))
    replay.finish(AGENT, entry, (Held(1, 1),))


def test_claims_for_many_handlers_do_not_push_each_other_out() -> None:
    replay = ClaimReplay()
    asked = [profile(f"handler-{n}", 10) for n in range(3 * PER_PROFILE)]
    for n, one in enumerate(asked):
        answered(replay, f"r{n}", one)
    assert all(replay.find(AGENT, f"r{n}", (one, 1)) for n, one in enumerate(asked))


def test_of_claims_that_are_alike_the_newest_are_remembered() -> None:
    replay = ClaimReplay()
    asked = profile("handler", 10)
    for n in range(PER_PROFILE + 2):
        answered(replay, f"r{n}", asked)
    known = [n for n in range(PER_PROFILE + 2) if replay.find(AGENT, f"r{n}", (asked, 1))]
    assert known == list(range(2, PER_PROFILE + 2))
