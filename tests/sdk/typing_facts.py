"""Never run: what the type checker must know about the SDK. mypy checks it with the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import assert_type

import quarterdeck
from quarterdeck import AsyncClient, Client, Run
from quarterdeck.testing import FakeRun, TaskRun, run_task


@dataclass
class Answer:
    text: str


agent = quarterdeck.Agent("a")


@agent.task
async def ask(run: Run, question: str) -> Answer:
    return Answer(question)


@agent.task(name="other", isolation="process")
def count(run: Run) -> int:
    return 1


async def handlers_keep_their_types() -> None:
    assert_type(await ask(FakeRun(), "why"), Answer)
    assert_type(count(FakeRun()), int)
    count("no run")  # type: ignore[arg-type]
    await ask(FakeRun(), 1)  # type: ignore[arg-type]


def a_handler_takes_a_run_first() -> None:
    @agent.task  # type: ignore[type-var]
    def wrong(number: int) -> None: ...


def blocking_client(client: Client) -> None:
    assert_type(client.submit("a", Answer("x"), priority=3), str)
    assert_type(client.result("id", Answer), Answer)
    assert_type(client.list(), Iterator[quarterdeck.Task])
    client.submit("a", priority="high")  # type: ignore[arg-type]


async def async_client(client: AsyncClient) -> None:
    assert_type(await client.submit("a"), str)
    assert_type(await client.result("id", Answer), Answer)
    assert_type(client.list(), AsyncIterator[quarterdeck.Task])
    assert_type(await run_task(agent, "ask", "why"), TaskRun)
    async for change in client.watch(["task"]):
        assert_type(change, quarterdeck.Change)
