"""What the README shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.testing import Server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def grpcurl_commands() -> list[str]:
    text = next(block for block in blocks("sh") if "grpcurl" in block).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture
def greeter(tmp_path: Path, quarterdeck_server: Server) -> Iterator[Path]:
    """The README's first agent, at work."""
    path = tmp_path / "greeter.py"
    path.write_text(blocks("python")[0], encoding="utf-8")
    environment = {**os.environ, "QUARTERDECK_SERVER": quarterdeck_server.address}
    process = subprocess.Popen([sys.executable, str(path)], env=environment)
    try:
        yield path
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_first_agent_is_no_longer_than_promised() -> None:
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]

    assert len(lines) <= 15


def test_the_first_agent_greets(greeter: Path, quarterdeck_server: Server) -> None:
    run = subprocess.run(
        [sys.executable, "-c", blocks("python")[1]],
        env={**os.environ, "QUARTERDECK_SERVER": quarterdeck_server.address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (run.stdout, run.returncode) == ("Hello, Ada!\n", 0), run.stderr


def test_the_command_line_submits_and_waits(greeter: Path, quarterdeck_server: Server) -> None:
    line = next(x for b in blocks("sh") for x in b.splitlines() if "task submit" in x)
    run = subprocess.run(
        [sys.executable, "-m", "quarterdeck.cli", *shlex.split(line)[1:]],
        env={**os.environ, "QUARTERDECK_SERVER": quarterdeck_server.address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert "Hello, Ada!" in run.stdout


@pytest.mark.parametrize("place", range(len(grpcurl_commands())))
def test_grpcurl_does_what_the_readme_says(place: int, quarterdeck_server: Server) -> None:
    if shutil.which("grpcurl") is None:
        if os.environ.get("CI"):
            pytest.fail("grpcurl is missing in CI")
        pytest.skip("grpcurl is not installed")
    commands = grpcurl_commands()
    wanted = [commands[1], commands[place]] if "Claim" in commands[place] else [commands[place]]
    outputs = [
        subprocess.run(
            shlex.split(command.replace("127.0.0.1:7400", quarterdeck_server.address)),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        for command in wanted
    ]

    assert [run.returncode for run in outputs] == [0] * len(outputs), outputs[-1].stderr
    assert '"error"' not in outputs[-1].stdout
    if "Claim" in commands[place]:
        assert '"name": "greet"' in outputs[-1].stdout


def test_every_document_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    missing = [link for link in links if not (ROOT / link).exists()]

    assert links
    assert missing == []
