"""The agent that the pools of these tests start."""

from __future__ import annotations

import os
import time

import quarterdeck

agent = quarterdeck.Agent("pooled", slots=1)


@agent.task
def pid(run: quarterdeck.Run) -> int:
    """Say which process ran the task."""
    return os.getpid()


@agent.task
def stubborn(run: quarterdeck.Run) -> None:
    """Take no notice of a cancel."""
    run.progress(str(os.getpid()))
    while True:
        time.sleep(0.05)
