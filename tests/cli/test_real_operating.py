"""What operators do by the command line, against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._root import root
from quarterdeck.testing import Server, start_server

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all: each test has a namespace of its own."""
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def run(real: Server, request: pytest.FixtureRequest) -> Run:
    """Runs a command line in the test's namespace."""
    common = ["--server", real.address, "--namespace", request.node.name[:64]]
    wide = {"COLUMNS": "200"}

    def invoke(*arguments: str, code: int = ExitCode.OK) -> Result:
        result = CliRunner().invoke(root, [*common, *arguments], env=wide)
        assert result.exit_code == code, result.output
        return result

    return invoke


def submit(run: Run, *arguments: str) -> str:
    return run("task", "submit", *arguments).stdout.strip()


def test_a_task_says_why_it_is_not_running(run: Run) -> None:
    task_id = submit(run, "later")
    assert "no agent" in run("task", "explain", task_id).stdout.splitlines()[0].lower()
    run("queue", "pause", "default", "--reason", "lunch", "--actor", "ann")
    assert "paused: ann: lunch" in run("queue", "list").stdout
    explained = json.loads(run("task", "explain", task_id, "-o", "json").stdout)
    messages = {found["kind"]: found["message"] for found in explained["obstacles"]}
    assert "ann: lunch" in messages["OBSTACLE_KIND_QUEUE_PAUSED"]


def test_a_second_task_of_a_key_is_refused_or_the_first(run: Run) -> None:
    first = submit(run, "sync", "--unique", "user-7")
    refused = run("task", "submit", "sync", "--unique", "user-7", code=ExitCode.REFUSED)
    assert "UNIQUE_KEY_TAKEN" in refused.stderr
    again = submit(run, "sync", "--unique", "user-7", "--unique-policy", "return-existing")
    assert again == first


def test_a_burst_is_folded_and_a_flood_is_throttled(run: Run) -> None:
    assert submit(run, "index", "--debounce", "a=1h") == submit(run, "index", "--debounce", "a=1h")
    let_through = [submit(run, "ping", "--throttle", "a=2/1h") for _ in range(3)]
    assert len(set(let_through)) == 2


def test_typed_facts_find_a_task(run: Run) -> None:
    dear = submit(run, "a", "--attribute", "cost=7", "--group-key", "acme")
    submit(run, "a", "--attribute", "cost=3")
    found = json.loads(run("task", "list", "--filter", "attr.cost>5", "-o", "json").stdout)
    assert [task["id"] for task in found["tasks"]] == [dear]
    shown = run("task", "get", dear).stdout
    assert "cost=7" in shown
    assert "acme" in shown


def test_tasks_are_changed_by_id_and_by_filter(run: Run) -> None:
    task_id = submit(run, "a", "--label", "old=1")
    changed = run("task", "update", task_id, "--priority", "9", "--remove-label", "old")
    assert changed.stdout == f"{task_id}  ready\n"
    assert json.loads(run("task", "get", task_id, "-o", "json").stdout)["task"]["labels"] == {}
    submit(run, "a")
    delayed = run("task", "update", "--filter", "name:a", "--delay", "1h", "--reason", "later")
    assert delayed.stdout == "update: 2 of 2 tasks\n"
    assert "scheduled" in run("task", "get", task_id).stdout


def test_an_ended_task_is_run_again(run: Run) -> None:
    task_id = submit(run, "a", "--input", "1")
    run("task", "rerun", task_id, code=ExitCode.REFUSED)
    run("task", "cancel", task_id)
    old, new = run("task", "rerun", task_id, "--input", "2").stdout.split()
    assert old == task_id
    again = json.loads(run("task", "get", new, "-o", "json").stdout)
    assert again["task"]["rerun_of"] == task_id
    assert again["input"]["data"] == "Mg=="


def test_only_a_running_task_is_paused(run: Run) -> None:
    run("task", "pause", submit(run, "a"), code=ExitCode.REFUSED)


def test_an_act_does_nothing_when_more_match_or_when_it_is_dry(run: Run) -> None:
    for _ in range(3):
        submit(run, "a")
    run("task", "cancel", "--filter", "name:a", "--max", "2", code=ExitCode.REFUSED)
    dry = run("task", "cancel", "--filter", "name:a", "--dry-run")
    assert dry.stdout == "cancel: 3 tasks found, nothing was done\n"
    assert json.loads(run("task", "list", "-o", "json").stdout)["tasks"][0]["reason"] == ""


