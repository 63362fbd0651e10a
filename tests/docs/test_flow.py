"""What docs/flow.md shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import quarterdeck
from quarterdeck.testing import FakeRun, Server

TEXT = (Path(__file__).parents[2] / "docs" / "flow.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def programs(word: str) -> list[str]:
    found = [block for block in blocks("python") if word in block]
    assert found
    return found


def run(server: Server, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "QUARTERDECK_SERVER": server.address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_does_what_it_says(quarterdeck_server: Server) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) > 8
    shown = [run(quarterdeck_server, "-m", "quarterdeck.cli", *shlex.split(x)[1:]) for x in lines]
    assert "50" in shown[0]
    queues = {queue.name: queue for queue in quarterdeck_server.client.queues()}
    assert queues["mail"].paused
    assert queues["mail"].limits is not None and queues["mail"].limits.ageing is not None
    assert queues["mail"].limits.rate is None


@pytest.mark.parametrize("program", programs("quarterdeck.Client()"))
def test_every_client_runs(quarterdeck_server: Server, program: str) -> None:
    run(quarterdeck_server, "-c", program)


def test_the_agent_asks_for_a_rest() -> None:
    (program,) = programs("back_off=")
    names: dict[str, object] = {}
    exec(program, names)
    call = names["call"]
    assert callable(call)
    with pytest.raises(quarterdeck.RetryLater) as caught:
        call(FakeRun())
    assert caught.value.back_off == 30


def test_the_batch_is_answered_item_by_item() -> None:
    (program,) = programs("batch=")
    names: dict[str, object] = {}
    exec(program, names)
    embed = names["embed"]
    assert callable(embed)
    assert embed([FakeRun(), FakeRun()], ["one", "three"]) == [3, 5]


@pytest.mark.parametrize("word", ["`wait`", "`reject`", "`cancel_oldest`", "`cancel_newest`"])
def test_every_overflow_policy_is_explained(word: str) -> None:
    assert f"\n| {word} | " in TEXT
