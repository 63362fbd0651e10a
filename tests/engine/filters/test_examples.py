from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine.filters import (
    AGENT_FIELDS,
    QUEUE_FIELDS,
    SCHEDULE_FIELDS,
    TASK_FIELDS,
    FieldTable,
    compile_predicate,
    compile_sql,
    parse,
)
from quarterdeck_server.engine.model import Agent, Queue, Task
from quarterdeck_server.engine.schedule.schedules import Schedule

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000

TAKES: list[tuple[str, dict[str, Any], bool]] = [
    ("", {}, True),
    ("  ", {}, True),
    ("INSP", {"name": "inspect"}, True),
    ("insp", {"name": "InSpEcT"}, True),
    ("ärger", {"name": "mein ärger"}, True),
    ("nspx", {}, False),
    ("mail", {"queue": "mailers"}, True),
    ("order-9", {"idempotency_key": "order-95"}, True),
    ("poison", {"reason": "POISON"}, True),
    ("refused", {"error_message": "Connection refused"}, True),
    ("valueerror", {"error_type": "ValueError"}, True),
    ("ins*ct", {}, True),
    ("ct*ins", {}, False),
    ("?ipt", {}, True),
    ("?tpi", {}, False),
    ('"a b"', {"name": "xa bx"}, True),
    ('"a*b"', {"name": "axb"}, False),
    ('"a*b"', {"name": "a*b"}, True),
    ('"say \\"hi\\""', {"name": 'say "hi"'}, True),
    ("%", {}, False),
    ("_", {}, False),
    ("!insp", {}, False),
    ("NOT insp", {}, False),
    ("!!insp", {}, True),
    ("~^insp.*t$", {}, True),
    ("~^nsp", {}, False),
    ('~"a b"', {"name": "a b"}, True),
    ("~a|insp", {}, True),
    ("(~(x|insp))", {}, True),
    ("queue:default", {}, True),
    ("QUEUE:default", {}, True),
    ("queue:Default", {}, False),
    ("queue:a,default", {}, True),
    ("queue=def*", {}, True),
    ("queue:def?ult", {}, False),
    ("queue:[d]efault", {}, False),
    ("queue:*[x]*", {"queue": "a[x]b"}, True),
    ("queue!=a,b", {}, True),
    ("agent!=a", {"agent_id": None}, True),
    ("!agent:a", {"agent_id": None}, True),
    ("agent:*", {"agent_id": None}, False),
    ('agent:""', {"agent_id": None}, True),
    ('agent:"",a', {"agent_id": "a"}, True),
    ('agent:""', {"agent_id": "b"}, False),
    ("state:ready", {"state": 3}, True),
    ("state:READY,failed", {"state": 7}, True),
    ("state:active", {"state": 5}, True),
    ("state:active", {"state": 6}, False),
    ("state:ended", {"state": 9}, True),
    ("state!=ended", {"state": 9}, False),
    ("state:s*", {"state": 2}, True),
    ("state:s*", {"state": 3}, False),
    ("priority>4 priority<=5", {"priority": 5}, True),
    ("priority>=6", {"priority": 5}, False),
    ("priority:1,5", {"priority": 5}, True),
    ("age>5m", {"create_time": NOW - 5 * MINUTE}, False),
    ("age>5m", {"create_time": NOW - 5 * MINUTE - 1}, True),
    ("age<=1h30m", {"create_time": NOW - 90 * MINUTE}, True),
    ("created>-5m", {"create_time": NOW - 4 * MINUTE}, True),
    ("run_at>now", {"run_at": NOW}, False),
    ("run_at<=now+1ms", {"run_at": NOW + 1000}, True),
    ("run_at<2026-01-01T00:00Z", {"run_at": 1_767_225_599_999_999}, True),
    ("run_at<2026-01-01", {"run_at": 1_767_225_600_000_000}, False),
    ("run_at>=2026-01-01T01:00+01:00", {"run_at": 1_767_225_600_000_000}, True),
    ("ended<now", {"end_time": None}, False),
    ("!ended<now", {"end_time": None}, True),
    ("ended:*", {"end_time": 3}, True),
    ('claim_time:""', {}, True),
    ("error:REFUSED", {"error_message": "connection refused"}, True),
    ("error:type*two", {"error_type": "type", "error_message": "two"}, False),
    ("error:*", {"error_type": "x"}, True),
    ('error:""', {"error_message": "x"}, False),
    ('error:""', {}, True),
    ("error~^x$", {"error_message": "x"}, True),
    ("error_type:Timeout*", {"error_type": "TimeoutError"}, True),
    ("id:task_0000000000001", {"id": 1}, True),
    ("id:TASK_0000000000001", {"id": 1}, True),
    ("task_0000000000001", {"id": 1}, True),
    ("task_0000000000002", {"id": 1}, False),
    ("id>task_0000000000001", {"id": 2}, True),
    ("parent:task_0000000000001", {"parent_id": 1}, True),
    ("parent:*", {"parent_id": None}, False),
    ("rerun_of:task_0000000000001", {"origin_id": 1}, True),
    ("rerun_of:*", {"origin_id": None}, False),
    ("group:tenant", {"lane": '["tenant",[],null]'}, True),
    ("group:*", {"lane": '["",[["gpu","yes"]],null]'}, False),
    ('group:""', {"lane": None}, True),
    ("group~^ten", {"lane": '["tenant",[],null]'}, True),
    ("paused:yes", {"pause": '[1,"",""]'}, True),
    ("paused:no", {"pause": None}, True),
    ("attr.n>5", {"attributes": '{"n":5.5}'}, True),
    ("attr.n>5", {"attributes": '{"n":"6"}'}, False),
    ("attr.n>5", {"attributes": None}, False),
    ("attr.n<=5", {"attributes": '{"n":true}'}, False),
    ("attr.n:5", {"attributes": '{"n":5.0}'}, True),
    ('attr.n:"5"', {"attributes": '{"n":5.0}'}, False),
    ('attr.n:"5"', {"attributes": '{"n":"5"}'}, True),
    ("attr.n:5,eu", {"attributes": '{"n":"eu"}'}, True),
    ("attr.n:true", {"attributes": '{"n":true}'}, True),
    ("attr.n:true", {"attributes": '{"n":1}'}, False),
    ("attr.n:1", {"attributes": '{"n":true}'}, False),
    ("attr.n!=true", {"attributes": '{"n":false}'}, True),
    ("attr.n:e*", {"attributes": '{"n":"eu"}'}, True),
    ("attr.n~u$", {"attributes": '{"n":"eu"}'}, True),
    ("attr.n", {"attributes": '{"n":false}'}, True),
    ("attr.n:*", {"attributes": '{"n":0}'}, True),
    ('attr.n:""', {"attributes": '{"n":0}'}, False),
    ('attr.n:""', {"attributes": '{"n":""}'}, True),
    ('attr.n:""', {"attributes": '{"m":1}'}, True),
    ('attr."a b">=1e2', {"attributes": '{"a b":100}'}, True),
    ("label.team:web", {"labels": '{"team": "web"}'}, True),
    ("label.team=we*", {"labels": '{"team": "web"}'}, True),
    ("label.team:web", {"labels": '{"Team": "web"}'}, False),
    ("label.team:web", {"labels": None}, False),
    ("label.team", {"labels": '{"team": ""}'}, True),
    ("!label.team", {"labels": None}, True),
    ('label.team:""', {"labels": '{"team": ""}'}, True),
    ("label.team!=web", {"labels": '{"x": "web"}'}, True),
    ("label.team~^w", {"labels": '{"team": "web"}'}, True),
    ('label."größe x":1', {"labels": '{"gr\\u00f6\\u00dfe x": "1"}'}, True),
    ("label.a.b/c:1", {"labels": '{"a.b/c": "1"}'}, True),
    ("a insp", {"queue": "b"}, False),
    ("zz OR insp", {}, True),
    ("zz | insp yy", {}, False),
    ("(zz | insp) default", {}, True),
    ("default AND insp", {}, True),
    ("!(zz | insp)", {}, False),
    ('"OR"', {}, False),
    ("k", {"name": "\u212a"}, False),
    ("Ä", {"name": "ä"}, False),
    ("Ä", {"name": "xÄ"}, True),
    ("10:30", {"name": "at 10:30"}, True),
]


