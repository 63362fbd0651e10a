"""A state machine that does to an engine whatever clients, agents, operators and time may do, in groups."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from quarterdeck_server.engine import commands as c

from .machine_agents import Agents
from .machine_operators import Operators
from .machine_submits import Submits
from .make import SECOND


class EngineMachine(Submits, Agents, Operators):
    """The rules of all, and time."""

    @rule(seconds=st.sampled_from([0.5, 2, 5, 30, 90]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass; after the sweep nothing is overdue."""
        self.run([])
        self.now += round(seconds * SECOND)
        reply = self.run([c.Sweep()]).replies[-1]
        assert reply is None or reply > self.now
        assert all(t.wake_at is None or t.wake_at > self.now for t in self.checker.tasks.values())

    @precondition(lambda self: len(self.group) > 3)
    @rule()
    def flush(self) -> None:
        """Carry out what was gathered."""
        self.run([])

    @invariant()
    def instants_are_unique(self) -> None:
        """A schedule's instant has one task."""
        if not hasattr(self, "checker"):
            return
        fired = [
            (t.schedule_id, t.schedule_time) for t in self.checker.tasks.values() if t.schedule_id
        ]
        assert len(fired) == len(set(fired))
