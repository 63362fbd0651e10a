"""Specs of tasks to what the engine takes, and every rule that they must keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.v1 import task_pb2
from quarterdeck_server.engine.commands import Debounce, Spec, Throttle, Unique
from quarterdeck_server.engine.policy import DEFAULT_POLICY, policy_of
from quarterdeck_server.rpc import convert, specs, validate

from .api import payload, spec


def test_a_plain_spec_becomes_the_defaults() -> None:
    out: validate.Violations = []
    found = specs.task_spec(spec(), 0, 100, out)
    assert not out
    nothing = (None,) * 7
    assert found == ("default", "work", 5, None, 0, *nothing, (), None, None, None)
    assert len(found) == len(Spec._fields)


def test_a_spec_with_every_kind_of_key_and_fact_keeps_them() -> None:
    out: validate.Violations = []
    kept: dict[str, Any]
    facts: dict[str, Any] = {
        "cost": {"number": 5},
        "region": {"text": "eu"},
        "dry": {"flag": False},
    }
    held = {"key": "k", "scope": 3, "policy": 2, "period": {"seconds": 2}}
    found = specs.task_spec(spec(unique=held, attributes=facts, idempotency_key="i"), 0, 9, out)
    assert found.admission == Unique("k", 3, 2, 2_000_000)
    assert found.attributes == '{"cost":5.0,"dry":false,"region":"eu"}'
    late = {"key": "k", "delay": {"seconds": 1}, "max_wait": {"seconds": 3}}
    found = specs.task_spec(spec(debounce=late), 0, 9, out)
    assert found.admission == Debounce("k", 1_000_000, 3_000_000)
    few = {"key": "k", "period": {"seconds": 1}}
    kept = {"idempotency_key": "i", "idempotency_ttl": {"seconds": 1}}
    found = specs.task_spec(spec(throttle=few, **kept), 0, 9, out)
    assert (found.admission, found.key_ttl) == (Throttle("k", 1, 1_000_000), 1_000_000)
    found = specs.task_spec(spec(unique={"key": "k"}), 0, 9, out)
    assert (found.admission, found.key_ttl) == (Unique("k", 2, 1, 0), None)
    assert not out


def test_a_list_of_delays_has_no_jitter_unless_asked_for_and_is_shown_as_sent() -> None:
    out: validate.Violations = []
    delays = [{"seconds": 1}, {}, {"seconds": 60}]
    found = specs.task_spec(spec(retry={"delays": delays}), 0, 9, out)
    policy = policy_of(found.policy)
    assert (policy.delays, policy.jitter, out) == ((1_000_000, 0, 60_000_000), 0.0, [])
    shown = convert.retry_policy(found.policy)
    again = specs.task_spec(spec(retry=shown), 0, 9, out)
    assert (again.policy, out) == (found.policy, [])


def test_a_full_spec_keeps_what_was_asked_for() -> None:
    out: validate.Violations = []
    message = spec(
        queue="red",
        priority=0,
        delay={"seconds": 2},
        depends_on=["#0", "task_0000000000007"],
        dependency_policy=task_pb2.DEPENDENCY_POLICY_ALL_ENDED,
        retry={"initial_backoff": {"nanos": 500_000_000}},
        timeouts={"task": {"seconds": 9}},
        labels={"b": "2", "a": "1"},
        parent_id="task_0000000000001",
        idempotency_key="key",
        input=payload(b"x", "text/plain"),
    )
    found = specs.task_spec(message, 1, 100, out)
    assert not out
    assert (found.priority, found.delay, found.parent_id) == (0, 2_000_000, 1)
    assert (found.depends_on, found.labels) == ((-1, 7), '{"a":"1","b":"2"}')
    assert found.input == ("text/plain", b"x")
    assert found.content_hash is not None and len(found.content_hash) == 32
    policy = DEFAULT_POLICY._replace(
        initial_backoff=500_000, task_timeout=9_000_000, all_ended=True
    )
    assert policy_of(found.policy) == policy


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 257}, ["name"]),
        ({"name": "trailing\n"}, ["name"]),
        ({"queue": "ümlaut"}, ["queue"]),
        ({"priority": 10}, ["priority"]),
        ({"priority": -1}, ["priority"]),
        ({"run_time": {"seconds": -1}}, ["run_time"]),
        ({"run_time": {"seconds": 5}, "delay": {"seconds": 1}}, ["delay"]),
        ({"delay": {"seconds": 1, "nanos": -1}}, ["delay"]),
        ({"delay": {"seconds": 36_501 * 86_400}}, ["delay"]),
        ({"depends_on": ["#1"]}, ["depends_on[0]"]),
        ({"depends_on": ["#-1", "#", "#999999", "task_x"]}, [f"depends_on[{n}]" for n in range(4)]),
        ({"depends_on": ["#0"] * 10_001}, ["depends_on"]),
        ({"dependency_policy": 9}, ["dependency_policy"]),
        ({"retry": {"max_attempts": 1001}}, ["retry.max_attempts"]),
        ({"retry": {"max_attempts": -1}}, ["retry.max_attempts"]),
        ({"retry": {"factor": 0.5}}, ["retry.factor"]),
        ({"retry": {"factor": float("nan")}}, ["retry.factor"]),
        ({"retry": {"jitter": float("nan")}}, ["retry.jitter"]),
        ({"retry": {"jitter": 1.1}}, ["retry.jitter"]),
        ({"retry": {"non_retryable_types": ["x"] * 33}}, ["retry.non_retryable_types"]),
        ({"retry": {"max_backoff": {"seconds": -1}}}, ["retry.max_backoff"]),
        ({"timeouts": {"attempt": {}}}, ["timeouts.attempt"]),
        ({"timeouts": {"stall": {"seconds": -1}}}, ["timeouts.stall"]),
        ({"labels": {str(n): "" for n in range(65)}}, ["labels"]),
        ({"labels": {"": "x"}}, ['labels[""]']),
        ({"labels": {"k": "v" * 257}}, ['labels["k"]']),
        ({"idempotency_key": "k" * 257}, ["idempotency_key"]),
        ({"idempotency_key": "a\0b"}, ["idempotency_key"]),
        ({"parent_id": "nobody"}, ["parent_id"]),
        ({"input": {"content_type": "t" * 129}}, ["input.content_type"]),
        ({"input": {"data": b"x" * 101}}, ["input.data"]),
        ({"retry": {"delays": [{}] * 101}}, ["retry.delays"]),
        ({"retry": {"delays": [{"seconds": -1}]}}, ["retry.delays[0]"]),
        (
            {"retry": {"delays": [{}], "initial_backoff": {}, "max_backoff": {}, "factor": 2}},
            ["retry.initial_backoff", "retry.max_backoff", "retry.factor"],
        ),
        ({"attributes": {"": {"flag": True}}}, ['attributes[""]']),
        ({"attributes": {"a": {}}}, ['attributes["a"].value']),
        ({"attributes": {"a": {"number": float("inf")}}}, ['attributes["a"].number']),
        ({"attributes": {"a": {"text": "x" * 257}}}, ['attributes["a"].text']),
        ({"attributes": {str(n): {"flag": True} for n in range(65)}}, ["attributes"]),
        ({"idempotency_key": "k", "idempotency_ttl": {}}, ["idempotency_ttl"]),
        ({"unique": {}}, ["unique.key"]),
        ({"unique": {"key": "k" * 257}}, ["unique.key"]),
        ({"unique": {"key": "k", "scope": 9, "policy": 9}}, ["unique.scope", "unique.policy"]),
        ({"unique": {"key": "k", "scope": 3}}, ["unique.period"]),
        ({"unique": {"key": "k", "scope": 3, "period": {}}}, ["unique.period"]),
        ({"unique": {"key": "k", "period": {"seconds": 1}}}, ["unique.period"]),
        (
            {"unique": {"key": "k", "scope": 3, "period": {"seconds": 1}, "policy": 4}},
            ["unique.scope"],
        ),
        ({"unique": {"key": "k", "policy": 4}, "depends_on": ["#0"]}, ["depends_on"]),
        ({"unique": {"key": "k"}, "throttle": {}}, ["throttle"]),
        ({"debounce": {}}, ["debounce.key", "debounce.delay"]),
        (
            {"debounce": {"key": "k", "delay": {"nanos": 1000}, "max_wait": {}}},
            ["debounce.delay", "debounce.max_wait"],
        ),
        (
            {
                "debounce": {"key": "k", "delay": {"seconds": 1}},
                "run_time": {"seconds": 1},
                "depends_on": ["#0"],
                "idempotency_key": "k",
                "unique": {"key": "k"},
                "throttle": {"key": "k"},
            },
            ["run_time", "depends_on", "idempotency_key", "unique", "throttle"],
        ),
        (
            {"debounce": {"key": "k", "delay": {"seconds": 1}}, "delay": {"seconds": 1}},
            ["delay"],
        ),
        ({"throttle": {"limit": -1}}, ["throttle.key", "throttle.limit", "throttle.period"]),
        ({"name": "", "queue": "?", "priority": 11}, ["name", "queue", "priority"]),
    ],
)
def test_every_rule_of_a_spec_is_enforced(fields: dict[str, Any], wrong: list[str]) -> None:
    out: validate.Violations = []
    specs.task_spec(task_pb2.TaskSpec(**{"name": "work", **fields}), 1, 100, out)
    assert [violation.field for violation in out] == wrong
    assert all(violation.description for violation in out)


def test_specs_that_differ_in_their_input_alone_keep_each_its_own() -> None:
    out: validate.Violations = []
    made = [
        specs.task_spec(spec(labels={"a": "b"}, input={"data": data} if data else None), 0, 9, out)
        for data in (b"1", b"", b"2")
    ]
    assert not out
    assert [found.input and found.input.data for found in made] == [b"1", None, b"2"]
    assert {found._replace(input=None) for found in made} == {made[1]}


def test_a_bad_spec_is_refused_as_often_as_it_is_sent() -> None:
    for _ in range(2):
        out: validate.Violations = []
        specs.task_spec(spec(name="?"), 0, 9, out)
        assert [violation.field for violation in out] == ["name"]


def test_a_spec_too_large_to_be_kept_is_read_as_any_other() -> None:
    out: validate.Violations = []
    labels = {f"label{number}": "x" * 200 for number in range(8)}
    found = specs.task_spec(spec(labels=labels, input={"data": b"1"}), 0, 9, out)
    assert not out
    assert json.loads(found.labels or "") == labels
    assert found.input is not None and found.input.data == b"1"


def test_the_content_of_an_idempotency_key_has_the_input_in_it() -> None:
    hashes = {
        specs.task_spec(spec(idempotency_key="k", input={"data": data}), 0, 9, []).content_hash
        for data in (b"1", b"2", b"1")
    }
    assert len(hashes) == 2


@given(st.binary(max_size=300))
def test_no_spec_that_can_be_parsed_breaks_the_check(data: bytes) -> None:
    try:
        message = task_pb2.TaskSpec.FromString(data)
    except DecodeError:
        return
    specs.task_spec(message, 0, 100, [])


@given(st.integers(), st.integers(-(2**31), 2**31 - 1))
def test_a_span_is_within_its_bounds_or_refused(seconds: int, nanos: int) -> None:
    seconds = max(-(2**63), min(seconds, 2**63 - 1))
    out: validate.Violations = []
    value = task_pb2.TaskSpec(delay={"seconds": seconds, "nanos": nanos}).delay  # type: ignore[arg-type]
    micros = validate.span(value, "delay", out)
    assert 0 <= micros <= validate.MAX_SPAN
    if not out:
        assert micros == seconds * 1_000_000 + nanos // 1000
