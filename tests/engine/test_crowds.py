"""Crowds of keys, labels, shapes and links cost what is given, not all that is there for each that asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from quarterdeck_server.engine import admission
from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine.commands import Batch, Claim, Profile, Unique
from quarterdeck_server.engine.flow.active import ActiveTasks
from quarterdeck_server.engine.flow.desk import Desk
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import READY

from . import make
from .bench import Bench
from .flow import Flow, limit_queue
from .make import SECOND
from .sqlite import Sqlite

CROWD = 200


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An engine on SQLite."""
    driver = Sqlite(tmp_path / "quarterdeck.db")
    yield Bench(driver)
    driver.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what looks at one key, kind or link was called."""
    counted: Counter[str] = Counter()

    def follow(owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        @wraps(whole)
        def counting(*args: Any) -> Any:
            counted[name] += 1
            return whole(*args)

        monkeypatch.setattr(owner, name, counting)

    for name in ("_count", "_may"):
        follow(Desk, name)
    follow(admission, "_is_open_link")
    return counted


def _batch(size: int, linger: int = 60 * SECOND, n: int = 0, **fields: Any) -> Claim:
    shape = Batch(size, linger)
    return make.claim(f"a{n}", profile=Profile("default", ("default",), None, shape), **fields)


def _keys(bench: Bench, each: int) -> None:
    bench.submit(*(make.spec(group_key=f"k{n}") for n in range(CROWD) for _ in range(each)))


def test_keys_at_their_limit_are_asked_once_for_a_batch(bench: Bench, calls: Counter[str]) -> None:
    limit_queue(bench, QueueLimits(concurrency_per_key=Concurrency(1)))
    _keys(bench, 3)
    assert len(bench.claim(max_tasks=CROWD)) == CROWD
    bench.driver.restart()
    calls.clear()
    assert Flow(bench).hand_out(_batch(2)) == []
    assert calls["_count"] <= 6 * CROWD


def test_claims_of_many_shapes_look_at_all_keys_once(bench: Bench, calls: Counter[str]) -> None:
    _keys(bench, 1)
    claims = [_batch(2 + n, (60 + n) * SECOND, n) for n in range(50)]
    bench.group(claims=claims)
    assert not any(claim.taken for claim in claims)
    assert calls["_count"] <= 4 * CROWD


def test_labels_do_not_make_each_batch_claim_look_at_all_keys(
    bench: Bench, calls: Counter[str]
) -> None:
    _keys(bench, 1)
    bench.submit(make.spec(group_key="k0", needs=[("gpu", "a")]))
    claims = [_batch(3, n=n, labels=[("gpu", "a")]) for n in range(50)]
    bench.group(claims=claims)
    assert not any(claim.taken for claim in claims)
    assert calls["_count"] <= 4 * CROWD


def test_claims_of_one_shape_look_for_full_batches_once(bench: Bench, calls: Counter[str]) -> None:
    _keys(bench, 2)
    claims = [_batch(2, n=n) for n in range(50)]
    for place, claim in enumerate(claims):
        claim.place = place
    bench.group(claims=claims)
    assert all(len(claim.taken) == 2 for claim in claims)
    assert len({task.lane for claim in claims for task in claim.taken}) == 50
    assert calls["_count"] <= 2 * CROWD + 5 * 50


def test_an_agent_looks_at_few_kinds_though_its_label_is_asked_for_by_many(
    bench: Bench, calls: Counter[str]
) -> None:
    bench.submit(*(make.spec(needs=[("gpu", "a"), ("x", str(n))]) for n in range(CROWD)))
    claim = make.claim(labels=[("gpu", "a"), ("x", "7")], max_tasks=5)
    bench.group(claims=[claim])
    assert len(claim.taken) == 1
    assert calls["_may"] <= 5


def test_the_way_past_ended_links_is_gone_once(bench: Bench, calls: Counter[str]) -> None:
    after, replace = admission.AFTER_EXISTING, admission.REPLACE_PENDING
    first, second, *_ = bench.submit(
        *(make.spec(admission=Unique("k", 2, after, 0)) for _ in range(2)),
        *(make.spec(admission=Unique("k", 2, replace, 0)) for _ in range(CROWD)),
    )
    assert calls["_is_open_link"] <= 8 * CROWD
    (task,) = bench.claim(max_tasks=5)
    assert task.id == first
    bench.end(task, make.succeed())
    (last,) = bench.claim(max_tasks=5)
    assert last.id == second + CROWD


def test_the_oldest_that_stays_is_found_before_thousands_that_leave() -> None:
    class Counted(int):
        looked = 0

        def __hash__(self) -> int:
            Counted.looked += 1
            return int(self)

    active = ActiveTasks((Counted(n), None, n < 4000) for n in range(4001))
    Counted.looked = 0
    assert active.oldest_staying(None, 1) == [4000]
    assert (active.count(None), active.staying(None), active.oldest(None)) == (4001, 1, 0)
    assert Counted.looked == 0


def test_a_task_changes_once_for_all_its_dependencies_that_end_together(bench: Bench) -> None:
    ids = bench.submit(*(make.spec() for _ in range(CROWD)))
    last = bench.one(make.spec(depends_on=ids, policy=Policy(all_ended=True)))
    known = bench.task(last).revision
    bench.do(make.cancel(*ids[:-1]))
    assert bench.task(last).pending == 1
    bench.do(make.cancel(ids[-1]))
    assert bench.task(last).state == READY
    seen = [c for c in bench.driver.changes if c.kind == log.TASK and c.row.id == last]
    assert [c.row.pending for c in seen if c.revision > known] == [1, 0]
