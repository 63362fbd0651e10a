"""How long a call may be held back."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.validate import Violations

_MARGIN = 1.0
"""Seconds before the client's deadline at which a long poll is answered: gRPC cancels a handler at
the deadline, and an answer that is cut off after a commit would strand what it carries."""


def wait_of(value: Duration, out: Violations) -> float:
    """The `wait` of a request in seconds, cut to 30."""
    return min(validate.span(value, "wait", out) / 1e6, validate.MAX_WAIT)


def read_wait(value: Duration) -> float:
    """The `wait` of a request in seconds, cut to 30.

    Raises:
        ApiError: it is no wait.
    """
    out: Violations = []
    wait = wait_of(value, out)
    validate.refuse(out)
    return wait


def within_deadline(wait: float, context: Context) -> float:
    """Shorten a wait so that its answer comes before the client's deadline."""
    remaining = context.time_remaining()
    return wait if remaining is None else max(0.0, min(wait, remaining - _MARGIN))
