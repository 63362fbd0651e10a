"""What a producer asks for, as the wire wants it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck._codec import encode
from quarterdeck._errors import PayloadError
from quarterdeck._policies import Affinity, Debounce, Retry, Throttle, Timeouts, Unique
from quarterdeck._spans import Span
from quarterdeck._times import to_duration, to_timestamp
from quarterdeck._wire import attributes, to_message
from quarterdeck.v1 import task_pb2
from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck.v1.schedule_pb2 import CronSpec, ScheduleSpec
from quarterdeck.v1.task_pb2 import DependencyPolicy, TaskSpec
from quarterdeck.v1.task_service_pb2 import TaskUpdate


class TaskOptions(TypedDict, total=False):
    """How a task is to be run.

    Attributes:
        queue: The line it waits in; `default`.
        priority: 0 to 9, 9 is handed out first; 5.
        delay: Earliest start, from the server's receipt. Not together with `run_at`.
        run_at: Earliest start, with a time zone.
        depends_on: Ids of tasks that must end first. In `submit_many`, `#n` is item n.
        when_dependencies: `succeeded` (all must have) or `ended`; `succeeded`.
        retry: How failed attempts are retried; a number is `Retry(max_attempts=…)`, 1 is no retry.
        timeouts: Time limits; a number is `Timeouts(attempt=…)`.
        labels: For finding and grouping.
        idempotency_key: While a task with this key is kept, the same submit returns that task.
        idempotency_ttl: How long the key is kept; for as long as the task is.
        parent: Id of the task that submits this one; a cancel of it reaches this one.
        group_key: Whose task it is: keys of a queue take turns, and a queue may limit each.
        units: What it takes from the queue's rate limits; 1.
        affinity: Which agents may run it.
        attributes: Typed facts for finding it, such as `attr.cost>5`.
        unique: At most one task of this name with a key; a text is `Unique(key)`.
        debounce: Folds a burst of submits into one task.
        throttle: Lets a number of submits through.
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
    idempotency_ttl: Span
    parent: str
    group_key: str
    units: int
    affinity: Affinity
    attributes: Mapping[str, str | float | bool]
    unique: Unique | str
    debounce: Debounce
    throttle: Throttle


class TaskChanges(TypedDict, total=False):
    """What to change of tasks; what is not given stays.

    Attributes:
        priority: 0 to 9. Of a task that waits.
        run_at: Its earliest start, with a time zone. Of a task that waits.
        delay: Its earliest start, from the server's receipt. Of a task that waits.
        queue: The line it waits in. Of a task that waits.
        retry: How failed attempts are retried from now on: the whole policy.
        timeouts: Time limits from now on, all of them.
        labels: Labels to set; an empty value removes the label.
    """

    priority: int
    run_at: dt.datetime
    delay: Span
    queue: str
    retry: Retry | int
    timeouts: Timeouts | Span
    labels: Mapping[str, str]


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
        _apply(spec, options, TaskOptions.__annotations__)
    return spec


def task_specs(specs: Sequence[Spec]) -> list[TaskSpec]:
    """Tasks for the wire; what is wrong with one names its place.

    Raises:
        PayloadError: The input of an item has no JSON form.
        TypeError: An item is no `Spec`, or an option of it is of a wrong type.
        ValueError: An option of an item has a value that it cannot have.
    """
    made: list[TaskSpec] = []
    for place, spec in enumerate(specs):
        if not isinstance(spec, Spec):
            raise TypeError(f"specs[{place}]: expected Spec(name, …), got {spec!r}")
        try:
            made.append(task_spec(spec.name, spec.input, spec.options or {}))
        except PayloadError as error:
            raise PayloadError(f"specs[{place}].input", str(error)) from error
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"specs[{place}]: {error}") from error
    return made


def task_update(changes: TaskChanges) -> TaskUpdate:
    """What to change of tasks, for the wire.

    Raises:
        TypeError: A change is unknown, or of another type than `TaskChanges` says.
        ValueError: There is nothing to change, or a change has a value that it cannot have.
    """
    update = TaskUpdate()
    _apply(update, changes, TaskChanges.__annotations__)
    if not update.ListFields():
        raise ValueError(f"nothing to change: there are {', '.join(TaskChanges.__annotations__)}")
    return update


