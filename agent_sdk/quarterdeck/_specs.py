"""What a producer asks for, as the wire wants it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from quarterdeck._codec import encode
from quarterdeck._times import Span, to_duration, to_timestamp
from quarterdeck.v1 import task_pb2
from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck.v1.schedule_pb2 import CronSpec, ScheduleSpec
from quarterdeck.v1.task_pb2 import DependencyPolicy, RetryPolicy, TaskSpec


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed attempts are retried; what is None is the server's default.

    Attributes:
        max_attempts: Attempts in all, the first included; 0 is the default, 3.
        initial_backoff: Delay before the second attempt (1 s).
        max_backoff: Upper limit of the delay (10 min).
        factor: Growth of the delay; 0 is the default, 2.
        jitter: Relative spread of the delay, 0 to 1 (0.2).
        non_retryable_types: Error types that are not retried.
        max_crashes: Lost leases that make the task poison; 0 is the default, 3.
    """

    max_attempts: int = 0
    initial_backoff: Span | None = None
    max_backoff: Span | None = None
    factor: float = 0
    jitter: float | None = None
    non_retryable_types: Sequence[str] = ()
    max_crashes: int = 0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The time limits of a task; None means no limit, or for `cancel_grace` 30 s.

    Attributes:
        schedule_to_start: From submit, or from the end of its delay, to the first claim.
        attempt: For one attempt.
        task: For all attempts together.
        stall: Between two progress reports of a running attempt.
        cancel_grace: From a cancel's delivery to the revocation of the lease.
    """

    schedule_to_start: Span | None = None
    attempt: Span | None = None
    task: Span | None = None
    stall: Span | None = None
    cancel_grace: Span | None = None


class TaskOptions(TypedDict, total=False):
    """How a task is to be run.

    Attributes:
        queue: The line it waits in; `default`.
        priority: 0 to 9, 9 is handed out first; 5.
        delay: Earliest start, from the server's receipt. Not together with `run_at`.
        run_at: Earliest start, with a time zone.
        depends_on: Ids of tasks that must end first. In `submit_many`, `#n` is item n.
        when_dependencies: `succeeded` (all must have) or `ended`; `succeeded`.
        retry: How failed attempts are retried; a number is `Retry(max_attempts=…)`.
        timeouts: Time limits; a number is `Timeouts(attempt=…)`.
        labels: For finding and grouping.
        idempotency_key: While a task with this key is kept, the same submit returns that task.
        parent: Id of the task that submits this one; a cancel of it reaches this one.
    """

    queue: str
    priority: int
    delay: Span
    run_at: dt.datetime
    depends_on: Sequence[str]
    when_dependencies: Literal["succeeded", "ended"]
    retry: Retry | int
    timeouts: Timeouts | Span
    labels: Mapping[str, str]
    idempotency_key: str
    parent: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One item of `submit_many`.

    Attributes:
        name: What is to be done.
        input: The handler's input.
        options: How it is to be run.
    """

    name: str
    input: Any = None
    options: TaskOptions | None = None


@dataclass(frozen=True, slots=True)
class Cron:
    """When a schedule creates tasks: by a cron expression.

    Attributes:
        expression: Five fields (minute first) or six (second first), or such as `@daily`.
        time_zone: IANA name.
    """

    expression: str
    time_zone: str = "UTC"


When = Cron | str | float | int | dt.timedelta | dt.datetime
"""A cron rule, its expression in UTC, an interval (seconds or timedelta), or one instant."""

_POLICIES = {
    "succeeded": DependencyPolicy.DEPENDENCY_POLICY_ALL_SUCCEEDED,
    "ended": DependencyPolicy.DEPENDENCY_POLICY_ALL_ENDED,
}


def payload(value: Any) -> Payload | None:
    """`value` for the wire; None for None.

    Raises:
        PayloadError: It has no JSON form.
    """
    data = encode(value)
    return Payload(data=data) if data else None


