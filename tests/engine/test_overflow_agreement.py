"""What a store keeps of active tasks from group to group is what it would read anew, whatever is done to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.commands import (
    Command,
    Release,
    Rerun,
    Spec,
    StopCancelled,
    Submitted,
    TaskChange,
    UpdateQueue,
    UpdateTasks,
)
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import NO_LIMITS, Concurrency, QueueLimits
from quarterdeck_server.engine.model import Task

from . import make
from .bench import Bench, Driver
from .memory import Memory
from .sqlite import Sqlite

KEYS = st.sampled_from(["", "red", "blue"])
CAPS = st.builds(Concurrency, st.integers(1, 4), st.integers(1, 4))
SOME_LIMITS = st.one_of(
    CAPS.map(lambda cap: QueueLimits(concurrency=cap)),
    CAPS.map(lambda cap: QueueLimits(concurrency_per_key=cap)),
    st.tuples(CAPS, CAPS).map(lambda caps: QueueLimits(*caps)),
)
LIMITS = st.one_of(st.just(NO_LIMITS), SOME_LIMITS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.lists(KEYS, min_size=1, max_size=5)),
        st.tuples(st.just("submit"), st.lists(KEYS, min_size=1, max_size=5)),
        st.tuples(st.just("limits"), LIMITS),
        st.tuples(st.just("claim"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["succeed", "fail", "release", "stop"]), st.integers(0, 9)),
        st.tuples(st.sampled_from(["cancel", "retry", "rerun", "move"]), st.integers(0, 9)),
        st.tuples(st.just("break"), st.lists(KEYS, min_size=1, max_size=3)),
        st.tuples(st.just("restart"), st.none()),
    ),
    min_size=10,
    max_size=30,
)
OUTCOMES: dict[str, Any] = {
    "succeed": make.succeed(),
    "fail": make.fail(final=True),
    "release": Release("later"),
    "stop": StopCancelled(""),
}


def of_key(key: str) -> Spec:
    return make.spec()._replace(lane=lane_text(LaneKey(key)))


def step(driver: Driver, kind: str, value: Any, now: int) -> Any:
    """Do the same to any driver; what it is done to is found among its rows."""
    bench = Bench(driver)
    bench.now = now
    if kind == "restart":
        driver.restart()
        return None
    if kind == "claim":
        return [task.id for task in bench.claim(max_tasks=value)]
    if kind == "limits":
        return bench.do(UpdateQueue("default", "default", None, "", None, value)).limits
    if kind == "submit":
        replies: list[Submitted] = bench.do(make.submit(*map(of_key, value)))
        return replies
    if kind == "break":
        broken = make.spec(queue="other")._replace(policy="broken")
        group = [make.submit(*map(of_key, value)), make.submit(broken)]
        return driver.run(group, make.waiting([]), now).replies[0]
    tasks = [task for _, task in sorted(driver.tasks.items())]
    if kind in OUTCOMES:
        tasks = [task for task in tasks if task.lease_token is not None]
    if not tasks:
        return None
    task = tasks[value % len(tasks)]
    return bench.do(command_on(kind, task))


def command_on(kind: str, task: Task) -> Command:
    if kind in OUTCOMES:
        return make.report(task.id, task.lease_token, OUTCOMES[kind])
    if kind == "move":
        other = "default" if task.queue == "other" else "other"
        return UpdateTasks("default", [task.id], TaskChange(queue=other))
    if kind == "rerun":
        return Rerun("default", [task.id])
    return make.cancel(task.id) if kind == "cancel" else make.retry(task.id)


@contextmanager
def drivers() -> Iterator[tuple[Sqlite, Memory]]:
    with TemporaryDirectory() as directory:
        sqlite = Sqlite(Path(directory) / "db")
        yield sqlite, Memory()
        sqlite.close()


@settings(max_examples=40)
@given(SOME_LIMITS, STEPS)
def test_sqlite_and_dicts_agree_on_who_overflows(
    first: QueueLimits, steps: list[tuple[str, Any]]
) -> None:
    with drivers() as (sqlite, memory):
        for now, (kind, value) in enumerate([("limits", first), *steps], make.NOW):
            assert step(sqlite, kind, value, now) == step(memory, kind, value, now)
        assert sqlite.tasks.keys() == memory.tasks.keys()
        for task_id, task in sqlite.tasks.items():
            assert task.state == memory.tasks[task_id].state
            assert task.reason == memory.tasks[task_id].reason
