"""Whom a task waits for when it becomes ready: its preferred agents, or the agent of an earlier task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quarterdeck_server.engine.deadlines import wake_at
from quarterdeck_server.engine.flow.affinity import lane_when_ready
from quarterdeck_server.engine.flow.holds import Holds, agent_held
from quarterdeck_server.engine.model import Agent, Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import AgentState

_ACTIVE = int(AgentState.ACTIVE)


def origins(policies: Iterable[str | None]) -> set[int]:
    """Return the tasks whose agents are wanted by tasks with these policies."""
    # Few want one, so the texts are not parsed to learn that they do not.
    texts = {text for text in policies if text is not None and '"same_agent_as"' in text}
    return {wanted for text in texts if (wanted := policy_of(text).same_agent_as) is not None}


def preferring(
    task: Task,
    tasks: Mapping[int, Task],
    agents: Mapping[tuple[str, str], Agent],
    holds: Holds,
    now: int,
) -> Task:
    """Return a task that becomes ready in the lane of those whom it waits for.

    An origin that is gone or was never started, or whose agent takes no work or is given none, is not waited for.

    Args:
        task: As it will be, in its line.
        tasks: Has the task of `same_agent_as`, where it exists.
        agents: Has the agent of that task's last attempt, where it exists.
        holds: What is held.
        now: The instant.
    """
    policy = policy_of(task.policy)
    if not policy.preferred and policy.same_agent_as is None:
        return task
    agent_id = None
    origin = None if policy.same_agent_as is None else tasks.get(policy.same_agent_as)
    if origin is not None and origin.namespace == task.namespace and origin.agent_id is not None:
        agent = agents.get((origin.namespace, origin.agent_id))
        if agent is not None and agent.state == _ACTIVE and not _held(holds, agent):
            agent_id = agent.id
    task = task._replace(lane=lane_when_ready(task, policy, agent_id, now))
    return task._replace(wake_at=wake_at(task))


def _held(holds: Holds, agent: Agent) -> bool:
    return agent_held(holds, agent.namespace, agent.id, agent.name, agent.version) is not None
