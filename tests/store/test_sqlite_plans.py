"""What is asked often is found by an index, never by looking at every task."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck_server.engine.filters import TASK_FIELDS, parse
from quarterdeck_server.engine.model import Task
from quarterdeck_server.store.sqlite.bulk import _update
from quarterdeck_server.store.sqlite.files import connect
from quarterdeck_server.store.sqlite.queries import load_queries
from quarterdeck_server.store.sqlite.reads import _where


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with the newest schema."""
    opened = connect(tmp_path / "quarterdeck.db")
    yield opened
    opened.close()


def _plan(connection: sqlite3.Connection, sql: str, count: int) -> list[str]:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count).fetchall()
    return [row[3].replace("COVERING INDEX", "INDEX") for row in rows]


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("ready_of_lane", 6, "SEARCH tasks USING INDEX tasks_ready"),
        ("ready_of_priority", 7, "SEARCH tasks USING INDEX tasks_ready"),
        ("running_lanes", 0, "SEARCH tasks USING INDEX tasks_state"),
        ("explain_first_lane", 3, "SEARCH tasks USING INDEX tasks_ready"),
        ("explain_next_lane", 4, "SEARCH tasks USING INDEX tasks_ready"),
        ("explain_size", 5, "SEARCH tasks USING INDEX tasks_ready"),
        ("explain_higher", 6, "SEARCH tasks USING INDEX tasks_ready"),
        ("explain_same", 8, "SEARCH tasks USING INDEX tasks_ready"),
        ("explain_running", 2, "SEARCH tasks USING INDEX tasks_state"),
        ("explain_running_of_key", 3, "SEARCH tasks USING INDEX tasks_state"),
        ("active_of_queue", 2, "SEARCH tasks USING INDEX tasks_state"),
        ("active_of_queue", 2, "SEARCH tasks USING INDEX tasks_ready"),
        ("delete_meter", 4, "SEARCH meters USING PRIMARY KEY"),
        ("tasks_due", 2, "SEARCH tasks USING INDEX tasks_wake"),
        ("schedules_due", 2, "SEARCH schedules USING INDEX schedules_due"),
        ("schedule_instants", 3, "SEARCH tasks USING INDEX tasks_instant"),
        ("running_tasks", 0, "SEARCH tasks USING INDEX tasks_state"),
        ("tasks_to_prune", 2, "SEARCH tasks USING INDEX tasks_ended"),
        ("namespaces_with_ended", 0, "SEARCH tasks USING INDEX tasks_ended"),
        ("dependents", 2, "SEARCH dependencies USING INDEX dependencies_on"),
        (
            "dependents_after",
            3,
            "SEARCH dependencies USING INDEX dependencies_on (depends_on=? AND task_id>?)",
        ),
        ("changes_after", 2, "SEARCH changes USING INTEGER PRIMARY KEY"),
        ("read_instances", 1, "SCAN instances USING INDEX instances_live"),
        ("prune_requests", 2, "SEARCH requests USING INDEX requests_time"),
        ("prune_keys", 2, "SEARCH idempotency_keys USING INDEX idempotency_keys_task"),
        ("prune_expired_keys", 2, "SEARCH idempotency_keys USING INDEX idempotency_keys_expire"),
        ("prune_admissions", 2, "SEARCH admissions USING INDEX admissions_task"),
        ("prune_expired_admissions", 2, "SEARCH admissions USING INDEX admissions_expire"),
        ("admissions_by_key", 1, "SEARCH admissions USING PRIMARY KEY"),
        ("admissions_by_task", 1, "SEARCH admissions USING INDEX admissions_task"),
        ("unmet_dependencies", 1, "SEARCH dependencies USING PRIMARY KEY"),
        ("dependents_tree", 2, "SEARCH d USING INDEX dependencies_on"),
        ("dependencies_of", 1, "SEARCH dependencies USING PRIMARY KEY"),
        ("count_dependencies", 1, "SEARCH dependencies USING PRIMARY KEY"),
        ("children", 2, "SEARCH tasks USING INDEX tasks_parent"),
        ("attempts_by_token", 1, "SEARCH attempts USING PRIMARY KEY"),
        ("agents_to_prune", 2, "SEARCH agents USING INDEX agents_gone"),
        ("instances_to_prune", 2, "SEARCH instances USING INDEX instances_ended"),
        ("prune_changes", 3, "SEARCH changes USING INTEGER PRIMARY KEY"),
        ("keys", 1, "SEARCH k USING PRIMARY KEY"),
        ("requests", 1, "SEARCH r USING PRIMARY KEY"),
        ("details_by_id", 1, "SEARCH d USING INTEGER PRIMARY KEY"),
        ("details_hashes", 1, "SEARCH details USING INTEGER PRIMARY KEY"),
        ("prune_details", 1, "SEARCH details USING INTEGER PRIMARY KEY"),
        ("prune_blob", 1, "SEARCH details USING INDEX details_hash"),
    ],
)
def test_a_query_of_the_writer_uses_its_index(
    connection: sqlite3.Connection, name: str, count: int, expected: str
) -> None:
    plan = _plan(connection, load_queries()[name], count)
    assert any(line.startswith(expected) for line in plan), plan
    assert not any(line.startswith("SCAN tasks") for line in plan), plan


