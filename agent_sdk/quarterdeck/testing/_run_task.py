"""Running a handler as a server would have it run, in process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from quarterdeck._agent import Agent
from quarterdeck._codec import decoder, encode
from quarterdeck.testing._fake import FakeRun, LoggedLine, Reported


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What became of `run_task`.

    Attributes:
        result: What a producer gets: the handler's result, encoded and decoded.
        lines: What was logged.
        progress: The progress that was reported.
    """

    result: Any
    lines: list[LoggedLine]
    progress: list[Reported]


async def run_task(
    agent: Agent, name: str, input: Any = None, *, type: Any = Any, run: FakeRun | None = None
) -> TaskRun:
    """Run one task of `agent` here: encode the input, decode it, run the handler, and the
    same back with its result. A handler with `isolation="process"` runs in this process.

    Args:
        agent: The agent.
        name: The task name.
        input: The input, as a producer would submit it.
        type: What the result is decoded to; plain JSON by default.
        run: The run to use, such as one that is cancelled; a new one by default.

    Raises:
        KeyError: The agent has no handler of this name.
        PayloadError: The input or the result does not fit, or has no JSON form.
        Exception: Whatever the handler raises.
    """
    if name not in agent.handlers:
        raise KeyError(f"{agent.name} has no handler {name!r}, but {', '.join(agent.handlers)}")
    handler = agent.handlers[name]
    run = run or FakeRun(name=name)
    arguments = handler.arguments(run, encode(input))
    if handler.is_async:
        value = await handler.function(*arguments)
    else:
        value = await asyncio.to_thread(handler.function, *arguments)
    return TaskRun(decoder(type)(encode(value)), run.lines, run.progress_calls)
