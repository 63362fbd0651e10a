"""Short ways to say what a test submits, claims and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count

from quarterdeck_server.engine.commands import (
    Cancel,
    Claim,
    Debounce,
    Fail,
    Profile,
    Release,
    Report,
    ReportItem,
    RequestKey,
    Retry,
    Spec,
    StopCancelled,
    Submit,
    Succeed,
    Throttle,
    Unique,
)
from quarterdeck_server.engine.flow.claim import Waiting
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.model import Agent, Failure, Payload
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.schedule.firing import template_text
from quarterdeck_server.engine.schedule.schedules import Kind, Schedule

NOW = 1_767_225_600_000_000
"""2026-01-01 00:00 UTC."""

SECOND = 1_000_000

DEFAULT = Profile("default", ("default",), None)


def ids() -> Callable[[int], int]:
    """A source of task ids that ask no clock: 1, 2, 3."""
    source = count(1)
    return lambda now: next(source)


def tokens() -> Callable[[], int]:
    """A source of lease tokens, none of which looks like an id or an attempt: 1001, 1002."""
    return count(1001).__next__


def spec(
    *,
    queue: str = "default",
    name: str = "work",
    priority: int = 5,
    run_at: int | None = None,
    delay: int = 0,
    policy: Policy | None = None,
    parent_id: int | None = None,
    key: str | None = None,
    content: bytes = b"content",
    depends_on: Iterable[int] = (),
    data: bytes | None = None,
    admission: Unique | Debounce | Throttle | None = None,
    key_ttl: int | None = None,
    labels: str | None = None,
    attributes: str | None = None,
    group_key: str = "",
    needs: Iterable[tuple[str, str]] = (),
) -> Spec:
    """A task to submit; what is not said is as a producer gets it who says nothing."""
    return Spec(
        queue=queue,
        name=name,
        priority=priority,
        run_at=run_at,
        delay=delay,
        policy=None if policy is None else policy_text(policy),
        labels=labels,
        attributes=attributes,
        lane=lane_text(LaneKey(group_key, tuple(sorted(needs)))),
        parent_id=parent_id,
        idempotency_key=key,
        content_hash=None if key is None else content,
        depends_on=tuple(depends_on),
        input=None if data is None else Payload("application/octet-stream", data),
        admission=admission,
        key_ttl=key_ttl,
    )


def submit(*specs: Spec, request: RequestKey | None = None) -> Submit:
    """A Submit in the default namespace."""
    return Submit("default", specs or (spec(),), request)


def claim(
    agent_id: str = "a1",
    max_tasks: int = 1,
    profile: Profile = DEFAULT,
    place: int = 0,
    labels: Iterable[tuple[str, str]] = (),
) -> Claim:
    """A claim that waits."""
    return Claim(profile, agent_id, max_tasks, place, labels=frozenset(labels))


def waiting(claims: Sequence[Claim], candidates: Iterable[tuple[str, str]] = ()) -> Waiting:
    """The line as the committer shows it to a group; every queue that is waited for is a candidate."""
    profiles: dict[Profile, list[Claim]] = {}
    for one in sorted(claims, key=lambda c: c.place):
        profiles.setdefault(one.profile, []).append(one)
    of_queue: dict[tuple[str, str], list[Profile]] = {}
    for profile in profiles:
        for queue in profile.queues:
            of_queue.setdefault((profile.namespace, queue), []).append(profile)
    terms: dict[str, dict[tuple[str, str], list[Claim]]] = {}
    for one in claims:
        for term in (("", one.agent_id), *one.labels):
            terms.setdefault(one.profile.namespace, {}).setdefault(term, []).append(one)
    return Waiting(profiles, of_queue, list(candidates) or list(of_queue), terms)


def report(
    task_id: int, token: int | None, outcome: Succeed | Fail | StopCancelled | Release
) -> Report:
    """A report of one attempt."""
    return Report("default", "a1", [ReportItem(task_id, token or 0, outcome)])


def succeed(data: bytes | None = None) -> Succeed:
    """The outcome of a good attempt."""
    return Succeed(None if data is None else Payload("text/plain", data))


def fail(
    error_type: str = "ValueError", *, final: bool = False, retry_delay: int | None = None
) -> Fail:
    """The outcome of a bad attempt."""
    return Fail(Failure(error_type, "it went wrong", "", final), retry_delay)


def cancel(*task_ids: int, keep_children: bool = False) -> Cancel:
    """A cancel by an operator."""
    return Cancel("default", task_ids, "not needed", "tester", keep_children)


def retry(*task_ids: int) -> Retry:
    """A retry by an operator."""
    return Retry("default", task_ids)


def request(request_id: str, body: bytes = b"body", method: str = "Submit") -> RequestKey:
    """The identity of a call that is repeated."""
    return RequestKey("default", method, request_id, body)


def agent(agent_id: str = "a1", state: int = 1, slots: int = 1) -> Agent:
    """An agent as it describes itself."""
    return Agent(
        "default", agent_id, agent_id, "1", "host", 1, slots, None, '["default"]', None, None,
        state, 0, NOW, NOW, 0,
    )  # fmt: skip


def interval(schedule_id: str = "tick", seconds: int = 10) -> Schedule:
    """A schedule that fires every so many seconds."""
    return Schedule(
        "default", schedule_id, int(Kind.INTERVAL), str(seconds * SECOND), "UTC", None, None,
        "default", "tick", template_text(5, None, None), "", b"", 0, None, None, None, None, 0,
        0, 0, 0,
    )  # fmt: skip
