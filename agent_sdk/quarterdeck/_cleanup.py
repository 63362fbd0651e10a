"""Cleaning up after handlers that ended without a result, still under their leases."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from quarterdeck._errors import PayloadError
from quarterdeck._flags import promise
from quarterdeck._lease import Cause, Lease

logger = logging.getLogger("quarterdeck")


def clean_up(lease: Lease) -> None:
    """Run the clean-up of a sync handler's attempt, for as long as there is time; never raises."""
    function = _due(lease)
    if function is None:
        return
    done = _in_thread(function, lease)
    try:
        done.result(_seconds(lease))
    except BaseException as problem:
        _tell(lease, problem)


async def clean_up_on_loop(lease: Lease) -> None:
    """The same for an async handler; a lease that is lost meanwhile ends it."""
    function = _due(lease)
    if function is None:
        return
    try:
        async with asyncio.timeout(_seconds(lease)):
            if inspect.iscoroutinefunction(function):
                await function(lease.run)
            else:
                await asyncio.wrap_future(_in_thread(function, lease))
    except BaseException as problem:
        _tell(lease, problem)


def _due(lease: Lease) -> Callable[..., Any] | None:
    """The clean-up to run; None where there is none, none is needed, or there is no right to it any more."""
    handler, report = lease.handler, lease.report
    if handler.cleanup is None or lease.cause is Cause.LOST or lease.run is None:
        return None
    if report is not None and report.HasField("succeeded"):
        return None
    lease.cleaning = True
    if handler.kind == "process":
        # The handler decoded its input elsewhere, or was not called because it could not.
        try:
            handler.arguments(lease.run, lease.claimed.input.data)
        except PayloadError:
            return None
    return handler.cleanup


def _seconds(lease: Lease) -> float:
    """Until when the report must be out, of one that is cancelled; as long after any other end."""
    since = lease.interrupted or time.monotonic()
    return max(0.1, since + lease.grace() - time.monotonic())


def _in_thread(function: Callable[..., Any], lease: Lease) -> Future[None]:
    """Run it in a thread of its own: whoever waits may give up."""
    done = promise()

    def work() -> None:
        try:
            found = function(lease.run)
            if inspect.iscoroutine(found):
                asyncio.run(found)
        except GeneratorExit:
            # As the end of a future it would close the coroutine that waits for it.
            done.set_exception(RuntimeError("it raised GeneratorExit"))
        except BaseException as problem:
            done.set_exception(problem)
        else:
            done.set_result(None)

    threading.Thread(target=work, name="quarterdeck-cleanup", daemon=True).start()
    return done


def _tell(lease: Lease, problem: BaseException) -> None:
    """Its failure is for the logs: the attempt's outcome stands."""
    late = isinstance(problem, (TimeoutError, concurrent.futures.TimeoutError))
    text = "is not done in time" if late else f"failed: {type(problem).__name__}: {problem}"
    logger.error("clean-up after %s attempt %d %s", *lease.key, text, exc_info=problem)
    lease.log("error", f"clean-up {text}")