def _apply(message: Any, options: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Set what is given on a TaskSpec or a TaskUpdate, whose fields have the same names."""
    for key, value in options.items():
        if key not in known:
            raise TypeError(f"{key}: unknown option; there are {', '.join(known)}")
        if value is None:
            continue
        try:
            _SETTERS[key](message, value)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{key}: {_expectation(key, error)}, got {value!r}") from error


def _expectation(key: str, error: Exception) -> str:
    """What an option must be, where the error has only the words of the wire's library for it."""
    said = str(error).partition(", got ")[0]
    field, colon, _ = said.partition(": ")
    if said.startswith("expected") or (colon and field.isidentifier()):
        return said
    return f"expected {_EXPECTED[key]}"


Setter = Callable[[Any, Any], object]


def _plain(name: str) -> Setter:
    return lambda message, value: setattr(message, name, value)


def _map(name: str) -> Setter:
    return lambda message, value: getattr(message, name).update(value)


def _message(name: str, convert: Callable[[Any], Message]) -> Setter:
    return lambda message, value: getattr(message, name).CopyFrom(convert(value))


def _model(kind: type[Message], model: type) -> Callable[[Any], Message]:
    """Converts a dataclass, refusing every other value."""

    def convert(value: Any) -> Message:
        if not isinstance(value, model):
            raise TypeError(f"expected {model.__name__}(…)")
        return to_message(kind, value)

    return convert


def _depends_on(spec: TaskSpec, ids: Sequence[str]) -> None:
    if isinstance(ids, str):
        raise TypeError("expected a list of task ids")
    spec.depends_on.extend(ids)


def _when_dependencies(spec: TaskSpec, policy: str) -> None:
    if policy not in _POLICIES:
        raise ValueError(f"expected {' or '.join(_POLICIES)}")
    spec.dependency_policy = _POLICIES[policy]


def _attributes(spec: TaskSpec, values: Mapping[str, str | float | bool]) -> None:
    for key, value in attributes(values).items():
        spec.attributes[key].CopyFrom(value)


def _retry(retry: Retry | int) -> Message:
    if isinstance(retry, int):
        if retry == 0:
            raise ValueError("expected at least 1 attempt, and 1 is without a retry")
        retry = Retry(max_attempts=retry)
    return _model(task_pb2.RetryPolicy, Retry)(retry)


def _timeouts(timeouts: Timeouts | Span) -> Message:
    if isinstance(timeouts, (int, float, dt.timedelta)):
        timeouts = Timeouts(attempt=timeouts)
    return _model(task_pb2.Timeouts, Timeouts)(timeouts)


def _unique(unique: Unique | str) -> Message:
    return _model(task_pb2.Unique, Unique)(Unique(unique) if isinstance(unique, str) else unique)


_SETTERS: dict[str, Setter] = {
    "queue": _plain("queue"),
    "priority": _plain("priority"),
    "idempotency_key": _plain("idempotency_key"),
    "idempotency_ttl": _message("idempotency_ttl", to_duration),
    "parent": _plain("parent_id"),
    "group_key": _plain("group_key"),
    "units": _plain("units"),
    "labels": _map("labels"),
    "attributes": _attributes,
    "depends_on": _depends_on,
    "when_dependencies": _when_dependencies,
    "delay": _message("delay", to_duration),
    "run_at": _message("run_time", to_timestamp),
    "retry": _message("retry", _retry),
    "timeouts": _message("timeouts", _timeouts),
    "affinity": _message("affinity", _model(task_pb2.Affinity, Affinity)),
    "unique": _message("unique", _unique),
    "debounce": _message("debounce", _model(task_pb2.Debounce, Debounce)),
    "throttle": _message("throttle", _model(task_pb2.Throttle, Throttle)),
}


_SPAN = "seconds or a timedelta"
_EXPECTED = {
    "queue": "text",
    "priority": "a whole number from 0 to 9",
    "idempotency_key": "text",
    "idempotency_ttl": _SPAN,
    "parent": "text, a task's id",
    "group_key": "text",
    "units": "a whole number from 1 to 1,000,000",
    "labels": "a mapping of text to text",
    "attributes": "a mapping of text to text, numbers and bools",
    "depends_on": "a list of task ids",
    "delay": _SPAN,
    "run_at": "a datetime with a time zone",
    "retry": "Retry(…) or a number of attempts",
    "timeouts": f"Timeouts(…), or {_SPAN} for an attempt",
    "when_dependencies": " or ".join(_POLICIES),
    "affinity": "Affinity(…)",
    "unique": "Unique(…) or its key",
    "debounce": "Debounce(…)",
    "throttle": "Throttle(…)",
}


def schedule_spec(
    when: When,
    task: TaskSpec | None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> ScheduleSpec:
    """A schedule's rule for the wire.

    Raises:
        TypeError: `when` is no rule, or an instant is none.
        ValueError: An instant has no time zone.
    """
    spec = ScheduleSpec(
        task=task,
        start_time=None if start is None else _instant("start", start),
        end_time=None if end is None else _instant("end", end),
    )
    if isinstance(when, str):
        when = Cron(when)
    if isinstance(when, Cron):
        spec.cron.CopyFrom(CronSpec(expression=when.expression, time_zone=when.time_zone))
    elif isinstance(when, dt.datetime):
        spec.once.CopyFrom(_instant("when", when))
    elif isinstance(when, (int, float, dt.timedelta)):
        spec.interval.CopyFrom(to_duration(when))
    else:
        raise TypeError(f"when: expected a cron rule, an interval or an instant, got {when!r}")
    return spec


def _instant(name: str, value: dt.datetime) -> Timestamp:
    try:
        return to_timestamp(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
