"""Whose task it is and which agents may have it: group key, units and affinity of a TaskSpec."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from quarterdeck.v1 import task_pb2, task_service_pb2
from quarterdeck_server.engine.flow.affinity import required_lane
from quarterdeck_server.engine.ids import decode_task_id, encode_task_id
from quarterdeck_server.engine.policy import Policy, policy_of
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.validate import Violations

MAX_GROUP_KEY: Final = 256
MAX_UNITS: Final = 1_000_000


def read_affinity(message: task_pb2.Affinity, policy: Policy, out: Violations) -> Policy:
    """Check and convert which agents may run a task."""
    patience = policy.patience
    if message.HasField("patience"):
        patience = validate.span(message.patience, "affinity.patience", out)
    validate.labels(message.required, "affinity.required", out)
    validate.labels(message.preferred, "affinity.preferred", out)
    return policy._replace(
        required=tuple(sorted(message.required.items())),
        preferred=tuple(sorted(message.preferred.items())),
        same_agent_as=_same_agent_as(message.same_agent_as, out),
        patience=patience,
    )


def _same_agent_as(text: str, out: Violations) -> int | None:
    if not text:
        return None
    try:
        return decode_task_id(text)
    except ValueError as error:
        out.append(Violation("affinity.same_agent_as", str(error)))
        return None


def read_units(value: int, out: Violations) -> int:
    """What a start takes from the rate limits of its queue."""
    return validate.number(value, "units", 1, MAX_UNITS, out, default=1)


def read_group_key(value: str, out: Violations) -> str:
    """Whose task it is."""
    return validate.text(value, "group_key", MAX_GROUP_KEY, out)


@lru_cache(maxsize=16_384)
def lane(group_key: str, policy: str | None) -> str | None:
    """The lane of a task that waits for nobody in particular. A fleet has few keys at a time."""
    return required_lane(group_key, policy_of(policy))


def to_proto(policy: Policy, out: task_pb2.TaskSpec | task_service_pb2.GetTaskResponse) -> None:
    """Say units and affinity as they were sent."""
    if policy.units != 1:
        out.units = policy.units
    if policy.required or policy.preferred or policy.same_agent_as is not None:
        out.affinity.required.update(policy.required)
        out.affinity.preferred.update(policy.preferred)
        if policy.same_agent_as is not None:
            out.affinity.same_agent_as = encode_task_id(policy.same_agent_as)
        convert.set_span(out.affinity.patience, policy.patience)
