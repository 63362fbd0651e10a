"""What the SDK raises.

    QuarterdeckError
    ├── Fail                       raised by a handler: the task fails, no further attempt
    ├── RetryLater                 raised by a handler: try again after a delay of its choice
    ├── DefinitionError            a handler or an agent that cannot work, found at decoration
    ├── PayloadError               a value that cannot be encoded, or bytes that do not fit a type
    ├── TaskFailedError            result() of a task that ended otherwise than by success
    ├── WaitTimeoutError           a wait that was over before the task ended
    └── ApiError                   the server refused a call, or cannot be reached
        ├── InvalidArgumentError   INVALID_ARGUMENT: asking again cannot help
        ├── NotFoundError          NOT_FOUND
        │   └── HoldNotFoundError  nothing of that kind and name is held
        ├── ConflictError          ALREADY_EXISTS, ABORTED
        │   ├── UniqueKeyTakenError  another task has the unique key
        │   └── ListTooOldError    too much has changed since the list: list again
        ├── WrongStateError        FAILED_PRECONDITION
        ├── WatchTokenExpiredError OUT_OF_RANGE: watch again without a token
        ├── LimitExceededError     RESOURCE_EXHAUSTED: a queue's limit, or too much at once
        └── UnavailableError       UNAVAILABLE, DEADLINE_EXCEEDED: the outcome may be unknown

A cancel is none of these: it reaches a handler as `asyncio.CancelledError`, which
`except Exception` does not swallow.
"""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck._spans import Span, seconds

_LONGEST = 36_500 * 86_400
"""Seconds, a hundred years: the longest that a server takes."""


class QuarterdeckError(Exception):
    """Everything that the SDK raises on purpose."""


class Fail(QuarterdeckError):
    """Raised by a handler when no further attempt can help: the task fails at once.

    Args:
        message: What happened, for the person who reads it.
        type: The error's class, for grouping.
    """

    def __init__(self, message: str, *, type: str = "Fail") -> None:
        super().__init__(message)
        if not isinstance(type, str):
            raise TypeError(f"type: expected text, got {type!r}")
        self.type = type


class RetryLater(QuarterdeckError):
    """Raised by a handler to end this attempt and to choose the delay before the next.

    The attempt counts; when it was the last one, the task fails.

    Args:
        delay: Least delay before the next attempt, instead of the policy's.
        message: Why, for the person who reads it.
        back_off: When set, nobody is given anything from the task's queue for so long, up to an
            hour: for a provider that refuses everybody for a while, as with HTTP 429.
        back_off_key_only: Nothing of the task's group key there, rather; the queue's other keys
            go on.

    Attributes:
        delay: In seconds.
        back_off: In seconds, or None.
        back_off_key_only: As given.
    """

    def __init__(
        self,
        delay: Span,
        message: str = "",
        *,
        back_off: Span | None = None,
        back_off_key_only: bool = False,
    ) -> None:
        self.delay = seconds(delay)
        self.back_off = None if back_off is None else seconds(back_off)
        self.back_off_key_only = back_off_key_only
        super().__init__(message or f"asked to be tried again in {self.delay:g} s")
        if not 0 <= self.delay <= _LONGEST:
            raise ValueError(f"delay: expected 0 to {_LONGEST} seconds, got {delay!r}")
        if self.back_off is not None and not 0 <= self.back_off <= 3600:
            raise ValueError(f"back_off: expected 0 to 3600 seconds, got {back_off!r}")


class DefinitionError(QuarterdeckError, TypeError):
    """A handler or an agent that cannot work as it is written."""


class PayloadError(QuarterdeckError, ValueError):
    """A value that cannot be encoded, or bytes that do not fit the type that is asked for.

    Attributes:
        field: Path of the wrong field, such as `question.sources[3].url`; empty for the whole.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field


class TaskFailedError(QuarterdeckError):
    """The task whose result was asked for ended without one.

    Attributes:
        task_id: The task.
        state: How it ended: `failed`, `cancelled` or `expired`.
        reason: Why, as the server names it, such as `POISON`; may be empty.
        failure_type: Class of the last attempt's error; empty when there is none.
    """

    def __init__(
        self, task_id: str, state: str, reason: str, failure_type: str, message: str
    ) -> None:
        why = ": ".join(part for part in (reason, failure_type, message) if part)
        super().__init__(f"{task_id} {state}" + (f" ({why})" if why else ""))
        self.task_id = task_id
        self.state = state
        self.reason = reason
        self.failure_type = failure_type


class WaitTimeoutError(QuarterdeckError, TimeoutError):
    """The time to wait was over before the task ended; the task goes on."""


class ApiError(QuarterdeckError):
    """The server refused a call, or could not be reached.

    Attributes:
        code: Name of the gRPC status code, such as `NOT_FOUND`.
        reason: Name of an `ErrorReason`, such as `TASK_NOT_FOUND`; empty when the error
            did not come from a Quarterdeck server.
        metadata: The facts of the error; the keys stand at the `ErrorReason`.
        fields: What is wrong by path of the field, where fields were wrong.
        retry_delay: Seconds after which a later call may succeed, if the server said so.
        details: What gRPC said of a call that no server answered, for a search; otherwise empty.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
        details: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.fields = dict(fields or {})
        self.retry_delay = retry_delay
        self.details = details


class InvalidArgumentError(ApiError, ValueError):
    """The call is wrong in itself; sending it again cannot help."""


class NotFoundError(ApiError, LookupError):
    """What the call names does not exist, or retention has removed it."""


class HoldNotFoundError(NotFoundError):
    """Nothing of that kind and name is held."""


class ConflictError(ApiError):
    """What the call creates exists with other content, or was changed meanwhile."""


class UniqueKeyTakenError(ConflictError):
    """Another task has the unique key; `metadata["task_id"]` names it."""


class ListTooOldError(ConflictError):
    """What the list showed cannot be told any more: list again and act on that."""


class WrongStateError(ApiError):
    """The state of what the call names does not allow it."""


class WatchTokenExpiredError(ApiError):
    """The resume token is of another database or too old: watch again without one."""


class LimitExceededError(ApiError):
    """Too much at once, such as a task over its queue's limit, or more tasks than an act is for."""


class UnavailableError(ApiError):
    """The server cannot be reached or cannot answer now; the outcome may be unknown.

    The code is `CANCELLED` when the client was closed while the call was under way.
    """
