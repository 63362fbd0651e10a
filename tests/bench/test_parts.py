from __future__ import annotations

import os
from pathlib import Path

import pytest

from quarterdeck_server.bench.board import Board
from quarterdeck_server.bench.errors import BenchError
from quarterdeck_server.bench.figures import middle, percentiles, rate
from quarterdeck_server.bench.lab import Options
from quarterdeck_server.bench.processes import LoadProcess
from quarterdeck_server.bench.usage import Sample, per_task, sample, used


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    times = [n / 1000 for n in range(1, 101)]
    assert percentiles(times) == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
    assert percentiles([0.002]) == {"p50_ms": 2, "p95_ms": 2, "p99_ms": 2}
    assert percentiles([]) == {}


def test_the_middle_run_is_the_one_by_rate() -> None:
    runs = [rate(100, seconds) for seconds in (1.0, 4.0, 2.0)]
    assert middle(runs)["tasks_per_s"] == 50


def test_a_board_adds_up_what_several_processes_did(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board")
    first, third = (Board(tmp_path / "board", place) for place in (0, 2))
    assert board.done == 0
    assert board.last_ids() == []
    first.note("task_0000000000001")
    first.note("task_0000000000002")
    third.note("task_0000000000003")
    assert board.done == 3
    assert board.last_ids() == ["task_0000000000002", "task_0000000000003"]


def test_what_a_process_used_is_a_share_of_one_core() -> None:
    before = Sample(time=10.0, cpu=1.0, rss=2**20, peak=2**20)
    after = Sample(time=12.0, cpu=2.0, rss=3 * 2**20, peak=4 * 2**20)
    assert used(before, after) == {"cpu_pct": 50, "rss_mb": 3, "peak_rss_mb": 4}
    assert used(before, None) == {}
    assert per_task("server", [before], [after], 1000) == {"server_us_per_task": 1000}
    assert per_task("load", [None], [after], 1000) == {}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_sample_of_this_process_has_time_and_memory() -> None:
    taken = sample(os.getpid())
    assert taken is not None
    assert taken.cpu > 0
    assert 2**20 < taken.rss <= taken.peak


def test_a_larger_scale_makes_no_measurement_longer() -> None:
    assert Options(scale=5).count(100) == 500
    assert Options(scale=5).seconds(10) == 10
    assert Options(scale=0.001).count(100) == 1
    assert Options(scale=0.1).seconds(10) == 1


async def test_a_load_process_that_fails_says_why(tmp_path: Path) -> None:
    process = LoadProcess("no_such_role", {"address": "", "queue": ""}, tmp_path / "log")
    with pytest.raises(BenchError, match="no_such_role"):
        await process.start()
    await process.stop()
