"""Affinity: which agents a ready task waits for, and until when.

Required labels are in force for ever. Preferred labels, and the agent of an earlier task, are in force once the task is
ready, until the task's patience is over: then its lane is relaxed to what it requires. The lane on the row says what
is in force now, so that the hand-off need not look at anything else.
"""

from __future__ import annotations

from quarterdeck_server.engine.flow.lane import LaneKey, lane_of, lane_text
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import Policy, policy_of
from quarterdeck_server.engine.states import READY


def required_lane(group_key: str, policy: Policy) -> str | None:
    """Return the lane of a task that waits for nobody in particular: its group key and what its agents must have."""
    return lane_text(LaneKey(group_key, policy.required))


def lane_when_ready(
    task: Task, policy: Policy, agent_of_origin: str | None, now: int
) -> str | None:
    """Return the lane of a task that becomes ready.

    Args:
        task: As it will be in line: its `run_at` is the instant from which its patience is counted.
        policy: Its policy.
        agent_of_origin: The agent of the last attempt of `policy.same_agent_as`, when that agent is ACTIVE.
        now: The instant.
    """
    group_key = lane_of(task.lane).group_key
    if task.run_at + policy.patience <= now:
        return required_lane(group_key, policy)
    labels = policy.required
    if policy.preferred:
        labels = tuple(sorted({**dict(policy.preferred), **dict(policy.required)}.items()))
    return lane_text(LaneKey(group_key, labels, agent_of_origin))


def relaxed_lane(task: Task) -> str | None:
    """Return the lane of a task whose patience is over."""
    return required_lane(lane_of(task.lane).group_key, policy_of(task.policy))


def relax_at(task: Task) -> int | None:
    """Return when a ready task waits for its preferred agents no longer; None when it waits for none."""
    if task.lane is None or task.state != READY:
        return None
    policy = policy_of(task.policy)
    key = lane_of(task.lane)
    if key.agent_id is None and key.labels == policy.required:
        return None
    return task.run_at + policy.patience


def admits(key: LaneKey, labels: frozenset[tuple[str, str]], agent_id: str) -> bool:
    """Say whether an agent with these labels may have the tasks of a lane."""
    return key.agent_id in (None, agent_id) and labels.issuperset(key.labels)
