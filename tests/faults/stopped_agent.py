"""An agent of the SDK in a process of its own: `stopped_agent.py ADDRESS`."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import quarterdeck

agent = quarterdeck.Agent("stopped", slots=2)


@agent.task
async def hold(run: quarterdeck.Run, seconds: float) -> int:
    run.log.info("by %d", os.getpid())
    if run.attempt == 1:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            # No line of its log would be taken any more.
            sys.stdout.write(f"told: {run.cancelled.reason}\n")
            sys.stdout.flush()
            raise
    return run.attempt


@agent.task
async def block(run: quarterdeck.Run, seconds: float) -> int:
    run.log.info("by %d", os.getpid())
    time.sleep(seconds)  # noqa: ASYNC251  (what is tested)
    return run.attempt


if __name__ == "__main__":
    quarterdeck.serve(agent, sys.argv[1])
