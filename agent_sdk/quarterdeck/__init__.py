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

import os

# Before grpc is imported anywhere: its fork handlers can kill children before they exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from quarterdeck._agent import Agent
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
from quarterdeck._run import Cancelled, Metadata, Run, RunLog
from quarterdeck._serve import serve, serve_async

__all__ = [
    "Agent",
    "ApiError",
    "Cancelled",
    "ConflictError",
    "DefinitionError",
    "Fail",
    "InvalidArgumentError",
    "LimitExceededError",
    "Metadata",
    "NotFoundError",
    "PayloadError",
    "QuarterdeckError",
    "RetryLater",
    "Run",
    "RunLog",
    "TaskFailedError",
    "UnavailableError",
    "WaitTimeoutError",
    "WatchTokenExpiredError",
    "WrongStateError",
    "serve",
    "serve_async",
]