def test_limits_are_set_changed_and_removed(run: Run) -> None:
    run("queue", "limits", "deep", "--concurrency", "1:reject", "--rate", "100/1m,burst=200")
    shown = run("queue", "limits", "deep", "--weight", "acme=3", "--ageing", "5m").stdout
    for part in ("1; over it new tasks are refused", "100 in 1m, burst 200", "acme=3", "5m"):
        assert part in shown
    submit(run, "a", "--queue", "deep")
    over = run("task", "submit", "a", "--queue", "deep", code=ExitCode.REFUSED)
    assert "LIMIT_EXCEEDED" in over.stderr
    assert "refused" not in run("queue", "limits", "deep", "--clear").stdout
    submit(run, "a", "--queue", "deep")


def test_a_paused_queue_may_drop_what_arrives(run: Run) -> None:
    run("queue", "pause", "deep", "--drop")
    dropped = submit(run, "a", "--queue", "deep")
    assert "cancelled DROPPED" in run("task", "get", dropped).stdout
    run("queue", "resume", "deep")


def test_a_namespace_is_frozen_and_thawed(run: Run) -> None:
    task_id = submit(run, "a")
    assert "frozen by ann" in run("freeze", "--actor", "ann").stdout
    assert "frozen" in run("hold", "list").stdout
    assert "rozen" in run("task", "explain", task_id).stdout
    assert "thawed" in run("thaw").stdout
    assert "was not frozen" in run("thaw").stdout


def test_a_freeze_says_that_there_is_nothing_to_stop(run: Run) -> None:
    empty = run("freeze", "--namespace", "prdo", "--reason", " fire ")
    assert "prdo frozen by" in empty.stdout
    assert empty.stderr == "there is neither a queue nor an agent in namespace prdo now\n"
    submit(run, "a")
    assert run("freeze").stderr == ""


def test_a_name_is_held_and_released(run: Run) -> None:
    run("hold", "put", "task-name", "research", "--reason", "bad prompt", "--drop")
    assert "bad prompt" in run("hold", "list").stdout
    assert "DROPPED" in run("task", "get", submit(run, "research")).stdout
    change = run("watch", "hold", "--count", "1").stdout
    assert "task-name research held" in change
    run("hold", "release", "task-name", "research")
    run("hold", "release", "task-name", "research", code=ExitCode.NOT_FOUND)


def test_settings_of_a_namespace_are_kept(run: Run) -> None:
    run("namespace", "set", "--keep-failed", "30d", "--quarantine-agent", "5")
    run("namespace", "set", "--keep-succeeded", "1d", "--quarantine-name", "20")
    shown = run("namespace", "get").stdout
    for part in ("30d", "1d", "after 5 failures in a row", "after 20 failures in a row"):
        assert part in shown


def test_what_somebody_changed_since_it_was_shown_is_not_overwritten(run: Run) -> None:
    run("queue", "limits", "deep", "--concurrency", "5", "--weight", "acme=3")
    seen = json.loads(run("queue", "limits", "deep", "-o", "json").stdout)["queue"]["etag"]
    run("queue", "limits", "deep", "--weight", "umbrella=2", "--etag", seen)
    change = ("queue", "limits", "deep", "--clear", "--etag", seen)
    assert "changed meanwhile" in run(*change, code=ExitCode.REFUSED).stderr
    shown = run("queue", "limits", "deep", "--rate", "9/s").stdout
    assert "acme=3" in shown and "umbrella=2" in shown and "9 in 1s" in shown
    settings = json.loads(run("namespace", "get", "-o", "json").stdout)["namespace"]
    run("namespace", "set", "--keep-failed", "9d", "--etag", settings["etag"])
    change = ("namespace", "set", "--keep-failed", "1d", "--etag", settings["etag"])
    assert "ETAG_MISMATCH" in run(*change, code=ExitCode.REFUSED).stderr
    assert "9d" in run("namespace", "get").stdout


def test_what_was_done_is_in_the_audit_log(run: Run) -> None:
    submit(run, "a")
    run("task", "cancel", "--filter", "name:a", "--reason", "enough", "--actor", "ann")
    run("freeze", "--reason", "fire", "--actor", "bob")
    run("thaw")
    entries = json.loads(run("audit", "list", "-o", "json").stdout)["entries"]
    assert [entry["action"] for entry in entries] == ["Thaw", "Freeze", "CancelTasks"]
    assert (entries[1]["actor"], entries[1]["reason"]) == ("bob", "fire")
    assert (entries[2]["actor"], entries[2]["matched"], entries[2]["done"]) == ("ann", "1", "1")
    assert "name:a" in entries[2]["filter"]
    assert "enough" in run("audit", "list").stdout


def test_the_audit_log_says_what_became_of_a_queue(run: Run) -> None:
    run("queue", "limits", "deep", "--concurrency", "50")
    run("queue", "limits", "deep", "--concurrency", "5")
    run("queue", "pause", "deep")
    rows = run("audit", "list").stdout.splitlines()[1:]
    assert ["paused" in rows[0], "concurrency 50 → 5" in rows[1]] == [True, True]
    assert "concurrency any → 50" in rows[2]
