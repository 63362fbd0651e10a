"""The Makefile documents itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)


def make(*args: str) -> str:
    program = shutil.which("make")
    if program is None:
        pytest.skip("make is not installed")
    return subprocess.run(
        [program, "--no-print-directory", *args],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_every_target_is_explained_by_help() -> None:
    explained = {line.split()[0] for line in make("help").splitlines() if len(line.split()) > 1}
    assert set(TARGETS) == explained


def test_every_target_is_phony() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(TARGETS) == set(phony.split())


def test_make_alone_prints_help() -> None:
    assert make() == make("help")
