"""Log lines that come while others are on their way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

import quarterdeck

from .conftest import Fleet
from .fake import FakeServer


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def test_lines_of_many_threads_arrive_once_and_in_order(
    fake: FakeServer, fleet: Fleet, hasty_threads: None
) -> None:
    agent = quarterdeck.Agent("a")

    @agent.task
    def chatty(run: quarterdeck.Run) -> None:
        def write(name: str) -> None:
            for number in range(3_000):
                run.log.info("%s %d", name, number)

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    fleet(agent)
    task_id = fake.give("chatty")
    await fake.until(lambda: task_id in fake.reports, within=30)
    lines = fake.log_lines[task_id]
    for name in "abcd":
        assert [line for line in lines if line[0] == name] == [f"{name} {n}" for n in range(3_000)]
    assert len(lines) == 12_000
