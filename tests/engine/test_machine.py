"""The pure engine keeps the invariants whatever is done to it."""

from __future__ import annotations

import pytest

from .bench import Driver
from .machine import EngineMachine
from .memory import Memory
from .profiles import SETTINGS


class MemoryMachine(EngineMachine):
    """The engine on dicts."""

    def make_driver(self) -> Driver:
        """Make an empty engine."""
        return Memory()


MemoryMachine.TestCase.settings = SETTINGS
TestMemoryMachine = pytest.mark.timeout(3600)(MemoryMachine.TestCase)
