"""What docs/sdk.md shows of clients is run as it stands there."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sqlite3
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import quarterdeck
from quarterdeck import outbox
from quarterdeck.testing import Server

TEXT = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text(encoding="utf-8")


@dataclass
class Text:
    """A question, or its answer."""

    text: str


def block(word: str) -> str:
    """The one example that contains `word`."""
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (found,) = (text for text in blocks if word in text)
    return str(found)


def test_what_a_task_may_be_given_is_accepted(quarterdeck_server: Server) -> None:
    client = quarterdeck_server.client
    names = {"client": client, "quarterdeck": quarterdeck, "user": 7, "repo": 3}
    exec(block("unique="), {**names, "earlier": client.submit("train")})

    assert client.count() == {"ready": 4, "scheduled": 1}
    assert {t.group_key: t.attributes for t in client.list() if t.group_key} == {
        "acme": {"cost": 1.5}
    }


def test_what_is_written_beside_a_row_becomes_a_task(
    quarterdeck_server: Server, tmp_path: Path
) -> None:
    path = str(tmp_path / "orders.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.close()
    names: dict[str, Any] = {"sqlite3": sqlite3, "outbox": outbox}
    exec(block("outbox.enqueue").replace("orders.db", path), names)
    client = quarterdeck_server.client

    assert outbox.Relay(names["orders"], client).ship() == outbox.Shipped(1, 0)
    names["orders"].close()

    (task,) = client.list()
    assert (task.name, task.priority) == ("bill", 7)


async def test_many_are_waited_for_at_once(quarterdeck_server: Server) -> None:
    agent = quarterdeck.Agent("researcher")

    @agent.task(name="research")
    async def research(run: quarterdeck.Run, question: Text) -> Text:
        return Text(question.text.upper())

    names: dict[str, Any] = {
        "asyncio": asyncio,
        "quarterdeck": quarterdeck,
        "Question": Text,
        "Answer": Text,
    }
    exec(block("asyncio.gather").replace("localhost:7400", quarterdeck_server.address), names)
    with quarterdeck_server.running(agent):
        answers = await names["answers"](["why?", "how?"])
    assert [answer.text for answer in answers] == ["WHY?", "HOW?"]


def test_what_operators_do_is_done(quarterdeck_server: Server) -> None:
    agent = quarterdeck.Agent("holder")
    started = threading.Event()

    @agent.task
    def stay(run: quarterdeck.Run) -> None:
        started.set()
        while not run.cancelled.sleep(60):
            pass

    client = quarterdeck_server.client
    with quarterdeck_server.running(agent):
        names = {
            "client": client,
            "quarterdeck": quarterdeck,
            "timedelta": timedelta,
            "tomorrow": dt.datetime.now(dt.UTC) + timedelta(days=1),
            "edited": {"topic": "moon"},
            "running": client.submit("stay"),
            "waiting": client.submit("later"),
            "ended": client.submit("ended"),
        }
        client.cancel(str(names["ended"]))
        assert started.wait(20)
        exec(block("client.explain("), names)

        pause = client.get(str(names["running"])).task.pause
        assert pause is not None
        assert pause.actor == "ann"
        client.cancel(str(names["running"]))
    assert client.get(str(names["waiting"])).task.labels == {"team": "red"}
    assert {hold.kind for hold in client.holds()} == {"namespace", "task_name"}
    actions = [entry.action for entry in client.audit()]
    assert actions[:6] == [
        "CancelTasks",
        "UpdateNamespace",
        "PutHold",
        "Freeze",
        "UpdateQueue",
        "RetryTasks",
    ]
