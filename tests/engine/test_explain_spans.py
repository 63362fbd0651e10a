"""Where a task's time went: every way through its life, told in spans of seconds since it was submitted."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine.explain.answer import explain
from quarterdeck_server.engine.model import Attempt
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.states import (
    BLOCKED,
    CANCELLED,
    FAILED,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    Outcome,
)

from .make import NOW, SECOND
from .test_explain import facts, task

SLOW = policy_text(Policy(initial_backoff=10 * SECOND, jitter=0))

Parts = list[tuple[str, int, int | None, int]]


def at(seconds: int | None) -> int | None:
    return None if seconds is None else NOW + seconds * SECOND


def tried(number: int, start: int, end: int, outcome: Outcome = Outcome.FAILED) -> Attempt:
    return Attempt(
        7, number, "a1", number, NOW + start * SECOND, NOW + end * SECOND, outcome, "E", "m", None, 0, 0
    )  # fmt: skip


CASES: list[tuple[str, dict[str, Any], list[Attempt], int | None, Parts]] = [
    ("blocked", {"state": BLOCKED, "pending": 1}, [], None, [("blocked", 0, None, 0)]),
    (
        "cancelled while blocked",
        {"state": CANCELLED, "pending": 1, "end_time": 4},
        [],
        None,
        [("blocked", 0, 4, 0)],
    ),
    ("unblocked", {"state": READY}, [], 6, [("blocked", 0, 6, 0), ("ready", 6, None, 0)]),
    (
        "unblocked and cancelled",
        {"state": CANCELLED, "end_time": 9},
        [],
        6,
        [("blocked", 0, 6, 0), ("ready", 6, 9, 0)],
    ),
    ("delayed", {"state": SCHEDULED, "run_at": 50}, [], None, [("delayed", 0, None, 0)]),
    (
        "was delayed",
        {"state": READY, "run_at": 5},
        [],
        None,
        [("delayed", 0, 5, 0), ("ready", 5, None, 0)],
    ),
    (
        "unblocked and delayed",
        {"state": READY, "run_at": 8},
        [],
        3,
        [("blocked", 0, 3, 0), ("delayed", 3, 8, 0), ("ready", 8, None, 0)],
    ),
    (
        "cancelled while delayed",
        {"state": CANCELLED, "run_at": 50, "end_time": 4},
        [],
        None,
        [("delayed", 0, 4, 0)],
    ),
    (
        "first attempt",
        {"state": RUNNING, "attempt": 1, "claim_time": 3},
        [],
        None,
        [("ready", 0, 3, 0), ("running", 3, None, 1)],
    ),
    (
        "succeeded at the second",
        {"state": SUCCEEDED, "attempt": 2, "end_time": 30, "run_at": 15},
        [tried(1, 2, 5), tried(2, 20, 30, Outcome.SUCCEEDED)],
        None,
        [
            ("ready", 0, 2, 0),
            ("running", 2, 5, 1),
            ("backoff", 5, 15, 1),
            ("ready", 15, 20, 0),
            ("running", 20, 30, 2),
        ],
    ),
    (
        "the error set the delay",
        {"state": RUNNING, "attempt": 2, "claim_time": 12, "run_at": 9},
        [tried(1, 2, 5)],
        None,
        [
            ("ready", 0, 2, 0),
            ("running", 2, 5, 1),
            ("backoff", 5, 9, 1),
            ("ready", 9, 12, 0),
            ("running", 12, None, 2),
        ],
    ),
    (
        "the error set a delay, and it has ended",
        {"state": SUCCEEDED, "attempt": 2, "end_time": 30, "run_at": 19},
        [tried(1, 2, 5), tried(2, 20, 30, Outcome.SUCCEEDED)],
        None,
        [
            ("ready", 0, 2, 0),
            ("running", 2, 5, 1),
            ("backoff", 5, 19, 1),
            ("ready", 19, 20, 0),
            ("running", 20, 30, 2),
        ],
    ),
    (
        "given back before it failed twice",
        {"state": RUNNING, "attempt": 4, "max_attempts": 4, "claim_time": 50, "run_at": 41},
        [tried(1, 0, 1, Outcome.RELEASED), tried(2, 1, 2), tried(3, 20, 21)],
        None,
        [
            ("running", 0, 1, 1),
            ("running", 1, 2, 2),
            ("backoff", 2, 12, 2),
            ("ready", 12, 20, 0),
            ("running", 20, 21, 3),
            ("backoff", 21, 41, 3),
            ("ready", 41, 50, 0),
            ("running", 50, None, 4),
        ],
    ),
    (
        "retried by hand in between",
        {"state": RUNNING, "attempt": 4, "max_attempts": 5, "claim_time": 60, "run_at": 59},
        [tried(1, 0, 1), tried(2, 11, 12), tried(3, 30, 31)],
        None,
        [
            ("running", 0, 1, 1),
            ("backoff", 1, 11, 1),
            ("running", 11, 12, 2),
            ("running", 30, 31, 3),
            ("backoff", 31, 59, 3),
            ("ready", 59, 60, 0),
            ("running", 60, None, 4),
        ],
    ),
    (
        "retried by hand and taken",
        {"state": RUNNING, "attempt": 3, "max_attempts": 5, "claim_time": 35, "run_at": 33},
        [tried(1, 0, 1), tried(2, 11, 12, Outcome.LOST)],
        None,
        [
            ("running", 0, 1, 1),
            ("backoff", 1, 11, 1),
            ("running", 11, 12, 2),
            ("ready", 33, 35, 0),
            ("running", 35, None, 3),
        ],
    ),
    (
        "retried by hand and waiting",
        {"state": READY, "attempt": 1, "max_attempts": 4, "run_at": 33},
        [tried(1, 0, 1)],
        None,
        [("running", 0, 1, 1), ("ready", 33, None, 0)],
    ),
    (
        "retried by hand and cancelled",
        {"state": CANCELLED, "attempt": 1, "max_attempts": 4, "run_at": 33, "end_time": 36},
        [tried(1, 0, 1)],
        None,
        [("running", 0, 1, 1), ("ready", 33, 36, 0)],
    ),
    (
        "lost its agent",
        {"state": RUNNING, "attempt": 2, "claim_time": 9},
        [tried(1, 2, 5, Outcome.LOST)],
        None,
        [("ready", 0, 2, 0), ("running", 2, 5, 1), ("ready", 5, 9, 0), ("running", 9, None, 2)],
    ),
    (
        "backs off",
        {"state": SCHEDULED, "attempt": 1, "run_at": 15},
        [tried(1, 2, 5)],
        None,
        [("ready", 0, 2, 0), ("running", 2, 5, 1), ("backoff", 5, None, 1)],
    ),
    (
        "ready again",
        {"state": READY, "attempt": 1, "run_at": 15},
        [tried(1, 2, 5)],
        None,
        [("ready", 0, 2, 0), ("running", 2, 5, 1), ("backoff", 5, 15, 1), ("ready", 15, None, 0)],
    ),
    (
        "cancelled while it backed off",
        {"state": CANCELLED, "attempt": 1, "run_at": 15, "end_time": 8},
        [tried(1, 2, 5)],
        None,
        [("ready", 0, 2, 0), ("running", 2, 5, 1), ("backoff", 5, 8, 1)],
    ),
    (
        "failed for good",
        {"state": FAILED, "attempt": 1, "end_time": 5},
        [tried(1, 2, 5)],
        None,
        [("ready", 0, 2, 0), ("running", 2, 5, 1)],
    ),
]


@pytest.mark.parametrize(
    ("fields", "attempts", "unblocked", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_spans(
    fields: dict[str, Any], attempts: list[Attempt], unblocked: int | None, expected: Parts
) -> None:
    instants = ("run_at", "end_time", "claim_time")
    row = task(
        policy=SLOW, **{k: at(value) if k in instants else value for k, value in fields.items()}
    )
    known = facts(row, attempts=attempts, unblocked_at=at(unblocked), now=NOW + 40 * SECOND)
    assert [
        (
            part.phase,
            (part.start - NOW) // SECOND,
            None if part.end is None else (part.end - NOW) // SECOND,
            part.attempt,
        )
        for part in explain(known).spans
    ] == expected
