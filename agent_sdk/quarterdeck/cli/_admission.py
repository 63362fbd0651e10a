"""Options that say whose a task is, which agents may run it, and what becomes of a second one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.cli import _params

if TYPE_CHECKING:
    from quarterdeck.v1.task_pb2 import TaskSpec

SCOPES = ["pending", "active", "period"]
POLICIES = ["reject", "return-existing", "replace-pending", "after-existing"]

Decorator = Callable[[Any], Any]

PLACING: list[Decorator] = [
    click.option("--group-key", metavar="KEY", help="Whose it is: keys of a queue take turns."),
    click.option(
        "--units", type=click.IntRange(min=1), help="Taken from the queue's rates.  [default: 1]"
    ),
    click.option(
        "--attribute",
        "attributes",
        type=_params.attribute,
        multiple=True,
        help="KEY=VALUE, found by `attr.KEY`; numbers, true and false are typed. Repeatable.",
    ),
    click.option(
        "--require",
        type=_params.label,
        multiple=True,
        help="KEY=VALUE: a label that the agent must have. Repeatable.",
    ),
    click.option(
        "--prefer",
        type=_params.label,
        multiple=True,
        help="KEY=VALUE: a label of agents that are waited for first. Repeatable.",
    ),
    click.option(
        "--patience", type=_params.duration, help="How long those are waited for.  [default: 5s]"
    ),
]
"""What a schedule's task may have as well."""

ADMITTING: list[Decorator] = [
    click.option(
        "--same-agent-as", metavar="TASK_ID", help="The agent of this task is waited for first."
    ),
    click.option("--key-ttl", type=_params.duration, help="How long --key is kept."),
    click.option("--unique", metavar="KEY", help="At most one task of this name with the key."),
    click.option(
        "--unique-scope",
        type=click.Choice(SCOPES),
        help="How long the key is taken: until the first start, until the end, or for "
        "--unique-period.  [default: active]",
    ),
    click.option(
        "--unique-policy",
        type=click.Choice(POLICIES),
        help="What becomes of a second task.  [default: reject]",
    ),
    click.option("--unique-period", type=_params.duration, help="How long the key is taken."),
    click.option(
        "--debounce",
        type=_params.debounce,
        help="KEY=DELAY[,MAX_WAIT]: of a burst with the key the last one runs, DELAY after it.",
    ),
    click.option(
        "--throttle",
        type=_params.throttle,
        help="KEY=N/PERIOD: N with the key are let through in a period.",
    ),
]
"""What only a task that is submitted may have."""


def admit(spec: TaskSpec, values: Mapping[str, Any]) -> None:
    """Puts these options into a task's spec.

    Raises:
        click.UsageError: options that need another one.
    """
    spec.group_key = values["group_key"] or ""
    spec.units = values["units"] or 0
    for key, value in values["attributes"]:
        _attribute(spec, key, value)
    if values.get("key_ttl") is not None:
        spec.idempotency_ttl.FromTimedelta(values["key_ttl"])
    _place(spec, values)
    if "unique" in values:
        _unique(spec, values)
    if values.get("debounce"):
        key, delay, most = values["debounce"]
        spec.debounce.key = key
        spec.debounce.delay.FromTimedelta(delay)
        if most is not None:
            spec.debounce.max_wait.FromTimedelta(most)
    if values.get("throttle"):
        spec.throttle.key, spec.throttle.limit, period = values["throttle"]
        spec.throttle.period.FromTimedelta(period)


def _attribute(spec: TaskSpec, key: str, value: str | float | bool) -> None:
    if isinstance(value, bool):
        spec.attributes[key].flag = value
    elif isinstance(value, str):
        spec.attributes[key].text = value
    else:
        spec.attributes[key].number = value


def _place(spec: TaskSpec, values: Mapping[str, Any]) -> None:
    same: str = values.get("same_agent_as") or ""
    patience: dt.timedelta | None = values["patience"]
    if not (values["require"] or values["prefer"] or same):
        if patience is not None:
            raise click.UsageError("--patience needs --prefer or --same-agent-as")
        return
    spec.affinity.required.update(dict(values["require"]))
    spec.affinity.preferred.update(dict(values["prefer"]))
    spec.affinity.same_agent_as = same
    if patience is not None:
        spec.affinity.patience.FromTimedelta(patience)


def _unique(spec: TaskSpec, values: Mapping[str, Any]) -> None:
    from quarterdeck.v1.task_pb2 import UniquePolicy, UniqueScope

    period: dt.timedelta | None = values["unique_period"]
    scope = values["unique_scope"] or ("period" if period is not None else None)
    if values["unique"] is None:
        if scope or values["unique_policy"]:
            raise click.UsageError("options of --unique without it")
        return
    if (scope == "period") != (period is not None):
        raise click.UsageError("--unique-scope period and --unique-period need each other")
    spec.unique.key = values["unique"]
    if scope:
        spec.unique.scope = UniqueScope.Value(f"UNIQUE_SCOPE_{scope.upper()}")
    if policy := values["unique_policy"]:
        word = policy.upper().replace("-", "_")
        spec.unique.policy = UniquePolicy.Value(f"UNIQUE_POLICY_{word}")
    if period is not None:
        spec.unique.period.FromTimedelta(period)
