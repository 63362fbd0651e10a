"""The same agent tested from the inside out: as a function, in process, on a real server."""

from __future__ import annotations

import asyncio

from word_agent import agent, count_words

from quarterdeck.testing import FakeRun, Server, run_task


def test_function() -> None:
    assert count_words(FakeRun(), "to be or not to be")["to"] == 2


def test_in_process() -> None:
    done = asyncio.run(run_task(agent, "count_words", "a b a"))
    assert done.result == {"a": 2, "b": 1}
    assert done.lines[0].text == "3 words, 2 different"


def test_on_a_real_server(quarterdeck_server: Server) -> None:
    with quarterdeck_server.running(agent):
        task_id = quarterdeck_server.client.submit("count_words", "a b a")
        assert quarterdeck_server.client.result(task_id) == {"a": 2, "b": 1}
