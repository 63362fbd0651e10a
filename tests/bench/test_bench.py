from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from quarterdeck_server.bench.cli import NAMES, TERMINATED, bench
from quarterdeck_server.bench.scenarios import SCENARIOS

_FIGURES = {
    "submit_sequential": {"tasks_per_s", "p50_ms", "p95_ms", "p99_ms", "tasks", "seconds"},
    "submit_concurrent_50": {"tasks_per_s", "p50_ms", "p95_ms", "p99_ms", "tasks", "seconds"},
    "submit_bulk": {"tasks_per_s", "tasks", "seconds"},
    "drain_1": {"tasks_per_s", "tasks", "seconds"},
    "drain_2": {"tasks_per_s", "tasks", "seconds"},
    "pipeline": {"tasks_per_s", "tasks", "seconds"},
    "latency": {"p50_ms", "p95_ms", "p99_ms", "tasks"},
    "watch_latency": {"p50_ms", "p95_ms", "p99_ms", "changes"},
    "claims_1m": {"p50_ms", "p99_ms", "claims", "backlog", "listening_seconds"},
    "agents_10000": {"p99_ms", "agents", "claims", "heartbeats_per_s"},
    "cancel_10000": {"delivered_p100_ms", "stopped_p100_ms", "escalated_p100_ms", "escalated"},
    "restart": {"seconds", "listening_seconds", "database_mb"},
}
_COSTS = {"cpu_pct", "rss_mb"}


def _run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(bench, [*arguments, "--data", str(folder)])
    return done.exit_code, done.stdout, done.stderr


def test_the_names_of_the_command_are_the_scenarios() -> None:
    assert tuple(SCENARIOS) == NAMES
    assert set(SCENARIOS) == set(_FIGURES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_ends_and_gives_its_figures(tmp_path: Path, name: str) -> None:
    code, out, errors = _run(tmp_path, "--json", "--scale", "0.002", "--scenario", name)
    assert code == 0, errors
    answer = json.loads(out)
    figures = answer["results"].pop(name)
    assert not answer["results"]
    assert _FIGURES[name] <= figures.keys()
    assert all(figures[key] > 0 for key in _FIGURES[name] - {"heartbeats_per_s"})
    if name != "restart":
        assert figures.keys() >= _COSTS
    assert list(tmp_path.iterdir()) == []


def test_the_settings_say_what_the_figures_depend_on(tmp_path: Path) -> None:
    code, out, _ = _run(tmp_path, "--json", "--scale", "0.001", "--scenario", "submit_bulk")
    assert code == 0
    settings = json.loads(out)["settings"]
    assert settings["scale"] == 0.001
    assert settings["fsync_delay_ms"] == 0
    assert settings["server"] is None
    assert settings["versions"]["grpcio"]
    assert {"python", "sqlite", "cores", "load_average", "fsync_ms", "platform"} <= settings.keys()


def test_an_injected_delay_slows_every_fsync_of_the_server(tmp_path: Path) -> None:
    arguments = ("--json", "--scale", "0.001", "--scenario", "submit_sequential")
    code, out, errors = _run(tmp_path, *arguments, "--fsync-delay", "20")
    assert code == 0, errors
    answer = json.loads(out)
    assert answer["settings"]["fsync_ms"] >= 20
    assert answer["results"]["submit_sequential"]["p50_ms"] >= 20


def test_without_a_compiler_the_delay_is_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    code, _, errors = _run(tmp_path, "--fsync-delay", "2", "--scenario", "submit_bulk")
    assert code == 1
    assert "C compiler" in errors
    assert "CC" in errors


def test_a_running_server_takes_no_delay(tmp_path: Path) -> None:
    code, _, errors = _run(tmp_path, "--server", "127.0.0.1:1", "--fsync-delay", "2")
    assert code == 2
    assert "--server" in errors


def test_restart_needs_a_server_of_its_own(tmp_path: Path) -> None:
    code, _, errors = _run(tmp_path, "--server", "127.0.0.1:1", "--scenario", "restart")
    assert code == 1
    assert "--server" in errors


def test_an_unknown_scenario_is_refused() -> None:
    done = CliRunner().invoke(bench, ["--scenario", "drain_3"])
    assert done.exit_code == 2
    assert "drain_1" in done.stderr


def test_people_get_a_table(tmp_path: Path) -> None:
    code, out, errors = _run(tmp_path, "--scale", "0.001", "--scenario", "submit_bulk")
    assert code == 0
    assert "submit_bulk" in errors
    heading, row = out.splitlines()[-2:]
    assert "tasks/s" in heading
    assert row.startswith("submit_bulk")


def test_sigterm_ends_everything_that_was_started(tmp_path: Path) -> None:
    code = "from quarterdeck_server.bench.cli import bench; bench()"
    arguments = ["--scenario", "latency", "--data", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "latency" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == TERMINATED
    # The server holds its directory as long as it lives, and would have written to it again.
    assert list(tmp_path.iterdir()) == []