def task_spec(name: str, input: Any, options: TaskOptions) -> TaskSpec:
    """A task for the wire.

    Raises:
        PayloadError: The input has no JSON form.
        TypeError: An option is unknown, or of another type than `TaskOptions` says.
        ValueError: `run_at` has no time zone, or an option has a value that it cannot have.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected text, got {name!r}")
    spec = TaskSpec(name=name)
    data = encode(input)
    if data:
        spec.input.data = data
    if options:
        _apply(spec, options)
    return spec


def _apply(spec: TaskSpec, options: TaskOptions) -> None:
    for key, value in options.items():
        if key not in TaskOptions.__annotations__:
            known = ", ".join(TaskOptions.__annotations__)
            raise TypeError(f"{key}: unknown option; there are {known}")
        if value is None:
            continue
        try:
            _set(spec, key, options)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{key}: {error}, got {value!r}") from error


def _set(spec: TaskSpec, key: str, options: TaskOptions) -> None:
    """Set one option, which is given."""
    if key == "queue":
        spec.queue = options["queue"]
    elif key == "priority":
        spec.priority = options["priority"]
    elif key == "idempotency_key":
        spec.idempotency_key = options["idempotency_key"]
    elif key == "parent":
        spec.parent_id = options["parent"]
    elif key == "labels":
        spec.labels.update(options["labels"])
    elif key == "depends_on":
        ids = options["depends_on"]
        if isinstance(ids, str):
            raise TypeError("expected a list of task ids")
        spec.depends_on.extend(ids)
    elif key == "delay":
        spec.delay.CopyFrom(to_duration(options["delay"]))
    elif key == "run_at":
        spec.run_time.CopyFrom(to_timestamp(options["run_at"]))
    elif key == "when_dependencies":
        policy = _POLICIES.get(options["when_dependencies"])
        if policy is None:
            raise ValueError(f"expected {' or '.join(_POLICIES)}")
        spec.dependency_policy = policy
    elif key == "retry":
        spec.retry.CopyFrom(_retry(options["retry"]))
    else:
        spec.timeouts.CopyFrom(_timeouts(options["timeouts"]))


def _retry(retry: Retry | int) -> RetryPolicy:
    if isinstance(retry, int):
        return RetryPolicy(max_attempts=retry)
    first, most = retry.initial_backoff, retry.max_backoff
    return RetryPolicy(
        max_attempts=retry.max_attempts,
        initial_backoff=None if first is None else to_duration(first),
        max_backoff=None if most is None else to_duration(most),
        factor=retry.factor,
        jitter=retry.jitter,
        non_retryable_types=retry.non_retryable_types,
        max_crashes=retry.max_crashes,
    )


def _timeouts(timeouts: Timeouts | Span) -> task_pb2.Timeouts:
    if not isinstance(timeouts, Timeouts):
        return task_pb2.Timeouts(attempt=to_duration(timeouts))
    message = task_pb2.Timeouts()
    for name in ("schedule_to_start", "attempt", "task", "stall", "cancel_grace"):
        span = getattr(timeouts, name)
        if span is not None:
            getattr(message, name).CopyFrom(to_duration(span))
    return message


def schedule_spec(
    when: When,
    task: TaskSpec | None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> ScheduleSpec:
    """A schedule's rule for the wire.

    Raises:
        TypeError: `when` is no rule.
        ValueError: An instant has no time zone.
    """
    spec = ScheduleSpec(
        task=task,
        start_time=None if start is None else to_timestamp(start),
        end_time=None if end is None else to_timestamp(end),
    )
    if isinstance(when, str):
        when = Cron(when)
    if isinstance(when, Cron):
        spec.cron.CopyFrom(CronSpec(expression=when.expression, time_zone=when.time_zone))
    elif isinstance(when, dt.datetime):
        spec.once.CopyFrom(to_timestamp(when))
    elif isinstance(when, (int, float, dt.timedelta)):
        spec.interval.CopyFrom(to_duration(when))
    else:
        raise TypeError(f"when: expected a cron rule, an interval or an instant, got {when!r}")
    return spec
