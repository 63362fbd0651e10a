"""How an attempt ended, as a report."""

from __future__ import annotations

import asyncio
import traceback
from typing import NamedTuple

from quarterdeck._agent import InputError
from quarterdeck._codec import encode
from quarterdeck._errors import Fail, PayloadError, RetryLater
from quarterdeck._lease import Cause, Lease
from quarterdeck._times import to_duration
from quarterdeck.v1.agent_service_pb2 import (
    AttemptReport,
    Cancelled,
    Failed,
    Released,
    Succeeded,
)
from quarterdeck.v1.payload_pb2 import Failure, Payload

_MESSAGE_CHARACTERS = 4_096
_TRACE_CHARACTERS = 65_536
_TYPE_CHARACTERS = 256


class Wishes(NamedTuple):
    """What a failed handler asked for, in seconds."""

    delay: float | None = None
    back_off: float | None = None
    back_off_key_only: bool = False


NO_WISHES = Wishes()


class RemoteError(Exception):
    """What a handler raised in a child process, as text.

    Attributes:
        failure: The failure to report.
        wishes: What the handler asked for.
    """

    def __init__(self, failure: Failure, wishes: Wishes = NO_WISHES) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.wishes = wishes


def success(lease: Lease, data: bytes) -> AttemptReport:
    """The report of a result, or of giving in when the handler saw the cancel and has none."""
    if not data and lease.cause is not None and lease.cancelled._seen:
        return interrupted(lease, "")
    claimed = lease.claimed
    done = Succeeded(result=Payload(data=data)) if data else Succeeded()
    return AttemptReport(task_id=claimed.task_id, lease_token=claimed.lease_token, succeeded=done)


def result(lease: Lease, value: object) -> AttemptReport:
    """The report of a handler that returned `value`."""
    try:
        data = encode(value)
    except PayloadError as error:
        return failed(lease, unencodable(error))
    return success(lease, data)


def unencodable(error: PayloadError) -> Failure:
    """The failure of a result without JSON form: the same handler will return the same kind of value again."""
    message = _utf8(f"result {error}")[:_MESSAGE_CHARACTERS]
    return Failure(type="PayloadError", message=message, non_retryable=True)


def error(lease: Lease, raised: BaseException) -> AttemptReport:
    """The report of a handler that raised."""
    if lease.cause is not None:
        text = "" if isinstance(raised, asyncio.CancelledError) else _describe(raised)
        return interrupted(lease, text)
    if isinstance(raised, asyncio.CancelledError):
        message = _utf8(_message(raised)) or "the handler gave the task up"
        return _report(lease, cancelled=Cancelled(message=message[:_MESSAGE_CHARACTERS]))
    if isinstance(raised, RemoteError):
        failure, wishes = raised.failure, raised.wishes
    else:
        failure, wishes = failure_of(raised), wishes_of(raised)
    try:
        return failed(lease, failure, wishes)
    except Exception:  # what it wishes was changed to something that is no length of time
        return failed(lease, failure)


def interrupted(lease: Lease, message: str) -> AttemptReport:
    """The report of a handler that ended because it was interrupted."""
    message = message[:_MESSAGE_CHARACTERS]
    if lease.cause is Cause.SHUTDOWN:
        return released(lease, message or "the agent stops")
    if lease.cause is Cause.TIMEOUT:
        text = message or "the attempt took longer than its timeout"
        return failed(lease, Failure(type="ATTEMPT_TIMEOUT", message=text))
    return _report(lease, cancelled=Cancelled(message=message))


def released(lease: Lease, message: str) -> AttemptReport:
    """The report that gives a task back."""
    return _report(lease, released=Released(message=message))


def failed(lease: Lease, failure: Failure, wishes: Wishes = NO_WISHES) -> AttemptReport:
    """The report of a failure."""
    delay, rest, key_only = wishes
    report = Failed(
        failure=failure,
        retry_delay=None if delay is None else to_duration(delay),
        back_off=None if rest is None else to_duration(rest),
        back_off_key_only=key_only,
    )
    return _report(lease, failed=report)


def wishes_of(raised: BaseException) -> Wishes:
    """What an exception asks for."""
    if not isinstance(raised, RetryLater):
        return NO_WISHES
    try:
        return Wishes(raised.delay, raised.back_off, raised.back_off_key_only)
    except AttributeError:  # a subclass that never called the constructor
        return NO_WISHES


def failure_of(raised: BaseException) -> Failure:
    """An exception as the failure that operators read.

    Never raises: an attempt whose end cannot be told would be kept alive for ever.
    """
    kind = _kind(raised)
    quiet = isinstance(raised, (Fail, RetryLater, PayloadError))
    return Failure(
        type=_utf8(kind)[:_TYPE_CHARACTERS],
        message=_utf8(_message(raised))[:_MESSAGE_CHARACTERS],
        # The end of a long trace says most: it names the line that raised.
        stack_trace="" if quiet else _utf8(_trace(raised))[-_TRACE_CHARACTERS:],
        non_retryable=isinstance(raised, (Fail, InputError)),
    )


def _kind(raised: BaseException) -> str:
    said = getattr(raised, "type", "") if isinstance(raised, Fail) else ""
    return said if said and isinstance(said, str) else type(raised).__name__


def _trace(raised: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(raised))
    except Exception as broken:
        return f"its stack trace cannot be read: {type(broken).__name__}"


def _message(raised: BaseException) -> str:
    try:
        return str(raised)
    except Exception as broken:
        return f"its message cannot be read: {type(broken).__name__}"


def _describe(raised: BaseException) -> str:
    return f"{type(raised).__name__}: {_utf8(_message(raised))}"


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _report(
    lease: Lease,
    *,
    failed: Failed | None = None,
    cancelled: Cancelled | None = None,
    released: Released | None = None,
) -> AttemptReport:
    return AttemptReport(
        task_id=lease.claimed.task_id,
        lease_token=lease.claimed.lease_token,
        failed=failed,
        cancelled=cancelled,
        released=released,
    )
