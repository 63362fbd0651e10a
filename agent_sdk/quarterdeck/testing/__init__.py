"""Help for the tests of agents, from the inside out.

research(FakeRun(), Question("…"))                      the plain function
await run_task(agent, "research", Question("…"))        encode, handler, decode; no server
def test_it(quarterdeck_server): …                      a real server, by the pytest plugin
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck.testing._fake import FakeRun, LoggedLine, Reported
    from quarterdeck.testing._run_task import TaskRun, run_task
    from quarterdeck.testing._server import Server, start_server

__all__ = [
    "FakeRun",
    "LoggedLine",
    "Reported",
    "Server",
    "TaskRun",
    "run_task",
    "start_server",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import at first use: pytest loads this package for its plugin, in every project."""
        if name in __all__:
            for home in ("_fake", "_run_task", "_server"):
                module = importlib.import_module(f"{__name__}.{home}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
