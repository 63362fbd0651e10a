"""Every answer names what is in the way, whose doing it is, and when it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quarterdeck_server.engine.explain.answer import explain
from quarterdeck_server.engine.explain.facts import Ahead, Facts, Handler, Runners, Stored
from quarterdeck_server.engine.explain.obstacles import Kind, Obstacle, obstacles
from quarterdeck_server.engine.explain.texts import span
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits, Rate, limits_text
from quarterdeck_server.engine.flow.meters import REST, Meter, take
from quarterdeck_server.engine.model import (
    Agent,
    Attempt,
    Cancellation,
    Hold,
    Pause,
    Task,
    encode,
    new_queue,
)
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    EXPIRED,
    FAILED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    AgentState,
    HoldKind,
    Outcome,
)

from .make import NOW, SECOND

PLAIN: dict[str, Any] = dict.fromkeys(Task._fields)
PLAIN |= {
    "id": 7,
    "namespace": "default",
    "queue": "red",
    "name": "work",
    "state": READY,
    "priority": 5,
    "run_at": NOW,
    "create_time": NOW,
    "attempt": 0,
    "max_attempts": 3,
    "crashes": 0,
    "pending": 0,
    "late_reports": 0,
    "revision": 1,
}


def task(**fields: Any) -> Task:
    """A ready task but for what is said."""
    return Task(**(PLAIN | fields))


def handler(
    agent_id: str = "a1",
    names: frozenset[str] | None = None,
    *,
    running: int = 0,
    state: AgentState = AgentState.ACTIVE,
    queues: tuple[str, ...] = ("red",),
    **labels: str,
) -> Handler:
    """An agent of two slots."""
    text = json.dumps(labels) if labels else None
    row = Agent(
        "default", agent_id, "worker", "1.2", "host", 1, 2, text, json.dumps(queues), None, None,
        int(state), running, NOW, NOW, 1,
    )  # fmt: skip
    return Handler(row, names)


def facts(row: Task, *handlers: Handler, now: int = NOW + SECOND, **known: Any) -> Facts:
    """Facts about a task of whose queue nothing special is known but for what is said."""
    pace = known.pop("pace", None)
    limits = known.pop("limits", None)
    pools = known.pop("pools", ())
    queue = new_queue("default", "red", NOW)
    if limits is not None:
        queue = queue._replace(limits=limits_text(limits))
    stored = {
        "task": row,
        "queue": queue,
        "attempts": (),
        "unmet": (),
        "unblocked_at": None,
        "holds": (),
        "in_queue": Runners(),
        "of_key": Runners(),
        "meter": REST,
        "key_meter": REST,
        "ahead": Ahead(),
    }
    return Facts(now, Stored(**(stored | known)), handlers or (handler(),), pace, pools)


def only(found: Facts) -> Obstacle:
    """The one obstacle."""
    (obstacle,) = obstacles(found)
    return obstacle


def hold(kind: HoldKind, subject: str, *, quarantined: int = 0) -> Hold:
    """A hold with its reason."""
    return Hold("default", int(kind), subject, quarantined, "ann", "too many 500s", 0, NOW, 1)


def test_nothing_in_the_way() -> None:
    answer = explain(facts(task()))
    assert not answer.obstacles
    assert answer.summary == "nothing is in its way: it is handed out with the next claim"


def test_a_freeze_names_who_and_why() -> None:
    obstacle = only(facts(task(), holds=[hold(HoldKind.NAMESPACE, "")]))
    assert (obstacle.kind, obstacle.actor) == (Kind.FROZEN, "ann")
    assert "too many 500s" in obstacle.message


def test_a_name_paused_by_hand_and_one_in_quarantine() -> None:
    for quarantined, kind in ((0, Kind.NAME_PAUSED), (1, Kind.NAME_QUARANTINED)):
        held = hold(HoldKind.TASK_NAME, "work", quarantined=quarantined)
        assert only(facts(task(), holds=[held])).kind == kind
    other = hold(HoldKind.TASK_NAME, "other")
    assert not obstacles(facts(task(), holds=[other]))


def test_a_full_queue_names_the_tasks_that_run() -> None:
    limits = QueueLimits(concurrency=Concurrency(2))
    obstacle = only(facts(task(), limits=limits, in_queue=Runners(2, (1, 2))))
    assert (obstacle.kind, obstacle.task_ids) == (Kind.QUEUE_CONCURRENCY, (1, 2))
    assert not obstacles(facts(task(), limits=limits, in_queue=Runners(1, (1,))))


def test_a_full_key_names_the_key() -> None:
    limits = QueueLimits(concurrency_per_key=Concurrency(1))
    row = task(lane=lane_text(LaneKey("acme")))
    obstacle = only(facts(row, limits=limits, of_key=Runners(1, (3,))))
    assert (obstacle.kind, obstacle.task_ids) == (Kind.KEY_CONCURRENCY, (3,))
    assert "'acme'" in obstacle.message


def test_a_used_up_rate_says_when_it_opens() -> None:
    rate = Rate(1, 60 * SECOND)
    spent = take(REST, rate, 1, NOW)
    assert isinstance(spent, Meter)
    obstacle = only(facts(task(), limits=QueueLimits(rate=rate), meter=spent))
    assert (obstacle.kind, obstacle.until) == (Kind.QUEUE_RATE, NOW + 60 * SECOND)
    obstacle = only(facts(task(), limits=QueueLimits(rate_per_key=rate), key_meter=spent))
    assert (obstacle.kind, obstacle.until) == (Kind.KEY_RATE, NOW + 60 * SECOND)


def test_a_rest_for_the_provider() -> None:
    obstacle = only(facts(task(), key_meter=Meter(0, NOW + 5 * SECOND)))
    assert (obstacle.kind, obstacle.until) == (Kind.BACK_OFF, NOW + 5 * SECOND)


def test_labels_that_no_agent_has_name_the_closest() -> None:
    required = (("gpu", "a100"), ("zone", "eu"))
    row = task(lane=lane_text(LaneKey("", required)), policy=policy_text(Policy(required=required)))
    near = handler("near", gpu="a100", zone="us")
    obstacle = only(facts(row, handler("far"), near))
    assert (obstacle.kind, obstacle.agent_ids) == (Kind.NO_AGENT_WITH_LABELS, ("near",))
    assert not obstacles(facts(row, near, handler("right", gpu="a100", zone="eu")))


def test_a_preferred_agent_is_waited_for_until_its_patience_ends() -> None:
    row = task(
        lane=lane_text(LaneKey("", (), "a9")), policy=policy_text(Policy(same_agent_as=1))
    )._replace(wake_at=NOW + 4 * SECOND)
    obstacle = only(facts(row))
    assert (obstacle.kind, obstacle.until) == (Kind.PREFERRED_AGENT, NOW + 4 * SECOND)
    assert obstacle.agent_ids == ("a9",)


@pytest.mark.parametrize("busy", [0, 2])
def test_a_preferred_agent_that_is_there_is_named_with_the_end_of_the_wait(busy: int) -> None:
    row = task(lane=lane_text(LaneKey("", (), "a9")))._replace(wake_at=NOW + 4 * SECOND)
    known = facts(row, handler("a9", running=busy), handler("a1"))
    kinds = [(o.kind, o.until) for o in explain(known).obstacles]
    preferred = (Kind.PREFERRED_AGENT, NOW + 4 * SECOND)
    assert kinds == ([preferred, (Kind.AGENTS_BUSY, None)] if busy else [preferred])


@pytest.mark.parametrize(("running", "kind"), [(2, Kind.AGENTS_BUSY), (0, Kind.NO_AGENT_FOR_NAME)])
def test_agents_that_have_not_asked_since_the_server_started_are_not_said_to_handle_nothing(
    running: int, kind: Kind
) -> None:
    obstacle = only(facts(task(), handler(names=frozenset(), running=running)))
    assert obstacle.kind == kind
    assert "is known when they ask for work" in obstacle.message
    assert obstacle.agent_ids == ("a1",)


def test_agents_that_drain_or_are_held() -> None:
    draining = handler(state=AgentState.DRAINING)
    assert only(facts(task(), draining)).kind == Kind.AGENTS_HELD
    held = hold(HoldKind.AGENT_VERSION, "worker@1.2", quarantined=1)
    assert only(facts(task(), handler(), holds=[held])).kind == Kind.AGENTS_HELD


def test_a_lost_agent_does_not_count() -> None:
    lost = handler(state=AgentState.LOST)
    assert only(facts(task(), lost)).kind == Kind.NO_AGENT_FOR_QUEUE


def test_a_busy_fleet_gives_an_estimate_by_the_pace_of_the_queue() -> None:
    known = facts(task(), handler(running=2), ahead=Ahead(9), pace=2.0)
    answer = explain(known)
    assert [o.kind for o in answer.obstacles] == [Kind.AGENTS_BUSY, Kind.POSITION]
    assert answer.estimated_start == known.now + 5 * SECOND
    paused = facts(task(), holds=[hold(HoldKind.NAMESPACE, "")], ahead=Ahead(9), pace=2.0)
    assert explain(paused).estimated_start is None
    assert [o.until for o in explain(paused).obstacles] == [None, None]


def test_more_than_was_counted_is_said_to_be_at_least() -> None:
    answer = explain(facts(task(), ahead=Ahead(10_000, minimum=True), pace=1.0))
    assert answer.ahead_is_minimum
    assert answer.estimated_start is None
    assert "at least 10,000 tasks" in answer.summary


def test_one_reads_as_well_as_many() -> None:
    assert only(facts(task(), ahead=Ahead(1), pace=1.0)).message.startswith(
        "1 task of queue red comes"
    )
    assert only(facts(task(), ahead=Ahead(2), pace=1.0)).message.startswith(
        "2 tasks of queue red come "
    )
    assert "1 agent takes from" in only(facts(task(), handler(queues=("blue",)))).message


def test_what_must_end_first_stands_first() -> None:
    row = task(state=SCHEDULED, run_at=NOW + 60 * SECOND)
    found = facts(row, handler(queues=("blue",)), holds=[hold(HoldKind.NAMESPACE, "")])
    assert [o.kind for o in obstacles(found)] == [
        Kind.DELAY,
        Kind.FROZEN,
        Kind.NO_AGENT_FOR_QUEUE,
    ]
    assert explain(found).summary.endswith("(and 2 other obstacles)")


def test_a_paused_attempt_says_whether_it_stands_still() -> None:
    asked = task(state=RUNNING, attempt=1, pause=encode(Pause(NOW, "ann", "lunch")))
    assert "was asked to stand still" in only(facts(asked)).message
    stands = task(state=RUNNING, attempt=1, pause=encode(Pause(NOW, "ann", "lunch", NOW, NOW)))
    assert "stands still: paused by ann: lunch" in only(facts(stands)).message
    nameless = task(state=RUNNING, attempt=1, pause=encode(Pause(NOW, "", "look")))
    assert "paused by unknown: look" in only(facts(nameless)).message


def test_a_running_task_tells_how_far_its_cancel_is() -> None:
    cancel = Cancellation(NOW, "ann", "why", NOW)
    row = task(state=RUNNING, attempt=1, agent_id="a1", claim_time=NOW, cancel=encode(cancel))
    assert explain(facts(row)).summary == "attempt 1 runs at a1 for 1 s; its cancel is delivered"


def test_a_running_task_tells_that_its_agent_is_silent() -> None:
    row = task(state=RUNNING, attempt=1, agent_id="a1", claim_time=NOW)
    assert "last heard of" not in explain(facts(row, now=NOW + 15 * SECOND)).summary
    silent = explain(facts(row, handler("a2"), handler("a1"), now=NOW + 20 * SECOND))
    assert silent.summary == "attempt 1 runs at a1 for 20 s; its agent was last heard of 20 s ago"


FAILURE: dict[str, Any] = {"state": FAILED, "error_type": "E", "error_message": "m"}
STOPPED = encode(Cancellation(NOW, "ann", "wrong input", NOW, None, NOW))
NEVER_STOPPED = encode(Cancellation(NOW, "ann", "wrong input", NOW, None, None, NOW))
MADE_ROOM = encode(Cancellation(NOW, "server", "OVERFLOW", NOW, None, NOW))
LIMITS = policy_text(
    Policy(task_timeout=60 * SECOND, schedule_to_start=60 * SECOND, cancel_grace=5 * SECOND)
)
FULL = "queue red or its key had as many tasks as its concurrency allows, and over that"
ENDS: list[tuple[dict[str, Any], str]] = [
    (
        FAILURE | {"attempt": 3, "reason": "ATTEMPTS_EXHAUSTED"},
        "all 3 attempts failed; the last with E: m",
    ),
    (FAILURE | {"attempt": 1, "reason": "ATTEMPTS_EXHAUSTED"}, "its only attempt failed with E: m"),
    (
        FAILURE | {"attempt": 1, "reason": "NON_RETRYABLE"},
        "attempt 1 failed with E: m, which is not retried",
    ),
    (
        FAILURE | {"attempt": 3, "crashes": 3, "reason": "POISON"},
        (
            "3 agents crashed or vanished with it, as many as its max_crashes allows; the last: E: m; "
            "find out what it does to them before it is retried"
        ),
    ),
    (
        FAILURE | {"attempt": 2, "reason": "TASK_TIMEOUT", "policy": LIMITS},
        "the time for all attempts (1 min) was over after 2 attempts; a retry gives it as long again",
    ),
    (
        {"state": EXPIRED, "policy": LIMITS},
        (
            "no agent took it within 1 min of its time (schedule_to_start); "
            "a retry puts it in line again, without that limit"
        ),
    ),
    ({"state": CANCELLED, "cancel": STOPPED}, "cancelled by ann: wrong input"),
    (
        {"state": CANCELLED, "cancel": NEVER_STOPPED, "policy": LIMITS},
        (
            "cancelled by ann: wrong input; its handler was not proven to have stopped within its grace of 5 s, "
            "and the lease was taken away"
        ),
    ),
    (
        {"state": CANCELLED, "attempt": 2, "reason": "CANCELLED_BY_AGENT"},
        "cancelled by its agent in attempt 2",
    ),
    (
        {"state": CANCELLED, "reason": "DEPENDENCY_FAILED", "error_message": "task 1 failed"},
        "cancelled because task 1 failed",
    ),
    (
        {"state": CANCELLED, "reason": "REPLACED"},
        "cancelled because a newer task with its unique key took its place",
    ),
    (
        {"state": CANCELLED, "reason": "DROPPED"},
        (
            "cancelled as it came: queue red or the task name work was paused, "
            "and what arrived meanwhile was dropped"
        ),
    ),
    (
        {"state": CANCELLED, "reason": "OVERFLOW"},
        f"cancelled as it came: {FULL} new ones are turned away",
    ),
    (
        {"state": CANCELLED, "reason": "OVERFLOW", "cancel": MADE_ROOM},
        f"cancelled to make room: {FULL} the oldest go",
    ),
]


def test_agents_that_are_silent_are_told_of_long_before_they_are_lost() -> None:
    crowd = (handler("a1"), handler("a2"), handler("a3", running=2))
    assert obstacles(facts(task(), *crowd, now=NOW + 15 * SECOND)) == []
    found = only(facts(task(), *crowd, now=NOW + 20 * SECOND))
    assert (found.kind, found.agent_ids) == (Kind.AGENTS_SILENT, ("a1", "a2"))
    assert found.message == (
        "the agents that could take it are silent: 2 agents, the last one for 20 s"
    )
    awake = handler("a4")
    awake = awake._replace(agent=awake.agent._replace(last_contact_time=NOW + 9 * SECOND))
    assert obstacles(facts(task(), *crowd, awake, now=NOW + 20 * SECOND)) == []


@pytest.mark.parametrize(("end", "said"), ENDS, ids=lambda x: x if isinstance(x, str) else "")
def test_why_it_ended(end: dict[str, Any], said: str) -> None:
    assert explain(facts(task(end_time=NOW, **end))).summary == said


def test_an_agent_with_a_short_id_leaves_the_words_of_others_alone() -> None:
    row = task(**FAILURE, attempt=1, agent_id="a", reason="NON_RETRYABLE", end_time=NOW)
    assert "attempt 1 failed with E: m" in explain(facts(row)).summary


def test_a_life_of_retries_is_told_in_spans() -> None:
    policy = Policy(initial_backoff=10 * SECOND, jitter=0)
    first = Attempt(7, 1, "a1", 1, NOW + 2 * SECOND, NOW + 5 * SECOND, Outcome.FAILED, "E", "m", None, 0, 0)  # fmt: skip  # noqa: E501
    row = task(
        state=RUNNING,
        policy=policy_text(policy),
        attempt=2,
        claim_time=NOW + 20 * SECOND,
        run_at=NOW + 15 * SECOND,
    )
    answer = explain(facts(row, attempts=[first], now=NOW + 30 * SECOND))
    seconds = [
        (s.phase, (s.start - NOW) // SECOND, None if s.end is None else (s.end - NOW) // SECOND)
        for s in answer.spans
    ]
    assert seconds == [
        ("ready", 0, 2),
        ("running", 2, 5),
        ("backoff", 5, 15),
        ("ready", 15, 20),
        ("running", 20, None),
    ]
    assert answer.time_summary.startswith(
        "of 30 s: 13 s (43 %) running, 10 s (33 %) waiting before"
    )


def test_a_blocked_task_has_been_blocked_since_it_was_submitted() -> None:
    row = task(state=BLOCKED, pending=4)
    found = facts(row, unmet=(1, 2, 3, 4))
    assert obstacles(found)[0].message.endswith("and others")
    assert [(s.phase, s.end) for s in explain(found).spans] == [("blocked", None)]


def test_spans_of_time_read_well() -> None:
    assert [span(n * SECOND) for n in (0, 12, 75, 3600, 90_061)] == [
        "0 ms",
        "12 s",
        "1 min 15 s",
        "1 h",
        "1 d 1 h",
    ]


CROW, GULL = "5d50" + "a" * 28, "5d51" + "b" * 28


def named(agent_id: str, name: str) -> Handler:
    made = handler(agent_id)
    return made._replace(agent=made.agent._replace(name=name))


def test_an_explanation_calls_agents_as_lists_do() -> None:
    crows = (named(CROW, "crow"), named(GULL, "gull"))
    held = lane_text(LaneKey("", (), CROW))
    said = {
        "runs": task(state=RUNNING, attempt=1, agent_id=CROW, claim_time=NOW),
        "succeeded": task(state=SUCCEEDED, attempt=1, agent_id=CROW, end_time=NOW),
        "lost": task(
            state=FAILED, attempt=1, agent_id=CROW, reason="ATTEMPTS_EXHAUSTED", end_time=NOW,
            error_type="LEASE_LOST", error_message=f"agent {CROW} did not renew its lease",
        ),
        "prefers": task(lane=held),
    }  # fmt: skip
    for row in said.values():
        summary = explain(facts(row, *crows)).summary
        assert "crow-5d50" in summary
        assert CROW not in summary


def test_agents_of_one_name_are_told_apart_and_those_gone_by_their_ids() -> None:
    near = CROW[:6] + "0" * 26
    row = task(state=RUNNING, attempt=1, agent_id=CROW, claim_time=NOW)
    both = (named(CROW, "crow"), named(near, "crow"))
    assert "runs at crow-5d50aaa for" in explain(facts(row, *both)).summary
    assert "runs at 5d50aaaa for" in explain(facts(row, named(GULL, "gull"))).summary
