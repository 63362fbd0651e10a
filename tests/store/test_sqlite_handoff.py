"""What a hand-off reads depends on what it gives, not on what is in line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck_server.engine.commands import Batch, Profile, UpdateQueue
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.store.sqlite.load import Loader

from ..engine import make
from ..engine.bench import Bench
from ..engine.flow import limit_queue
from ..engine.sqlite import Sqlite

LIMITS = QueueLimits(Concurrency(1000), Concurrency(2))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An engine on SQLite."""
    driver = Sqlite(tmp_path / "quarterdeck.db")
    yield Bench(driver)
    driver.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each query was asked."""
    counted: Counter[str] = Counter()
    rows = Loader.rows

    def counting(self: Loader, name: str, *parameters: Any) -> list[Any]:
        counted[name] += 1
        return rows(self, name, *parameters)

    monkeypatch.setattr(Loader, "rows", counting)
    return counted


def test_ten_thousand_keys_cost_a_claim_no_more_reads(bench: Bench, reads: Counter[str]) -> None:
    limit_queue(bench, LIMITS)
    for start in range(0, 10_000, 1000):
        bench.submit(*(make.spec(group_key=f"k{start + n}") for n in range(1000)))
    reads.clear()
    assert len(bench.claim(max_tasks=10)) == 10
    assert reads["ready_of_lane"] <= 11
    assert not reads["ready_lanes"]


def test_many_names_are_not_read_anew_in_every_group(bench: Bench, reads: Counter[str]) -> None:
    bench.submit(*(make.spec(name=f"n{n % 200}") for n in range(400)))
    assert [task.name for task in bench.claim(max_tasks=3)] == ["n0", "n1", "n2"]
    reads.clear()
    assert [task.name for task in bench.claim(max_tasks=3)] == ["n3", "n4", "n5"]
    assert reads["ready_of_lane"] <= 10


def test_a_task_that_goes_first_is_given_before_the_head_that_was_known(bench: Bench) -> None:
    limit_queue(bench, LIMITS)
    bench.submit(make.spec(group_key="k"), make.spec(group_key="k"))
    profile = Profile("default", ("default",), None, Batch(9, 10 * make.SECOND))
    bench.group(claims=[make.claim(profile=profile)])
    (first,) = bench.claim()
    urgent = bench.one(make.spec(group_key="k", priority=9))
    (second,) = bench.claim()
    assert (first.id, second.id) == (1, urgent)


@pytest.mark.parametrize("drops", [None, True])
def test_a_plain_queue_is_read_once_a_group(
    bench: Bench, reads: Counter[str], drops: bool | None
) -> None:
    bench.do(UpdateQueue("default", "default", None, "", drops=drops))
    bench.submit(*(make.spec() for _ in range(500)))
    reads.clear()
    bench.claim(max_tasks=250)
    assert reads["ready_of_lane"] == 1
