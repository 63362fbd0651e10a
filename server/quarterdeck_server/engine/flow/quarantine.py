"""Quarantine by rule: what fails again and again in a row is held until somebody releases it by hand.

The rows of failures are counted in memory, only in namespaces that have rules, and begin anew with the server.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from quarterdeck_server.engine import audit
from quarterdeck_server.engine.commands import Audit
from quarterdeck_server.engine.differences import hold_change
from quarterdeck_server.engine.flow.holds import (
    AGENT,
    AGENT_VERSION,
    TASK_NAME,
    is_full,
    version_subject,
)
from quarterdeck_server.engine.model import Attempt, Hold, Task
from quarterdeck_server.engine.namespaces import QuarantineRules
from quarterdeck_server.engine.states import Outcome
from quarterdeck_server.engine.world import HoldKey, World

MAX_SUBJECTS = 10_000
"""Of each kind, those whose failures are counted: the one that failed longest ago is forgotten first."""

MESSAGE_LENGTH = 256
"""Characters of the last error's message in the reason of a quarantine."""

_FAILURES = frozenset({int(Outcome.FAILED), int(Outcome.LOST), int(Outcome.REVOKED)})


class Streaks:
    """How many attempts of a subject failed in a row, as of the last committed group."""

    def __init__(self) -> None:
        self._of_kind: dict[int, OrderedDict[HoldKey, int]] = {}

    def __len__(self) -> int:
        return sum(len(streaks) for streaks in self._of_kind.values())

    def get(self, key: HoldKey) -> int:
        """Return the failures in a row; 0 when there are none."""
        streaks = self._of_kind.get(key[1])
        return streaks.get(key, 0) if streaks else 0

    def update(self, changes: Mapping[HoldKey, int]) -> None:
        """Remember what a group found; 0 ends a row."""
        for key, count in changes.items():
            streaks = self._of_kind.setdefault(key[1], OrderedDict())
            if not count:
                streaks.pop(key, None)
                continue
            streaks[key] = count
            streaks.move_to_end(key)
            if len(streaks) > MAX_SUBJECTS:
                streaks.popitem(last=False)

    def forget(self, namespace: str) -> None:
        """Begin anew in a namespace."""
        for streaks in self._of_kind.values():
            for key in [key for key in streaks if key[0] == namespace]:
                del streaks[key]


def agents_to_know(world: World) -> set[tuple[str, str]]:
    """Return the agents whose versions `judge` must find loaded, where they have a row."""
    wanted = set()
    for attempt in world.attempts:
        task = world.tasks.get(attempt.task_id)
        if task is not None:
            rules = world.rules.get(task.namespace)
            if rules is not None and rules.agent_version:
                wanted.add((task.namespace, attempt.agent_id))
    return wanted


def judge(world: World, streaks: Streaks) -> None:
    """Count the attempts that ended in this group, and hold what failed too often in a row."""
    for attempt in world.attempts:
        task = world.tasks.get(attempt.task_id)
        rules = None if task is None else world.rules.get(task.namespace)
        # A record of an attempt that ended earlier is here again because something came late for it.
        if task is None or rules is None or attempt.late_reports or attempt.late_heartbeats:
            continue
        if attempt.outcome == Outcome.SUCCEEDED:
            for key, _ in _subjects(world, task, attempt, rules):
                if world.streaks.get(key, streaks.get(key)):
                    world.streaks[key] = 0
        elif attempt.outcome in _FAILURES and attempt.error_type is not None and not task.cancel:
            for key, limit in _subjects(world, task, attempt, rules):
                _count(world, streaks, key, limit, attempt)


def _subjects(
    world: World, task: Task, attempt: Attempt, rules: QuarantineRules
) -> Iterator[tuple[HoldKey, int]]:
    """Give what the rules of its namespace look at in an attempt, with how many failures each allows."""
    if rules.task_name:
        yield (task.namespace, TASK_NAME, task.name), rules.task_name
    if rules.agent:
        yield (task.namespace, AGENT, attempt.agent_id), rules.agent
    if rules.agent_version:
        agent = world.agents.get((task.namespace, attempt.agent_id))
        if agent is not None:
            subject = version_subject(agent.name, agent.version)
            yield (task.namespace, AGENT_VERSION, subject), rules.agent_version


def _count(world: World, streaks: Streaks, key: HoldKey, limit: int, attempt: Attempt) -> None:
    if key in world.holds:
        # What ran already when it was held tells nothing new, nor of what comes after the release.
        return
    count = world.streaks.get(key, streaks.get(key)) + 1
    if count < limit or is_full(world.holds, key[0]):
        world.streaks[key] = count
        return
    world.streaks[key] = 0
    message = (attempt.error_message or "")[:MESSAGE_LENGTH]
    reason = (
        f"{count} failed or lost attempts in a row, the last one: {attempt.error_type}: {message}"
    )
    hold = world.put_hold(Hold(*key, 1, audit.SERVER, reason, 0, world.now, 0))
    entry = Audit(audit.SERVER, "Quarantine", reason, key[2])
    audit.enter(world, key[0], entry, 1, hold_change(None, hold))
