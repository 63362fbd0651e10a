"""What the server asks by itself: what time, lost leases and walks bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Walk(NamedTuple):
    """Go on for a bounded step with what was too large for one group: cancels of trees, dependents of ended tasks.

    Answered with whether there is more to do.
    """

    limit: int = 1000


class Expire(NamedTuple):
    """End the leases named by (task id, token): nobody renewed them. Answered with None."""

    leases: Sequence[tuple[int, int]]


class Sweep(NamedTuple):
    """Do what time alone brings: promotions, timeouts, schedules. Answered with the next instant, or None."""

    limit: int = 1000


class Prune(NamedTuple):
    """Remove a bounded number of each kind of what is older than its retention.

    Answered with how many were removed of the kind of which most were: `limit` means that there may be more.
    """

    ended_before: int
    failed_before: int
    changes_before: int
    keep_changes: int
    limit: int = 500
    audit_before: int = 0
