"""What a task may be given beside its input: how it is retried, limited, admitted and placed.

Field by field the messages of `quarterdeck.v1`, where each is documented in full. A length of
time is seconds or a timedelta; what is None is the server's default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from quarterdeck._spans import Span

UniqueScope = Literal["pending", "active", "period"]
UniquePolicy = Literal["reject", "return_existing", "replace_pending", "after_existing"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed attempts are retried; what is None is the server's default.

    Attributes:
        max_attempts: Attempts in all, the first included; 0 is the default, 3.
        initial_backoff: Delay before the second attempt (1 s).
        max_backoff: Upper limit of the delay (10 min).
        factor: Growth of the delay; 0 is the default, 2.
        jitter: Relative spread of the delay, 0 to 1 (0.2; with `delays` 0).
        non_retryable_types: Error types that are not retried.
        max_crashes: Lost leases that make the task poison; 0 is the default, 3.
        delays: The delays themselves, the last one repeated, instead of those by backoff and factor.
    """

    max_attempts: int = 0
    initial_backoff: Span | None = None
    max_backoff: Span | None = None
    factor: float = 0
    jitter: float | None = None
    non_retryable_types: Sequence[str] = ()
    max_crashes: int = 0
    delays: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The time limits of a task; None means no limit, or for `cancel_grace` 30 s.

    Attributes:
        schedule_to_start: From submit, or from the end of its delay, to the first claim.
        attempt: For one attempt.
        task: For all attempts together.
        stall: Between two progress reports of a running attempt.
        cancel_grace: From a cancel's delivery to the revocation of the lease.
    """

    schedule_to_start: Span | None = None
    attempt: Span | None = None
    task: Span | None = None
    stall: Span | None = None
    cancel_grace: Span | None = None


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one task of its name has the key at a time.

    Attributes:
        key: Distinguishes tasks of one name.
        scope: How long the key is taken: until the task is first started (`pending`), until it
            has ended (`active`), or for `period` from its creation.
        policy: What becomes of a second task: `reject` with `UniqueKeyTakenError`,
            `return_existing`, `replace_pending` (the first is cancelled while it has not been
            started, else the second is refused), or `after_existing` (it starts when the first
            has ended).
        period: For the scope `period`.
    """

    key: str
    scope: UniqueScope = "active"
    policy: UniquePolicy = "reject"
    period: Span | None = None


@dataclass(frozen=True, slots=True)
class Debounce:
    """Folds a burst of submits into one task: the latest wins and begins the delay again.

    Attributes:
        key: Distinguishes tasks of one name.
        delay: From the last submit to the start.
        max_wait: From the first submit to the start at the latest; None means no limit.
    """

    key: str
    delay: Span
    max_wait: Span | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """Lets a number of submits through in each period; one over it gives the last task let through.

    Attributes:
        key: Distinguishes tasks of one name.
        period: Begins with the first submit that is let through.
        limit: How many in a period.
    """

    key: str
    period: Span
    limit: int = 1


@dataclass(frozen=True, slots=True)
class Affinity:
    """Which agents may run a task.

    Attributes:
        required: Labels that the agent must have.
        preferred: Labels of the agents that are waited for first, up to `patience`.
        same_agent_as: Id of a task whose agent is waited for first, up to `patience`.
        patience: How long the preferred are waited for once the task is ready (5 s).
    """

    required: Mapping[str, str] = field(default_factory=dict)
    preferred: Mapping[str, str] = field(default_factory=dict)
    same_agent_as: str = ""
    patience: Span | None = None