@pytest.mark.parametrize(("text", "values", "expected"), TAKES)
def test_a_filter_takes_what_its_words_say(
    store: Any, task: Any, text: str, values: dict[str, Any], *, expected: bool
) -> None:
    found = store.taken(parse(text, TASK_FIELDS), [task(**values)], NOW)
    assert found == ([0] if expected else [])


AGENT = {
    "id": "a1",
    "name": "researcher",
    "state": 1,
    "version": "2.0",
    "hostname": "gpu-7",
    "pid": 12,
    "slots": 8,
    "running": 3,
    "queues": '["research", "mail"]',
    "pool": None,
    "create_time": 0,
    "last_contact_time": NOW - MINUTE,
    "labels": '{"zone": "eu"}',
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue:mail", True),
        ("queue:ma*,x", True),
        ("queue:other", False),
        ('queue:""', False),
        ("queues~^res", True),
        ("state:active host:gpu-*", True),
        ("silent>30s", True),
        ("silent>1m", False),
        ('pool:"" running<8', True),
        ("label.zone:eu GPU", True),
    ],
)
def test_agents_are_found_by_queue_state_and_silence(
    store: Any, text: str, *, expected: bool
) -> None:
    assert store.taken(parse(text, AGENT_FIELDS), [AGENT], NOW) == ([0] if expected else [])


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (TASK_FIELDS, Task),
        (AGENT_FIELDS, Agent),
        (SCHEDULE_FIELDS, Schedule),
        (QUEUE_FIELDS, Queue),
    ],
)
def test_every_field_can_be_read_from_the_engines_row(table: FieldTable, row: Any) -> None:
    computed = {
        name
        for field in table.fields
        if field.read and field.sql is None
        for name in field.attributes
    }
    read = {name for field in table.fields for name in field.attributes} - computed
    assert read <= set(row._fields)
    assert computed == ({"ready", "running"} if row is Queue else set())


