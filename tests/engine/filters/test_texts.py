"""What is said of a filter, word for word: its canonical text where it is one, and why not where it is none.

`texts.txt` has the lines; whoever changes a text changes it there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quarterdeck_server.engine.filters import TASK_FIELDS, FilterError, parse

LINES = [
    json.loads(line)
    for line in (Path(__file__).parent / "texts.txt").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("text", "said"), LINES)
def test_what_is_said_of_a_filter(text: str, said: str) -> None:
    try:
        found = parse(text, TASK_FIELDS)
    except FilterError as error:
        assert f"{error.position}: {error.message}" == said
        return
    assert found.canonical() == said
    assert parse(said, TASK_FIELDS).canonical() == said, "it is a filter itself"
    assert len(found.fingerprint()) == 32
