"""Running a handler as a server would have it run, in process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
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
        saves: What was saved, as plain JSON, the newest last.
    """

    result: Any
    lines: list[LoggedLine]
    progress: list[Reported]
    saves: list[Any]


async def run_task(
    agent: Agent, name: str, input: Any = None, *, type: Any = Any, run: FakeRun | None = None
) -> TaskRun:
    """Run one task of `agent` here: encode the input, decode it, run the handler, and the
    same back with its result. A handler with `isolation="process"` runs in this process, one that
    takes batches gets a batch of one. After a handler that raises its clean-up runs.

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
    try:
        if handler.batch:
            (value,) = await _call(handler.function, *([part] for part in arguments))
            if isinstance(value, BaseException):
                raise value
        else:
            value = await _call(handler.function, *arguments)
    except BaseException:
        if handler.cleanup is not None:
            await _call(handler.cleanup, run)
        raise
    return TaskRun(decoder(type)(encode(value)), run.lines, run.progress_calls, run.saves)


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    return await asyncio.to_thread(function, *arguments)
