"""What is too large for one transaction: it goes on in bounded steps, over restarts too.

A tree that is cancelled is walked from its root. Each task in it that submitted others is a branch, kept until the walk
is over, so that parents which stand in a circle are walked once. Children are taken in the order of their ids, each
once: one that an operator put back after it was cancelled stays in line. What is submitted below a cancelled task later
is cancelled when it is submitted.

A task that ended before very many that depend on it is a branch, too: the next of them are settled in each step, in the
order of their ids. Which still wait is read from the dependencies that are not met, so the branch only says where to
look, and none is left out or settled twice. If the task is retried meanwhile, those wait for its next end.
"""

from __future__ import annotations

from typing import NamedTuple

AT_ONCE = 1_000
"""Tasks below those that a group cancels, with which their trees are cancelled in that group."""

SETTLED_AT_ONCE = 2_000
"""Dependencies on tasks that end in a group, which are settled in that group. Each takes about 25 us."""

DEPENDENTS = 0
"""In the place of a root: those that depend on the task are settled, rather than its children cancelled."""

BranchKey = tuple[int, int]
"""The root of the tree, and the task whose children are to be cancelled."""


class Branch(NamedTuple):
    """One task of a tree, and how far its children are cancelled; or a task that ended, and its dependents."""

    root_id: int
    task_id: int
    namespace: str
    actor: str
    reason: str
    after: int
    """The last child or dependent that was looked at."""
    done: int
    """1 once all of them were."""


def dependents_branch(task_id: int, namespace: str, after: int) -> Branch:
    """Return the branch of an ended task whose dependents up to `after` are settled."""
    return Branch(DEPENDENTS, task_id, namespace, "", "", after, 0)
