from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from quarterdeck_server import logs

HOSTILE = "a\nINFO forged\x1b]52;c;x\x07\x9b2J\u2028\u202eb"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    text = io.StringIO()
    root = logging.getLogger()
    level = root.level
    yield text
    for handler in root.handlers[:]:
        if getattr(handler, "stream", None) is text:
            root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("quarterdeck_server").setLevel(logging.NOTSET)


def test_text_line_has_time_level_event_and_fields(stream: io.StringIO) -> None:
    logs.configure("text", "info", stream)
    logs.Log("quarterdeck_server.x").info("instance started", pool="a", pid=7, why="two words")
    time, rest = stream.getvalue().split(" ", 1)
    assert rest == 'INFO    instance started  pool=a pid=7 why="two words"\n'
    assert time.endswith("Z")
    assert "T" in time


def test_json_line_is_one_object(stream: io.StringIO) -> None:
    logs.configure("json", "info", stream)
    logs.Log("quarterdeck_server.x").warning("slow commit", seconds=0.5, rows=3, path=None)
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "quarterdeck_server.x",
        "event": "slow commit",
        "seconds": 0.5,
        "rows": 3,
        "path": None,
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_text_stays_on_its_line_and_is_escaped(
    stream: io.StringIO, form: Literal["text", "json"]
) -> None:
    logs.configure(form, "info", stream)
    log = logs.Log("quarterdeck_server.x")
    log.info("hello %s", name=HOSTILE)
    logging.getLogger("library").warning("said %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.error("failed")
    written = stream.getvalue()
    assert all(char.isprintable() for char in written.replace("\n", ""))
    assert not any(line.startswith("INFO") for line in written.splitlines())
    if form == "json":
        entries = [json.loads(line) for line in written.splitlines()]
        assert entries[0]["name"] == HOSTILE
        assert "ValueError" in entries[2]["exception"]
    else:
        assert "    ValueError: a" in written


def test_field_cannot_replace_what_the_log_says(stream: io.StringIO) -> None:
    logs.configure("json", "info", stream)
    logs.Log("quarterdeck_server.x").info("real", event="forged", level="error")
    entry = json.loads(stream.getvalue())
    assert (entry["event"], entry["level"]) == ("real", "info")


def test_level_holds_for_the_server_and_libraries_only_warn(stream: io.StringIO) -> None:
    logs.configure("text", "debug", stream)
    logs.Log("quarterdeck_server.x").debug("shown")
    logging.getLogger("library").info("hidden")
    logs.configure("text", "error", stream)
    logs.Log("quarterdeck_server.x").warning("hidden")
    assert stream.getvalue().count("\n") == 1
    assert "shown" in stream.getvalue()


def test_configuring_twice_writes_each_line_once(stream: io.StringIO) -> None:
    logs.configure("text", "info", stream)
    logs.configure("text", "info", stream)
    logs.Log("quarterdeck_server.x").info("once")
    assert stream.getvalue().count("once") == 1


def test_megabyte_values_are_cut(stream: io.StringIO) -> None:
    logs.configure("text", "info", stream)
    logs.Log("quarterdeck_server.x").info("big", value="x" * 1_000_000)
    assert len(stream.getvalue()) < 10_000
