"""Options that describe a task, shared by `task submit` and `schedule set`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.cli import _params

if TYPE_CHECKING:
    from quarterdeck.v1.task_pb2 import TaskSpec

_POLICIES = ["all-succeeded", "all-ended"]

_RULE: list[Callable[[Any], Any]] = [
    click.option(
        "--input", "input_", type=_params.json, metavar="JSON", help="The handler's input."
    ),
    click.option("--input-file", type=click.File("rb"), help="The input's bytes; `-` for stdin."),
    click.option("--content-type", help="Of --input-file.  [default: application/json]"),
    click.option("--queue", help="The line it waits in.  [default: default]"),
    click.option("--priority", type=click.IntRange(0, 9), help="9 goes first.  [default: 5]"),
    click.option("--label", "labels", type=_params.label, multiple=True, help="May be repeated."),
    click.option("--max-attempts", type=click.IntRange(min=1), help="[default: 3]"),
    click.option(
        "--backoff", type=_params.duration, help="Before attempt 2; then doubled.  [default: 1s]"
    ),
    click.option("--max-backoff", type=_params.duration, help="[default: 10m]"),
    click.option("--attempt-timeout", type=_params.duration, help="For one attempt."),
    click.option("--task-timeout", type=_params.duration, help="For all attempts together."),
    click.option("--stall-timeout", type=_params.duration, help="Between two progress reports."),
    click.option("--expire", type=_params.duration, help="Give up if not started in time."),
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
    _input(spec, values)
    _limits(spec, values)
    return spec


def _input(spec: TaskSpec, values: Mapping[str, Any]) -> None:
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


def _limits(spec: TaskSpec, values: Mapping[str, Any]) -> None:
    if values["max_attempts"] is not None:
        spec.retry.max_attempts = values["max_attempts"]
    for option, field in (
        ("backoff", spec.retry.initial_backoff),
        ("max_backoff", spec.retry.max_backoff),
        ("attempt_timeout", spec.timeouts.attempt),
        ("task_timeout", spec.timeouts.task),
        ("stall_timeout", spec.timeouts.stall),
        ("expire", spec.timeouts.schedule_to_start),
    ):
        if values[option] is not None:
            field.FromTimedelta(values[option])