def test_a_queues_counts_are_summed_over_its_task_names() -> None:
    queue = Queue._make([None] * len(Queue._fields))._replace(
        counts=(("a", 3, 2), ("b", 3, 5), ("a", 4, 9))
    )
    predicate = compile_predicate(parse("ready:7 running:9", QUEUE_FIELDS))
    assert predicate(queue, NOW)
    assert not predicate(queue._replace(counts=()), NOW)


def test_queues_are_found_by_their_counts(store: Any) -> None:
    rows = [
        {"name": "a", "paused": 1, "ready": 5, "running": 0, "create_time": 0},
        {"name": "b", "paused": 0, "ready": 0, "running": 2, "create_time": 0},
    ]
    assert store.taken(parse("paused:yes ready>4", QUEUE_FIELDS), rows, NOW) == [0]
    assert store.taken(parse("running:2 | paused:true", QUEUE_FIELDS), rows, NOW) == [0, 1]


def test_schedules_are_found_by_kind_and_next_run(store: Any) -> None:
    row = {
        "id": "nightly",
        "kind": 1,
        "spec": "0 2 * * *",
        "time_zone": "Europe/Berlin",
        "queue": "reports",
        "task_name": "report",
        "paused": 0,
        "next_at": NOW + MINUTE,
        "last_at": None,
        "create_time": 0,
    }
    for text in ("kind:cron", "next<+2m", 'last:""', "paused:no", "zone:Europe/*", "night"):
        assert store.taken(parse(text, SCHEDULE_FIELDS), [row], NOW) == [0], text
    assert store.taken(parse("kind:interval,once", SCHEDULE_FIELDS), [row], NOW) == []


def test_a_text_is_bound_and_never_becomes_sql() -> None:
    hostile = "x') OR 1=1 --"
    flt = parse(f'queue:"{hostile}" label."{hostile}":"{hostile}" "{hostile}"', TASK_FIELDS)
    sql, params = compile_sql(flt, NOW)
    assert "1=1" not in sql
    assert sql.count("?") == len(params)
    assert hostile in params


def test_a_store_may_name_its_own_columns() -> None:
    flt = parse("error_type:x queue:y", TASK_FIELDS)
    sql, params = compile_sql(flt, NOW, {"error_type": "e.type"})
    assert sql == "((e.type IS NOT NULL AND e.type = ?) AND queue = ?)"
    assert params == ("x", "y")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("queue:b,a state:ready", "state:READY   (queue=a,b)"),
        ("a a b", '"b" A'),
        ("a | (b | c)", "(c OR a) | b"),
        ("!(!x)", "x"),
        ("create_time>now", "created>now-0s"),
        ("age>90s", "age>1m30s"),
        ("error:*x**y", "error:x*y"),
        ("run_at<2026-01-01", "run_at<2026-01-01T02:00+02:00"),
        ("!(a b)", "NOT (b AND a)"),
        ('label."k":v', "label.k=v"),
    ],
)
def test_filters_that_mean_the_same_have_one_canonical_text(one: str, other: str) -> None:
    first, second = parse(one, TASK_FIELDS), parse(other, TASK_FIELDS)
    assert first.canonical() == second.canonical()
    assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a | b c", "(a | b) c"),
        ("!a b", "!(a b)"),
        ("name:a*", 'name:"a*"'),
        ("age>5m", "age>=5m"),
        ("task_0000000000001", '"task_0000000000001"'),
        ("agent:*", 'agent:""'),
    ],
)
def test_filters_that_differ_have_different_fingerprints(one: str, other: str) -> None:
    first, second = parse(one, TASK_FIELDS), parse(other, TASK_FIELDS)
    assert first.fingerprint() != second.fingerprint()


def test_the_resource_is_part_of_the_fingerprint() -> None:
    texts = {parse("", table).fingerprint() for table in (TASK_FIELDS, QUEUE_FIELDS)}
    assert len(texts) == 2


def test_only_an_empty_filter_takes_everything() -> None:
    assert parse(" ", TASK_FIELDS).takes_everything
    assert not parse("a", TASK_FIELDS).takes_everything
