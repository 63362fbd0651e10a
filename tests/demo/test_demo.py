"""The demo as a whole: real server, real agents, real files."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck_server.demo import child
from quarterdeck_server.demo.child import LocalServer, ServerDiedError
from quarterdeck_server.demo.drive import Drive
from quarterdeck_server.demo.guard import MARK
from quarterdeck_server.demo.repository import Repository
from quarterdeck_server.demo.work import INSPECT, REINSPECT, RUN_LABEL, SURVEY
from quarterdeck_server.pools import proctable

from .conftest import Workspace

pytestmark = pytest.mark.skipif(not proctable.has_proc(), reason="looks at processes in /proc")

GOOD = {f"src/f{n}.py": f"def f{n}(a):\n    return a or {n}  # TODO: better\n" for n in range(20)}
GOOD |= {"main.go": "package main\n\nfunc main() {\n}\n", "deep/x.js": "function x() {}\n"}
BAD: dict[str, str | bytes] = {"bad.py": "def f(:\n", "bad.c": b"\xff\xfe\xfd"}


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """A repository with good files, bad files, and one that is no source code."""
    for path, content in {**GOOD, **BAD, "README.txt": "hello"}.items():
        workspace.write(path, content)
    workspace.commit()
    return workspace


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    """A server of the demo, ended and cleaned up after the test."""
    local = LocalServer(tmp_path / "data", agents=2)
    local.start()
    yield local
    local.stop()
    assert proctable.with_variable(MARK, local.mark) == []


def command(folder: Path, data: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "quarterdeck.cli", "demo", str(folder)),
        *("--json", "--data", str(data), "--agents", "2"),
    ]


def started_under(data: Path) -> list[int]:
    """The processes that carry the mark of the demo with this data."""
    marks = {
        line.partition("= ")[2].split('"')[1]
        for config in data.glob("server-*.toml")
        for line in config.read_text().splitlines()
        if MARK in line
    }
    return [pid for mark in marks for pid in proctable.with_variable(MARK, mark)]


def test_a_headless_demo_reports_on_every_file_and_leaves_nothing_behind(
    filled: Workspace, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    done = subprocess.run(
        command(filled.folder, data), capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout.splitlines()[-1])
    assert tally["tasks"]["failed"] == len(BAD)
    # One for each file, the survey, the report, and the schedule's as often as it came to run.
    assert tally["tasks"]["succeeded"] >= len(GOOD) + 2
    assert tally["retries"] >= 2 * len(BAD)
    assert tally["attempts"] >= sum(tally["tasks"].values()) + tally["retries"]
    assert 1 <= tally["agents_started"] <= 2
    assert tally["seconds"] > 0
    text = Path(tally["report"]).read_text()
    for path in (*GOOD, *BAD):
        assert path.replace("_", "\\_") in text
    assert "SyntaxError" in text.split("## Files that failed")[1]
    assert "README" not in text
    assert list(data.glob("server-*.toml")) == []


def test_killing_the_server_in_the_middle_costs_no_task(
    filled: Workspace, server: LocalServer, tmp_path: Path
) -> None:
    drive = Drive(server, Repository(filled.folder), tmp_path / "report.md")
    killed: list[int] = []

    def told(ended: int, total: int) -> None:
        if total > 2 and not killed:
            killed.append(server.pid)
            os.kill(server.pid, signal.SIGKILL)

    try:
        drive.begin()
        tally = drive.finish(told)
    finally:
        drive.close()
    assert killed
    assert server.pid != killed[0]
    assert tally.tasks["failed"] == len(BAD)
    assert tally.tasks["succeeded"] >= len(GOOD) + 2
    assert all(path in (tmp_path / "report.md").read_text() for path in GOOD)


def test_a_file_that_changes_is_inspected_again_and_only_that_one(
    filled: Workspace, server: LocalServer, tmp_path: Path
) -> None:
    drive = Drive(server, Repository(filled.folder), tmp_path / "report.md")
    try:
        drive.begin()
        with quarterdeck.Client(server.address) as client:
            (survey,) = client.list(f"name:{SURVEY}")
            assert client.wait(survey.id, 40).state == "succeeded"
            (filled.folder / "main.go").write_text("package main\n\nfunc changed() {\n}\n")
            found = client.result(client.trigger_schedule(REINSPECT), timeout=40)
            again = client.result(client.trigger_schedule(REINSPECT), timeout=40)
            assert found == {"changed": 1, "submitted": 1}
            assert again == {"changed": 1, "submitted": 0}
            tasks = list(client.list(f"name:{INSPECT} label.{RUN_LABEL}:{drive.run}"))
            results = [
                client.result(task.id, timeout=40)
                for task in tasks
                if task.labels["path"] == "main.go"
            ]
        names = {
            function["name"] for result in results for function in result["facts"]["functions"]
        }
        assert "changed" in names
    finally:
        drive.close()


def test_a_server_that_cannot_start_is_given_up_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_MOST_DEATHS", 2)
    (tmp_path / "server").write_text("a file where the data directory should be")
    local = LocalServer(tmp_path, agents=1)
    local.start()
    drive = Drive(local, Repository(Path(__file__).parent), tmp_path / "report.md")
    try:
        with pytest.raises(ServerDiedError, match="the server ended 2 times"):
            drive.begin()
    finally:
        drive.close()
        local.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_however_the_demo_ends_nothing_of_it_goes_on(
    filled: Workspace, tmp_path: Path, number: signal.Signals
) -> None:
    data = tmp_path / "data"
    with subprocess.Popen(
        command(filled.folder, data), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()  # its first line: the server answers and the work is submitted
        pids = started_under(data)
        ends = [os.pidfd_open(pid) for pid in pids]
        process.send_signal(number)
        process.communicate(timeout=40)
    assert pids
    for end in ends:
        assert select.select([end], [], [], 40)[0], "a process of the demo goes on"
        os.close(end)
    assert started_under(data) == []


def test_a_folder_without_git_is_a_usage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, tmp_path / "data"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "git" in done.stderr


def test_a_folder_for_data_that_cannot_be_made_is_a_usage_error(
    filled: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = command(filled.folder, tmp_path / "file" / "data")
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Error: cannot keep data in {tmp_path / 'file' / 'data'}: ")
    assert last.endswith("; give another folder with --data")
