"""The state machine of the engine, on SQLite, and side by side with the engine on dicts: what differs was not loaded,
or not written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis.stateful import rule

from quarterdeck_server.engine.commands import Command
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.flow.quarantine import Streaks
from quarterdeck_server.engine.model import Queue
from quarterdeck_server.store.base import GroupResult

from ..engine import make
from ..engine.bench import Driver
from ..engine.machine import EngineMachine
from ..engine.memory import Memory
from ..engine.profiles import SETTINGS
from ..engine.sqlite import Sqlite


def _text(reply: object) -> str:
    """A reply to compare; counts have no order."""
    if isinstance(reply, Queue):
        reply = reply._replace(counts=tuple(sorted(reply.counts)))
    return str(reply)


class Pair(Sqlite):
    """SQLite, with the same done to dicts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._twin = Memory()

    def forget(self) -> None:
        """Lose what is in memory only, on both."""
        self.restart()
        self._twin.restart()
        self._twin.streaks = Streaks()

    def run(self, commands: Sequence[Command], waiting: Waiting, now: int) -> GroupResult:
        """Carry out a group on both."""
        claims = [claim for line in waiting.profiles.values() for claim in line]
        twins = [replace(claim, taken=[], details={}) for claim in claims]
        did = super().run(commands, waiting, now)
        same = self._twin.run(commands, make.waiting(twins), now)
        assert [_text(x) for x in did.replies] == [_text(x) for x in same.replies]
        assert [x.taken for x in claims] == [x.taken for x in twins]
        assert self.edges == self._twin.edges
        assert self.keys == self._twin.keys
        assert self.admissions == self._twin.admissions
        assert self.inputs == self._twin.inputs
        assert self.attempts == self._twin.attempts
        assert self.audit == self._twin.audit
        assert self.pools == self._twin.pools
        assert self.meters == self._twin.meters
        assert sorted(did.reopen) == sorted(same.reopen)
        assert self.results == self._twin.results
        assert self.logs == sorted(x for x in self._twin.logs if x.task_id in self._twin.tasks)
        return did


class SqliteMachine(EngineMachine):
    """The engine on one SQLite file."""

    def make_driver(self) -> Driver:
        """Make an empty database."""
        self.folder = tempfile.TemporaryDirectory()
        self.pair = Pair(Path(self.folder.name) / "quarterdeck.db")
        return self.pair

    @rule()
    def restart(self) -> None:
        """What is in memory only is lost, and not missed."""
        self.pair.forget()
        self.checker.hand_offs.forget_turns()

    def teardown(self) -> None:
        """Remove the file."""
        if hasattr(self, "pair"):
            self.pair.close()
            self.folder.cleanup()


SqliteMachine.TestCase.settings = SETTINGS
TestSqliteMachine = pytest.mark.timeout(3600)(SqliteMachine.TestCase)
