"""A hand-off that fails unexpectedly takes nothing of its group with it, and leaves nothing half given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from quarterdeck_server.engine.states import READY

from ..engine import make
from ..engine.checker import LogChecker
from ..engine.make import NOW
from ..engine.sqlite import Sqlite


class Tokens:
    """Tokens that run out."""

    def __init__(self) -> None:
        self.left = 0
        self._numbers = count(1001)

    def next(self) -> int:
        """The next one."""
        if not self.left:
            raise RuntimeError("no token")
        self.left -= 1
        return next(self._numbers)


@pytest.fixture
def tokens() -> Tokens:
    """Where the writer gets its tokens."""
    return Tokens()


@pytest.fixture
def driver(tmp_path: Path, tokens: Tokens) -> Iterator[Sqlite]:
    """A writer on an empty database."""
    made = Sqlite(tmp_path / "quarterdeck.db", new_token=tokens.next)
    yield made
    made.close()


@pytest.mark.parametrize("commands", [0, 1, 2])
def test_a_hand_off_that_fails(driver: Sqlite, tokens: Tokens, commands: int) -> None:
    driver.run([make.submit(*(make.spec() for _ in range(4)))], make.waiting([]), NOW)
    claims = [make.claim("a1", 2, place=1), make.claim("a2", 2, place=2)]
    tokens.left = 1
    did = driver.run([make.submit()] * commands, make.waiting(claims), NOW)
    assert isinstance(did.failure, RuntimeError)
    assert [len(reply) for reply in did.replies] == [1] * commands
    assert did.claims == [] and [claim.taken for claim in claims] == [[], []]
    assert {task.state for task in driver.tasks.values()} == {READY}
    tokens.left = 9
    driver.run([], make.waiting(claims), NOW)
    assert [[task.id for task in claim.taken] for claim in claims] == [[1, 2], [3, 4]]
    checker = LogChecker()
    checker.follow(driver.changes)
    checker.compare(driver)
