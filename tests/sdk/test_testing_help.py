"""`quarterdeck.testing`, and the examples that use it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.testing import FakeRun, LoggedLine, Reported, Server, run_task

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass
class Point:
    x: int
    y: int


agent = quarterdeck.Agent("points")


@agent.task
async def mirror(run: quarterdeck.Run, point: Point) -> Point:
    run.log.info("mirroring %s", point)
    run.progress("done", 1, 1)
    return Point(point.y, point.x)


@agent.task
def patient(run: quarterdeck.Run) -> str:
    return "stopped" if run.cancelled.is_set() else "went on"


async def test_run_task_goes_through_encoding() -> None:
    done = await run_task(agent, "mirror", {"x": 1, "y": 2})
    assert done.result == {"x": 2, "y": 1}
    assert done.lines == [LoggedLine("info", "mirroring Point(x=1, y=2)")]
    assert done.progress == [Reported("done", 1, 1)]
    assert (await run_task(agent, "mirror", Point(1, 2), type=Point)).result == Point(2, 1)


async def test_run_task_refuses_an_input_that_the_agent_would_refuse() -> None:
    with pytest.raises(quarterdeck.PayloadError, match=r"input\.x: expected a whole number"):
        await run_task(agent, "mirror", {"x": "1", "y": 2})


async def test_run_task_names_the_handlers_that_there_are() -> None:
    with pytest.raises(KeyError, match="points has no handler 'miror', but mirror, patient"):
        await run_task(agent, "miror")


async def test_cancelled_run_can_be_handed_in() -> None:
    run = FakeRun(labels={"a": "b"}, attempt=2)
    run.cancel("enough")
    assert (await run_task(agent, "patient", run=run)).result == "stopped"
    assert run.cancelled.reason == "enough"


async def test_waiting_for_a_cancel_ends_with_it() -> None:
    run = FakeRun()
    waiting = asyncio.create_task(run.cancelled.wait())
    sleeping = asyncio.create_task(asyncio.to_thread(run.cancelled.sleep, 60))
    await asyncio.sleep(0)
    run.cancel()
    await waiting
    assert await sleeping
    with pytest.raises(asyncio.CancelledError):
        run.cancelled.raise_if_set()


@agent.task
async def resumes(run: quarterdeck.Run) -> int:
    point = run.saved(Point) or Point(0, 0)
    await run.save(Point(point.x + 1, 7))
    return (run.saved(Point) or point).x


@pytest.mark.parametrize(
    ("message", "arguments", "text"),
    [
        ("100 %", (), "100 %"),
        ("%d of %d", (1, 2), "1 of 2"),
        ("%(done)d of all", ({"done": 1},), "1 of all"),
        ("%d files", ("many",), "%d files ('many',)"),
        ("files", ("many",), "files ('many',)"),
        ("%s and %s", (1,), "%s and %s (1,)"),
    ],
)
def test_a_line_of_a_log_ends_no_handler(
    message: str, arguments: tuple[object, ...], text: str
) -> None:
    run = FakeRun()
    run.log.info(message, *arguments)
    assert run.lines == [LoggedLine("info", text)]


class Unreadable:
    def __repr__(self) -> str:
        raise RuntimeError("broken")


def test_what_cannot_be_shown_ends_no_handler_that_logs_it() -> None:
    run = FakeRun()
    run.log.info("got %s", Unreadable())
    run.log.info(Unreadable())
    first, second = (line.text for line in run.lines)
    assert first.startswith("got %s (<Unreadable instance at 0x")
    assert second.startswith("<Unreadable instance at 0x")


async def test_a_fake_run_keeps_what_is_saved() -> None:
    done = await run_task(agent, "resumes")
    assert (done.result, done.saves) == (1, [{"x": 1, "y": 7}])
    later = FakeRun(saved=Point(5, 0), attempt=2)
    assert await resumes(later) == 6
    assert later.saves == [{"x": 6, "y": 7}]


def test_a_sync_handler_saves_without_an_event_loop() -> None:
    run = FakeRun()
    assert run.saved() is None
    run.save([1])
    run.save([2])
    assert (run.saved(list[int]), run.saves) == ([2], [[1], [2]])
    with pytest.raises(quarterdeck.PayloadError):
        run.saved(int)


async def test_a_fake_run_stands_still_until_it_is_resumed() -> None:
    run = FakeRun()
    await run.checkpoint()
    run.pause()
    assert run.paused
    on_loop = asyncio.create_task(_stand(run))
    in_thread = asyncio.create_task(asyncio.to_thread(run.checkpoint))
    await asyncio.sleep(0)
    assert not (on_loop.done() or in_thread.done())
    run.resume()
    await asyncio.gather(on_loop, in_thread)
    assert not run.paused


async def test_a_cancel_ends_a_pause_for_good() -> None:
    run = FakeRun()
    run.pause()
    waiting = asyncio.create_task(_stand(run))
    await asyncio.sleep(0)
    run.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await waiting
    run.pause()
    assert not run.paused
    with pytest.raises(asyncio.CancelledError):
        run.checkpoint()


async def _stand(run: quarterdeck.Run) -> None:
    await run.checkpoint()


async def test_run_task_cleans_up_after_a_failure() -> None:
    tidy = quarterdeck.Agent("tidy")

    @tidy.task(cleanup=lambda run: run.log.info("cleaned %s", run.input))
    def fails(run: quarterdeck.Run, what: str) -> None:
        raise ValueError(what)

    run = FakeRun()
    with pytest.raises(ValueError, match="dust"):
        await run_task(tidy, "fails", "dust", run=run)
    assert run.lines == [LoggedLine("info", "cleaned dust")]


def test_records_of_logging_can_be_shipped() -> None:
    import logging

    run = FakeRun()
    logger = logging.getLogger("test_records")
    logger.addHandler(run.log.handler())
    logger.error("broken: %s", "pipe")
    assert run.lines == [LoggedLine("error", "broken: pipe")]


def test_fixture_gives_a_server_of_its_own(quarterdeck_server: Server) -> None:
    assert quarterdeck_server.client.count() == {}
    with quarterdeck_server.running(agent):
        task_id = quarterdeck_server.client.submit("mirror", Point(1, 2))
        assert quarterdeck_server.client.result(task_id, Point, timeout=20) == Point(2, 1)


def test_example_project_passes_its_own_tests() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default"],
        cwd=EXAMPLES / "ci_project",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
    assert "Warning" not in run.stdout + run.stderr


def test_first_agent_greets(quarterdeck_server: Server) -> None:
    client = quarterdeck_server.client
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "first_agent.py")],
        env={**os.environ, "QUARTERDECK_SERVER": quarterdeck_server.address},
    )
    try:
        task_id = client.submit("greet", {"name": "Ada"})
        assert client.result(task_id, str, timeout=20) == "Hello, Ada!"
    finally:
        process.terminate()
        assert process.wait(20) == 0
