"""The Quarterdeck SDK: write agents, and submit work to a fleet.

```python
agent = quarterdeck.Agent("researcher", slots=8)

@agent.task
async def research(run: quarterdeck.Run, question: str) -> str: ...

quarterdeck.serve(agent, "localhost:7400")
```

Everything public is here; modules with a leading underscore are not.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

# Before grpc is imported anywhere: its fork handlers can kill children before they exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

if TYPE_CHECKING:
    from quarterdeck._agent import Agent
    from quarterdeck._async_client import AsyncClient
    from quarterdeck._client import Client
    from quarterdeck._core import Submitted
    from quarterdeck._errors import (
        ApiError,
        ConflictError,
        DefinitionError,
        Fail,
        InvalidArgumentError,
        LimitExceededError,
        NotFoundError,
        PayloadError,
        QuarterdeckError,
        RetryLater,
        TaskFailedError,
        UnavailableError,
        WaitTimeoutError,
        WatchTokenExpiredError,
        WrongStateError,
    )
    from quarterdeck._models import (
        AgentDescription,
        AgentStatus,
        Attempt,
        Cancellation,
        Change,
        CronRule,
        Failure,
        Instance,
        Limits,
        LogLine,
        Payload,
        Pool,
        Progress,
        Queue,
        Resource,
        Schedule,
        ScheduleRule,
        ServerInfo,
        StateCount,
        Task,
        TaskDetails,
        TaskState,
    )
    from quarterdeck._run import Cancelled, Metadata, Run, RunLog
    from quarterdeck._serve import serve, serve_async
    from quarterdeck._specs import Cron, Retry, Spec, TaskOptions, Timeouts
    from quarterdeck._watch import AsyncWatch, Watch

__all__ = [
    "Agent",
    "AgentDescription",
    "AgentStatus",
    "ApiError",
    "AsyncClient",
    "AsyncWatch",
    "Attempt",
    "Cancellation",
    "Cancelled",
    "Change",
    "Client",
    "ConflictError",
    "Cron",
    "CronRule",
    "DefinitionError",
    "Fail",
    "Failure",
    "Instance",
    "InvalidArgumentError",
    "LimitExceededError",
    "Limits",
    "LogLine",
    "Metadata",
    "NotFoundError",
    "Payload",
    "PayloadError",
    "Pool",
    "Progress",
    "QuarterdeckError",
    "Queue",
    "Resource",
    "Retry",
    "RetryLater",
    "Run",
    "RunLog",
    "Schedule",
    "ScheduleRule",
    "ServerInfo",
    "Spec",
    "StateCount",
    "Submitted",
    "Task",
    "TaskDetails",
    "TaskFailedError",
    "TaskOptions",
    "TaskState",
    "Timeouts",
    "UnavailableError",
    "WaitTimeoutError",
    "Watch",
    "WatchTokenExpiredError",
    "WrongStateError",
    "serve",
    "serve_async",
]

if not TYPE_CHECKING:
    # Where the names above live; the first that has a name is its home, and some of the later
    # ones use messages of the wire with the names of models.
    _HOMES = (
        *("_errors", "_models", "_specs", "_run", "_agent"),
        *("_core", "_watch", "_client", "_async_client", "_serve"),
    )

    def __getattr__(name: str) -> object:
        """Import public names at their first use: a command line's help must not wait for grpc."""
        if name in __all__:
            for home in _HOMES:
                module = importlib.import_module(f"{__name__}.{home}")
                if hasattr(module, name):
                    globals()[name] = getattr(module, name)
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
