"""Help for the tests of agents, from the inside out.

research(FakeRun(), Question("…"))                      the plain function
await run_task(agent, "research", Question("…"))        encode, handler, decode; no server
def test_it(quarterdeck_server): …                      a real server, by the pytest plugin
"""

from __future__ import annotations

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
