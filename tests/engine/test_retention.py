"""How long what has ended is kept, by namespace and state; on dicts and on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.namespaces import Retention
from quarterdeck_server.engine.policy import Policy
from quarterdeck_server.engine.states import CANCELLED, EXPIRED, FAILED, SUCCEEDED
from quarterdeck_server.engine.timeunits import DAY, HOUR

from . import make
from .bench import Bench
from .make import NOW, SECOND
from .sqlite import Sqlite

WEEK, MONTH = 7 * DAY, 30 * DAY
_ROWS = 20_000


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Bench]:
    """For what only a store does: rounds with a limit, and how it finds what they remove."""
    driver = Sqlite(tmp_path / "quarterdeck.db")
    yield Bench(driver)
    driver.close()


def prune(bench: Bench, limit: int = 500) -> int:
    """One round with the server's own retention: a week, of what failed a month."""
    removed: int = bench.do(c.Prune(bench.now - WEEK, bench.now - MONTH, 0, 1_000_000, limit))
    return removed


def ended(bench: Bench, namespace: str = "default") -> set[int]:
    """One task ended in each way; return their states."""
    profile = make.DEFAULT._replace(namespace=namespace)
    specs = [make.spec(), make.spec(), make.spec(), make.spec()._replace(delay=DAY)]
    replies = bench.do(c.Submit(namespace, specs))
    good, bad, cancelled, expires = (reply.task_id for reply in replies)
    claim = make.claim(max_tasks=3, profile=profile)
    bench.group(claims=[claim])
    tokens = {task.id: task.lease_token or 0 for task in claim.taken}
    bench.do(
        c.Report(
            namespace,
            "a1",
            [
                c.ReportItem(good, tokens[good], make.succeed()),
                c.ReportItem(bad, tokens[bad], make.fail(final=True)),
                c.ReportItem(cancelled, tokens[cancelled], c.StopCancelled("enough")),
            ],
        )
    )
    bench.do(c.Cancel(namespace, [expires], "never mind", "ann"))
    return states(bench, namespace)


def states(bench: Bench, namespace: str = "default") -> set[int]:
    """The states of the tasks that a namespace still has."""
    return {task.state for task in bench.driver.tasks.values() if task.namespace == namespace}


def keep(namespace: str = "default", **spans: int) -> c.UpdateNamespace:
    """A namespace's own retention."""
    return c.UpdateNamespace(namespace, Retention(**spans))


def test_failures_are_kept_longer_than_the_rest(bench: Bench) -> None:
    assert ended(bench) == {SUCCEEDED, FAILED, CANCELLED}
    bench.now += WEEK
    assert prune(bench) == 0
    bench.now += 1
    assert prune(bench) == 3 and states(bench) == {FAILED}
    bench.now += MONTH
    assert prune(bench) == 1 and states(bench) == set()


def test_a_namespace_keeps_by_its_own_retention(bench: Bench) -> None:
    ended(bench)
    ended(bench, "other")
    bench.do(keep("other", succeeded=HOUR, cancelled=3650 * DAY))
    bench.now += HOUR + 1
    assert prune(bench) == 1
    assert states(bench, "other") == {FAILED, CANCELLED}
    assert states(bench) == {SUCCEEDED, FAILED, CANCELLED}
    bench.now += 2 * MONTH
    prune(bench)
    assert states(bench) == set()
    assert states(bench, "other") == {CANCELLED}, "what it has not set is as the server has it"
    bench.do(keep("other"))
    prune(bench)
    assert states(bench, "other") == set()


def test_what_is_not_kept_at_all_goes_with_the_next_round(bench: Bench) -> None:
    bench.do(keep(succeeded=0, failed=0, cancelled=0))
    ended(bench)
    bench.now += 1
    prune(bench)
    assert states(bench) == set()


def test_expired_tasks_have_a_retention_of_their_own(bench: Bench) -> None:
    bench.do(keep(expired=HOUR))
    policy = Policy(schedule_to_start=SECOND)
    bench.one(make.spec(policy=policy))
    bench.pass_time(2)
    assert states(bench) == {EXPIRED}
    bench.now += HOUR + 1
    assert prune(bench) == 1


def test_totals_survive_what_they_count(bench: Bench) -> None:
    ended(bench)
    before = bench.driver.queues["default", "default"]
    bench.now += 2 * MONTH
    prune(bench)
    after = bench.driver.queues["default", "default"]
    assert after.counts == () and before.counts != ()
    totals = (4, 1, 1, 2, 0)
    for queue in (before, after):
        assert (
            queue.submitted_total,
            queue.succeeded_total,
            queue.failed_total,
            queue.cancelled_total,
            queue.expired_total,
        ) == totals


def test_a_round_removes_so_many_and_the_next_goes_on(on_sqlite: Bench) -> None:
    bench = on_sqlite
    for _ in range(3):
        ended(bench)
        ended(bench, "other")
    bench.now += 2 * MONTH
    assert [prune(bench, 10) for _ in range(4)] == [10, 10, 4, 0]


def test_a_busy_namespace_does_not_keep_what_others_need_not(on_sqlite: Bench) -> None:
    bench = on_sqlite
    for namespace in ("a", "b", "c"):
        ended(bench, namespace)
    bench.now += 2 * MONTH
    first: set[str] = set()
    for _ in range(3):
        ended(bench, "a")
        bench.now += 2 * MONTH
        prune(bench, 4)
        first |= {name for name in "abc" if not states(bench, name)}
    assert {"b", "c"} <= first


def test_what_one_keeps_for_long_is_not_looked_at_again_and_again(on_sqlite: Bench) -> None:
    bench, driver = on_sqlite, on_sqlite.driver
    assert isinstance(driver, Sqlite)
    (template,) = bench.submit(make.spec())
    bench.do(c.UpdateNamespace("keeps", Retention(succeeded=3650 * DAY)))
    names = ", ".join(bench.task(template)._fields)
    values = names.replace("namespace", "'keeps'", 1).replace("id", "1000 + value", 1)
    values = values.replace(" state,", f" {SUCCEEDED},").replace(" end_time,", f" {NOW} + value,")
    with driver.connection:
        driver.connection.execute(
            f"WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT {_ROWS}) "
            f"INSERT INTO tasks ({names}) SELECT {values} FROM n, tasks WHERE tasks.id = {template}"
        )
    assert len([t for t in driver.tasks.values() if t.namespace == "keeps"]) == _ROWS
    bench.now += 2 * MONTH
    steps = 0

    def stepped() -> int:
        nonlocal steps
        steps += 100
        return 0

    driver.connection.set_progress_handler(stepped, 100)
    assert prune(bench) == 0
    driver.connection.set_progress_handler(None, 0)
    assert steps < 5000, "a round looks at what it removes, not at what is kept"
