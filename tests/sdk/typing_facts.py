"""Never run: what the type checker must know about the SDK. mypy checks it with the tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator, Sequence
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


@agent.task(batch=10, linger=dt.timedelta(seconds=0.5), cleanup=lambda run: run.log.info("cleaned"))
def total(runs: list[Run], numbers: list[int]) -> list[int]:
    return numbers


async def handlers_keep_their_types() -> None:
    assert_type(total([FakeRun()], [1]), list[int])
    assert_type(await ask(FakeRun(), "why"), Answer)
    assert_type(count(FakeRun()), int)
    count("no run")  # type: ignore[arg-type]
    await ask(FakeRun(), 1)  # type: ignore[arg-type]


def a_handler_takes_a_run_first() -> None:
    @agent.task  # type: ignore[type-var]
    def wrong(number: int) -> None: ...


async def what_was_saved_has_the_type_that_is_asked_for(run: Run) -> None:
    assert_type(run.saved(Answer), Answer | None)
    await run.save(Answer("x"))
    await run.checkpoint()
    run.saved(1)  # type: ignore[call-overload]


def blocking_client(client: Client) -> None:
    assert_type(client.submit("a", Answer("x"), priority=3), str)
    assert_type(client.result("id", Answer), Answer)
    assert_type(client.list(), Iterator[quarterdeck.Task])
    assert_type(client.update("id", priority=1), str)
    assert_type(client.cancel(["id"]), Sequence[quarterdeck.Outcome])
    assert_type(client.rerun("id", 1), quarterdeck.Rerun)
    assert_type(client.rerun(["id"]), Sequence[quarterdeck.Rerun])
    assert_type(client.act("id:*", "retry", max_count=1).finish(), quarterdeck.ActProgress)
    assert_type(client.audit(), Iterator[quarterdeck.AuditEntry])
    client.submit("a", priority="high")  # type: ignore[arg-type]
    client.act("id:*", "explode", max_count=1)  # type: ignore[arg-type]
    client.put_hold("queue", "q")  # type: ignore[arg-type]


async def async_client(client: AsyncClient) -> None:
    assert_type(await client.submit("a"), str)
    assert_type(await client.result("id", Answer), Answer)
    assert_type(client.list(), AsyncIterator[quarterdeck.Task])
    assert_type(await run_task(agent, "ask", "why"), TaskRun)
    assert_type(await client.update("id", priority=1), str)
    assert_type(await client.pause(["id"]), Sequence[quarterdeck.Outcome])
    async for progress in client.act("id:*", "cancel", max_count=1):
        assert_type(progress, quarterdeck.ActProgress)
    async for change in client.watch(["task"]):
        assert_type(change, quarterdeck.Change)
