"""An agent in a process of its own: `slow_agent.py ADDRESS [GRACE]`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time

import quarterdeck
from quarterdeck import _serve, _session

# What is tested happens after these: waiting for them shows nothing.
_session._UNWIND_SECONDS = _serve._STUCK_SECONDS = 0.5

agent = quarterdeck.Agent("slow", slots=1)


@agent.task
async def hold(run: quarterdeck.Run, seconds: float) -> int:
    run.log.info("by %d", os.getpid())
    await asyncio.sleep(seconds)
    return run.attempt


@agent.task
async def block(run: quarterdeck.Run, seconds: float) -> None:
    run.log.info("by %d", os.getpid())
    time.sleep(seconds)  # noqa: ASYNC251  (what is tested)


@agent.task
async def ignore(run: quarterdeck.Run, seconds: float) -> None:
    run.log.info("by %d", os.getpid())
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)


@agent.task
async def delegate(run: quarterdeck.Run, seconds: float) -> None:
    run.log.info("by %d", os.getpid())
    await asyncio.to_thread(time.sleep, seconds)


@agent.task(isolation="process")
def stubborn(run: quarterdeck.Run) -> None:
    run.log.info("in %d", os.getpid())
    while True:
        try:
            time.sleep(0.01)
        except asyncio.CancelledError:
            run.log.info("not me")


if __name__ == "__main__":
    quarterdeck.serve(agent, sys.argv[1], grace=float(sys.argv[2]) if sys.argv[2:] else 30.0)
