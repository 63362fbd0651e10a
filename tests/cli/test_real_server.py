"""The command line against a real server and a real agent: a task's whole life."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._root import root
from quarterdeck.testing import Server, start_server

AGENT = """
import asyncio

import quarterdeck

agent = quarterdeck.Agent("tester", slots=2)

@agent.task
def double(run: quarterdeck.Run, number: int) -> int:
    run.log.info("doubling %d", number)
    return 2 * number

@agent.task
def refuse(run: quarterdeck.Run) -> None:
    raise quarterdeck.Fail("never")

@agent.task
async def stay(run: quarterdeck.Run) -> None:
    while True:
        await run.checkpoint()
        await asyncio.sleep(0.01)
"""

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all: no test looks at what another one made."""
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def run(real: Server) -> Run:
    """Runs a command line against the server."""

    def invoke(*arguments: str, input: str | None = None) -> Result:
        common = ["--server", real.address]
        return CliRunner().invoke(root, [*common, *arguments], input=input, env={"COLUMNS": "200"})

    return invoke


@pytest.fixture
def agent(real: Server, tmp_path: Path) -> Iterator[None]:
    """An agent that the command line runs."""
    (tmp_path / "tester.py").write_text(AGENT)
    command = [sys.executable, "-m", "quarterdeck.cli", "agent", "run", "tester:agent"]
    with subprocess.Popen([*command, "--server", real.address], cwd=tmp_path) as process:
        yield
        process.terminate()
        assert process.wait(30) == 0


def test_a_task_is_submitted_run_and_looked_at(run: Run, agent: None) -> None:
    done = run("task", "submit", "double", "--input", "21", "--label", "a=b", "--wait")
    assert (done.stdout, done.exit_code) == ("42\n", 0), done.output
    (task,) = json.loads(run("-o", "json", "task", "list", "--filter", "label.a:b").stdout)["tasks"]
    assert task["state"] == "TASK_STATE_SUCCEEDED"
    assert "doubling 21" in run("task", "logs", task["id"]).stdout
    shown = run("task", "get", task["id"]).stdout
    assert "succeeded" in shown
    assert "\nresult\n42\n" in shown
    assert "tester" in run("agent", "list").stdout
    assert "default" in run("queue", "list").stdout


def test_an_agent_that_the_server_never_accepts_ends_with_the_reason(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refused_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(tmp_path)
    refused = run("--namespace", "two words", "agent", "run", "refused_agent:agent")
    assert refused.exit_code == ExitCode.REFUSED
    assert refused.stderr.startswith("Error: namespace: expected")


def test_a_failure_is_the_exit_code_and_may_be_retried(run: Run, agent: None) -> None:
    failed = run("task", "submit", "refuse", "--wait")
    assert failed.exit_code == ExitCode.TASK_FAILED
    assert "never" in failed.stderr
    (task,) = json.loads(run("task", "list", "--filter", "name:refuse", "-o", "json").stdout)[
        "tasks"
    ]
    retried = run("task", "retry", "--filter", "name:refuse", "--reason", "mended")
    assert retried.stdout == "retry: 1 of 1 task\n", retried.output
    task_id = task["id"]
    assert run("task", "wait", task_id).exit_code == ExitCode.TASK_FAILED


def test_a_running_task_is_paused_resumed_and_cancelled_by_filter(run: Run, agent: None) -> None:
    task_id = run("task", "submit", "stay").stdout.strip()
    run("watch", "task", "--filter", f"id:{task_id} state:running", "--count", "1")
    paused = run("task", "pause", "--filter", "name:stay", "--reason", "look")
    assert paused.stdout == "pause: 1 of 1 task\n", paused.output
    assert "look" in run("task", "list", "--filter", "name:stay").stdout
    assert run("task", "pause", "--filter", "name:stay").stdout == "pause: 0 of 0 tasks\n"
    assert run("task", "resume", "--filter", "name:stay").stdout == "resume: 1 of 1 task\n"
    run("task", "cancel", "--filter", "name:stay")
    assert run("task", "wait", task_id, "--timeout", "20s").exit_code == ExitCode.TASK_FAILED


def test_many_tasks_are_submitted_and_cancelled(run: Run) -> None:
    lines = "".join(json.dumps({"name": "later", "input": n}) + "\n" for n in range(1200))
    submitted = run("task", "submit", "--file", "-", input=lines)
    assert len(submitted.stdout.splitlines()) == 1200
    cancelled = run("task", "cancel", "--filter", "name:later", "--max", "2000", "--yes")
    assert cancelled.exit_code == 0, cancelled.output
    assert cancelled.stdout == "cancel: 1,200 of 1,200 tasks\n"
    listed = run("task", "list", "--filter", "name:later", "--limit", "0", "-o", "json")
    states = [task["state"] for task in json.loads(listed.stdout)["tasks"]]
    assert states == ["TASK_STATE_CANCELLED"] * 1200


def test_a_schedule_lives_its_life(run: Run) -> None:
    why = ("--reason", "holidays", "--actor", "ann")
    created = run("schedule", "set", "nightly", "clean", "--cron", "30 2 * * *")
    assert created.exit_code == 0, created.output
    assert "nightly created" in created.stdout
    assert run("schedule", "pause", "nightly", *why).exit_code == 0
    assert "paused: ann: holidays" in run("schedule", "list").stdout
    assert run("schedule", "resume", "nightly").exit_code == 0
    assert run("schedule", "trigger", "nightly").stdout.startswith("task_")
    assert len(run("schedule", "preview", "nightly", "--count", "3").stdout.splitlines()) == 3
    assert run("schedule", "delete", "nightly").exit_code == 0
    assert run("schedule", "get", "nightly").exit_code == ExitCode.NOT_FOUND


def test_a_watch_shows_what_is_there(run: Run) -> None:
    run("task", "submit", "later", "--queue", "deep")
    result = run("watch", "task", "--filter", "queue:deep", "--count", "1", "-o", "json")
    assert json.loads(result.stdout)["task"]["queue"] == "deep"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("task get task_0000000000001", ExitCode.NOT_FOUND),
        ("task get nonsense", ExitCode.REFUSED),
        ("task list --filter state:nonsense", ExitCode.REFUSED),
        ("task list --page-token nonsense", ExitCode.REFUSED),
        ("schedule set a b --cron nonsense", ExitCode.REFUSED),
        ("schedule set a b --cron @daily --zone Mars/Base", ExitCode.REFUSED),
        ("agent drain nobody", ExitCode.NOT_FOUND),
        ("watch --resume-token nonsense", ExitCode.REFUSED),
        ("pool list", ExitCode.OK),
        ("info", ExitCode.OK),
    ],
)
def test_what_the_server_says_is_the_exit_code(run: Run, arguments: str, code: ExitCode) -> None:
    result = run(*arguments.split())
    assert result.exit_code == code, result.output
