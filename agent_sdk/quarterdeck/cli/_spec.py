"""Options that describe a task, shared by `task submit` and `schedule set`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._admission import ADMITTING, PLACING, admit

if TYPE_CHECKING:
    from quarterdeck.v1.task_pb2 import TaskSpec
    from quarterdeck.v1.task_service_pb2 import RerunTasksRequest, TaskUpdate

_POLICIES = ["all-succeeded", "all-ended"]

_POLICY: list[Callable[[Any], Any]] = [
    click.option("--max-attempts", type=click.IntRange(min=1), help="[default: 3]"),
    click.option(
        "--backoff", type=_params.duration, help="Before attempt 2; then doubled.  [default: 1s]"
    ),
    click.option("--max-backoff", type=_params.duration, help="[default: 10m]"),
    click.option(
        "--retry-delay",
        "retry_delays",
        type=_params.duration,
        multiple=True,
        help="Before attempt 2, 3 and so on, the last one repeated. Repeatable.",
    ),
    click.option("--factor", type=click.FloatRange(1, 100), help="Growth of it.  [default: 2]"),
    click.option(
        "--jitter", type=click.FloatRange(0, 1), help="Relative spread of it.  [default: 0.2]"
    ),
    click.option(
        "--non-retryable", multiple=True, metavar="TYPE", help="An error type. Repeatable."
    ),
    click.option(
        "--max-crashes", type=click.IntRange(min=1), help="Lost leases at most.  [default: 3]"
    ),
    click.option("--attempt-timeout", type=_params.duration, help="For one attempt."),
    click.option("--task-timeout", type=_params.duration, help="For all attempts together."),
    click.option("--stall-timeout", type=_params.duration, help="Between two progress reports."),
    click.option("--expire", type=_params.duration, help="Give up if not started in time."),
    click.option(
        "--cancel-grace",
        type=_params.duration,
        help="From a cancel's delivery to the revocation.  [default: 30s]",
    ),
]
_INPUT: list[Callable[[Any], Any]] = [
    click.option(
        "--input", "input_", type=_params.json, metavar="JSON", help="The handler's input."
    ),
    click.option("--input-file", type=click.File("rb"), help="The input's bytes; `-` for stdin."),
    click.option("--content-type", help="Of --input-file.  [default: application/json]"),
]
_RULE: list[Callable[[Any], Any]] = [
    *_INPUT,
    click.option("--queue", help="The line it waits in.  [default: default]"),
    click.option("--priority", type=click.IntRange(0, 9), help="9 goes first.  [default: 5]"),
    click.option("--label", "labels", type=_params.label, multiple=True, help="May be repeated."),
    *_POLICY,
    *PLACING,
]
_ONCE: list[Callable[[Any], Any]] = [
    click.option("--delay", type=_params.duration, help="Not before so long from now."),
    click.option("--at", type=_params.instant, help="Not before this time."),
    click.option(
        "--depends-on", "depends_on", multiple=True, metavar="TASK_ID", help="May be repeated."
    ),
    click.option(
        "--dependency-policy", type=click.Choice(_POLICIES), help="[default: all-succeeded]"
    ),
    click.option("--parent", help="The task that submits this one."),
    click.option("--key", help="Idempotency key: the same key and content is the same task."),
    *ADMITTING,
]
_CHANGES: list[Callable[[Any], Any]] = [
    click.option("--queue", help="Another line to wait in."),
    click.option("--priority", type=click.IntRange(0, 9), help="9 goes first."),
    click.option("--delay", type=_params.duration, help="Not before so long from now."),
    click.option("--at", type=_params.instant, help="Not before this time."),
    click.option("--label", "labels", type=_params.label, multiple=True, help="Set. Repeatable."),
    click.option(
        "--remove-label", "unlabel", multiple=True, metavar="KEY", help="May be repeated."
    ),
    *_POLICY,
]


def rule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what a schedule's task may have."""
    for option in reversed(_RULE):
        function = option(function)
    return function


def task_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds everything that a task may have."""
    for option in reversed(_ONCE):
        function = option(function)
    return rule_options(function)


def task_spec(values: Mapping[str, Any]) -> TaskSpec:
    """The spec that the options describe.

    Raises:
        click.UsageError: options that contradict each other.
    """
    from quarterdeck.v1.task_pb2 import DependencyPolicy, TaskSpec

    if values.get("delay") is not None and values.get("at") is not None:
        raise click.UsageError("--delay and --at say the same thing twice: give one")
    spec = TaskSpec(
        name=values["name"],
        queue=values["queue"] or "",
        priority=values["priority"],
        labels=dict(values["labels"]),
        depends_on=values.get("depends_on", ()),
        parent_id=values.get("parent") or "",
        idempotency_key=values.get("key") or "",
        delay=values.get("delay"),
        run_time=values.get("at"),
    )
    if policy := values.get("dependency_policy"):
        word = policy.upper().replace("-", "_")
        spec.dependency_policy = DependencyPolicy.Value(f"DEPENDENCY_POLICY_{word}")
    put_input(spec, values)
    _limits(spec, values)
    admit(spec, values)
    return spec


def input_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the handler's input."""
    for option in reversed(_INPUT):
        function = option(function)
    return function


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what can be changed of a task."""
    for option in reversed(_CHANGES):
        function = option(function)
    return function


def task_update(values: Mapping[str, Any]) -> TaskUpdate:
    """The changes that the options describe.

    Raises:
        click.UsageError: there are none, or they contradict each other.
    """
    from quarterdeck.v1.task_service_pb2 import TaskUpdate

    if values["delay"] is not None and values["at"] is not None:
        raise click.UsageError("--delay and --at say the same thing twice: give one")
    update = TaskUpdate(
        queue=values["queue"],
        priority=values["priority"],
        delay=values["delay"],
        run_time=values["at"],
        labels={**dict.fromkeys(values["unlabel"], ""), **dict(values["labels"])},
    )
    _limits(update, values)
    if not update.ListFields():
        raise click.UsageError("nothing to change: --help lists what can be")
    return update


def put_input(spec: TaskSpec | RerunTasksRequest, values: Mapping[str, Any]) -> None:
    """Puts the handler's input, if there is one, into a message.

    Raises:
        click.UsageError: options that contradict each other.
    """
    data, file = values["input_"], values["input_file"]
    if data is not None and file is not None:
        raise click.UsageError("--input and --input-file say the same thing twice: give one")
    if values["content_type"] and file is None:
        raise click.UsageError("--content-type needs --input-file")
    if file is not None:
        spec.input.content_type = values["content_type"] or "application/json"
        spec.input.data = file.read()
    elif data is not None:
        spec.input.content_type = "application/json"
        spec.input.data = data


def _limits(spec: TaskSpec | TaskUpdate, values: Mapping[str, Any]) -> None:
    for name in ("max_attempts", "factor", "jitter", "max_crashes"):
        if values[name] is not None:
            setattr(spec.retry, name, values[name])
    if values["non_retryable"]:
        spec.retry.non_retryable_types.extend(values["non_retryable"])
    for delay in values["retry_delays"]:
        spec.retry.delays.add().FromTimedelta(delay)
    for option, field in (
        ("backoff", spec.retry.initial_backoff),
        ("max_backoff", spec.retry.max_backoff),
        ("attempt_timeout", spec.timeouts.attempt),
        ("task_timeout", spec.timeouts.task),
        ("stall_timeout", spec.timeouts.stall),
        ("expire", spec.timeouts.schedule_to_start),
        ("cancel_grace", spec.timeouts.cancel_grace),
    ):
        if values[option] is not None:
            field.FromTimedelta(values[option])