LOOKED_THROUGH = {
    # Wherever something is done: of the rows that it is done to, or of a result that has its own limit.
    "children": {"SCAN tree"},
    "dependents_tree": {"SCAN tree"},
    "copy_inputs": {"SCAN v"},
    "meet_dependencies": {"SCAN v"},
    "details_hashes": {"USE TEMP B-TREE FOR DISTINCT"},
    "inputs_hashes": {"USE TEMP B-TREE FOR DISTINCT"},
    "explain_size": {"SCAN (subquery-1)"},
    "explain_higher": {"SCAN (subquery-1)"},
    "explain_same": {"SCAN (subquery-1)"},
    "read_attempts": {"SCAN (subquery-1)", "USE TEMP B-TREE FOR ORDER BY"},
    "prune_hashes": {"UNION USING TEMP B-TREE"},
    "tasks_to_prune": {"SCAN due VIRTUAL TABLE INDEX 1:"},
    "namespaces_with_ended": {"SCAN names"},
    # As many as fit, in the order of an index that has nothing else.
    "branches_left": {"SCAN cancel_trees USING INDEX cancel_trees_left"},
    "prune_changes": {"SCAN changes"},
    # At a start, once.
    "ready_lanes": {"SCAN c", "USE TEMP B-TREE FOR GROUP BY"},
    "running_lanes": {"USE TEMP B-TREE FOR GROUP BY"},
    "last_change_time": {"SCAN changes"},
    "meters": {"SCAN meters"},
    "all_holds": {"SCAN holds"},
    "all_namespaces": {"SCAN namespaces"},
    "ready_counts": {"SCAN c"},
    "live_agents": {"SCAN agents"},
    # Small tables that do not grow with the tasks: pools of the settings, counters by queue, name and state.
    "pools": {"SCAN pools"},
    "prune_counts": {"SCAN queue_counts"},
    # When the wall clock was set back.
    "resting_queues": {"SCAN queues"},
    "count_all": {"USE TEMP B-TREE FOR GROUP BY"},
    "read_instances": {"SCAN instances USING INDEX instances_live"},
    "read_all_instances": {"SCAN instances", "USE TEMP B-TREE FOR ORDER BY"},
}
"""Queries that look through something, or sort it, and what."""


def _parameters(sql: str) -> int:
    numbers = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    return max(numbers) if numbers else sql.count("?")


@pytest.mark.parametrize("name", sorted(load_queries()))
def test_no_query_but_these_looks_through_a_table_or_sorts(
    connection: sqlite3.Connection, name: str
) -> None:
    """All of them: whoever adds one that does must say here why it may."""
    sql = load_queries()[name]
    columns = re.search(r"\(([^()]*)\) VALUES \{rows\}", sql)
    width = columns.group(1).count(",") + 1 if columns else 2
    sql = sql.replace("{rows}", f"({','.join('?' * width)})")
    found = {
        line
        for line in _plan(connection, sql, _parameters(sql))
        if "TEMP B-TREE" in line
        or (line.startswith("SCAN") and not line.startswith(("SCAN wanted", "SCAN json_each")))
    }
    assert found - {"SCAN CONSTANT ROW"} == LOOKED_THROUGH.get(name, set())


def test_no_query_is_excused_that_is_not_there() -> None:
    assert LOOKED_THROUGH.keys() <= load_queries().keys()


@pytest.mark.parametrize("rows", [1, 64, 256])
def test_changed_tasks_are_found_by_their_ids(connection: sqlite3.Connection, rows: int) -> None:
    sql = _update("tasks", ("id", "state", "lane", "wake_at", "revision"), rows)
    plan = _plan(connection, sql, 5 * rows)
    assert "SEARCH tasks USING INTEGER PRIMARY KEY (rowid=?)" in plan, plan
    assert not any(line.startswith("SCAN tasks") for line in plan), plan


def test_a_start_reads_no_task_without_a_lane(connection: sqlite3.Connection) -> None:
    sql = f"EXPLAIN QUERY PLAN {load_queries()['ready_lanes']}"
    plan = [row[3] for row in connection.execute(sql)]
    search = "(namespace=? AND queue=? AND name=? AND lane>?)"
    assert f"SEARCH t USING COVERING INDEX tasks_ready {search}" in plan


@pytest.mark.parametrize(
    "name", ["ready_of_lane", "ready_of_priority", "tasks_due", "tasks_to_prune"]
)
def test_the_index_gives_the_order_too(connection: sqlite3.Connection, name: str) -> None:
    count = {"ready_of_lane": 6, "ready_of_priority": 7, "tasks_due": 2, "tasks_to_prune": 2}[name]
    plan = _plan(connection, load_queries()[name], count)
    assert not any("TEMP B-TREE" in line for line in plan), plan


@pytest.mark.parametrize(
    "states", ["state:running", "state:failed", "state:blocked,scheduled", "state:waiting"]
)
def test_a_list_of_rare_states_uses_their_index(
    connection: sqlite3.Connection, states: str
) -> None:
    where, parameters = _where("default", parse(states, TASK_FIELDS), 0)
    sql = f"SELECT {', '.join(Task._fields)} FROM tasks WHERE {where} ORDER BY id LIMIT 50"
    plan = _plan(connection, sql, len(parameters))
    assert any("USING INDEX tasks_state" in line for line in plan), plan


def test_a_page_of_all_tasks_follows_the_key(connection: sqlite3.Connection) -> None:
    where, parameters = _where("default", None, 0)
    sql = f"SELECT id FROM tasks WHERE {where} AND (id) > (?) ORDER BY id LIMIT 50"
    plan = _plan(connection, sql, len(parameters) + 1)
    assert plan == ["SEARCH tasks USING INTEGER PRIMARY KEY (rowid>?)"]
