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
    from quarterdeck._act import Act, AsyncAct
    from quarterdeck._agent import Agent
    from quarterdeck._async_client import AsyncClient
    from quarterdeck._client import Client
    from quarterdeck._core import Submitted
    from quarterdeck._errors import (
        ApiError,
        ConflictError,
        DefinitionError,
        Fail,
        HoldNotFoundError,
        InvalidArgumentError,
        LimitExceededError,
        ListTooOldError,
        NotFoundError,
        PayloadError,
        QuarterdeckError,
        RetryLater,
        TaskFailedError,
        UnavailableError,
        UniqueKeyTakenError,
        WaitTimeoutError,
        WatchTokenExpiredError,
        WrongStateError,
    )
    from quarterdeck._flags import CancelFlag
    from quarterdeck._limits import ConcurrencyLimit, QueueLimits, RateLimit
    from quarterdeck._models import (
        AgentDescription,
        AgentStatus,
        Attempt,
        Cancellation,
        Change,
        CronRule,
        Failure,
        Hold,
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
        TaskKey,
        TaskPause,
        TaskState,
    )
    from quarterdeck._operating import (
        ActProgress,
        AuditEntry,
        Explanation,
        LifeSpan,
        Namespace,
        Obstacle,
        Outcome,
        QuarantineRules,
        Rerun,
        Retention,
    )
    from quarterdeck._policies import Affinity, Debounce, Retry, Throttle, Timeouts, Unique
    from quarterdeck._run import Metadata, Run, RunLog
    from quarterdeck._serve import serve, serve_async
    from quarterdeck._specs import Cron, Spec, TaskChanges, TaskOptions
    from quarterdeck._watch import AsyncWatch, Watch

__all__ = [
    "Act",
    "ActProgress",
    "Affinity",
    "Agent",
    "AgentDescription",
    "AgentStatus",
    "ApiError",
    "AsyncAct",
    "AsyncClient",
    "AsyncWatch",
    "Attempt",
    "AuditEntry",
    "CancelFlag",
    "Cancellation",
    "Change",
    "Client",
    "ConcurrencyLimit",
    "ConflictError",
    "Cron",
    "CronRule",
    "Debounce",
    "DefinitionError",
    "Explanation",
    "Fail",
    "Failure",
    "Hold",
    "HoldNotFoundError",
    "Instance",
    "InvalidArgumentError",
    "LifeSpan",
    "LimitExceededError",
    "Limits",
    "ListTooOldError",
    "LogLine",
    "Metadata",
    "Namespace",
    "NotFoundError",
    "Obstacle",
    "Outcome",
    "Payload",
    "PayloadError",
    "Pool",
    "Progress",
    "QuarantineRules",
    "QuarterdeckError",
    "Queue",
    "QueueLimits",
    "RateLimit",
    "Rerun",
    "Resource",
    "Retention",
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
    "TaskChanges",
    "TaskDetails",
    "TaskFailedError",
    "TaskKey",
    "TaskOptions",
    "TaskPause",
    "TaskState",
    "Throttle",
    "Timeouts",
    "UnavailableError",
    "Unique",
    "UniqueKeyTakenError",
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
        *(
            "_errors",
            "_limits",
            "_policies",
            "_models",
            "_operating",
            "_specs",
            "_flags",
            "_run",
            "_agent",
        ),
        *("_core", "_watch", "_act", "_client", "_async_client", "_serve"),
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
