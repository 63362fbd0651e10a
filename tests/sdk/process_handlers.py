"""Handlers that run in processes of their own; children import this module."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import quarterdeck

agent = quarterdeck.Agent("isolated", slots=4)


@dataclass
class Job:
    number: int
    label: str = ""


@agent.task(isolation="process")
def double(run: quarterdeck.Run, job: Job) -> Job:
    run.log.warning("doubling %d", job.number)
    run.progress("half way", 1, 2)
    print("printed")  # noqa: T201
    sys.stderr.write("complained")
    return Job(job.number * 2, f"{run.metadata.name} attempt {run.attempt}")


@agent.task(isolation="process")
async def pid(run: quarterdeck.Run) -> int:
    return os.getpid()


@agent.task(isolation="process")
def odd(run: quarterdeck.Run) -> object:
    return object()


@agent.task(isolation="process")
def busy(run: quarterdeck.Run) -> None:
    raise quarterdeck.RetryLater(2, "busy", back_off=7, back_off_key_only=True)


@agent.task(isolation="process")
def breaks(run: quarterdeck.Run) -> None:
    raise quarterdeck.Fail("broken for good", type="Broken")


@agent.task(isolation="process")
def dies(run: quarterdeck.Run) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@agent.task(isolation="process")
def spins(run: quarterdeck.Run) -> None:
    run.log.info("started %d", os.getpid())
    while True:
        time.sleep(0.01)


@agent.task(isolation="process")
def immortal(run: quarterdeck.Run) -> None:
    """Swallows what a cancel raises, and starts a process of its own."""
    child = subprocess.Popen(["sleep", "1000"])
    run.log.info("started %d", child.pid)
    while True:
        try:
            time.sleep(0.01)
        except asyncio.CancelledError:
            run.log.info("not me")


@agent.task(isolation="process")
def halves_apart(run: quarterdeck.Run, too_much: int) -> list[object]:
    if run.saved() is not None:
        return run.saved(list[object]) or []
    try:
        run.save("x" * too_much)
    except quarterdeck.InvalidArgumentError as error:
        run.save([f"InvalidArgumentError {error.reason}", run.attempt])
    raise quarterdeck.RetryLater(0)


@agent.task(isolation="process")
def counts(run: quarterdeck.Run) -> None:
    run.log.info("in %d", os.getpid())
    try:
        while True:
            time.sleep(0.01)
    except asyncio.CancelledError:
        run.log.info("SIGTERM was seen")
        raise


def tidy(run: quarterdeck.Run) -> None:
    run.log.info("cleaned %s", run.input)


@agent.task(isolation="process", cleanup=tidy)
def messy(run: quarterdeck.Run, place: str) -> None:
    run.log.info("begun")
    while True:
        try:
            time.sleep(0.01)
        except asyncio.CancelledError:
            continue
