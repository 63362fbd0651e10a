"""A task of the application's own transaction exists exactly when that transaction was committed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import quarterdeck
from quarterdeck import outbox
from quarterdeck.cli._root import root
from quarterdeck.testing import Server


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    """An application's database with an outbox."""
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    outbox.create_table(connection)
    outbox.create_table(connection)
    return connection


def left(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """The entries that are still there, with their errors."""
    return connection.execute(f"SELECT id, error FROM {outbox.TABLE} ORDER BY id").fetchall()


def test_a_rolled_back_order_has_no_task(
    database: sqlite3.Connection, quarterdeck_server: Server
) -> None:
    with pytest.raises(ZeroDivisionError), database:
        database.execute("INSERT INTO orders VALUES (1)")
        outbox.enqueue(database, "bill", {"order": 1})
        raise ZeroDivisionError
    with database:
        database.execute("INSERT INTO orders VALUES (2)")
        outbox.enqueue(database, "bill", {"order": 2}, queue="bills", priority=7)
    with quarterdeck.Client(quarterdeck_server.address) as client:
        assert outbox.Relay(database, client).ship() == (1, 0)
        (task,) = client.list()
        assert (task.name, task.queue, task.priority) == ("bill", "bills", 7)
        given = client.get(task.id).input
        assert given is not None and given.data == b'{"order":2}'
    assert left(database) == []


def test_an_entry_that_was_sent_and_not_removed_becomes_one_task(
    database: sqlite3.Connection, quarterdeck_server: Server, tmp_path: Path
) -> None:
    with database:
        outbox.enqueue(database, "bill")
    copy = sqlite3.connect(tmp_path / "as-it-was.db")
    database.backup(copy)
    with quarterdeck.Client(quarterdeck_server.address) as client:
        assert outbox.Relay(database, client).ship() == (1, 0)
        # The relay that died before it removed the entry finds it again.
        assert outbox.Relay(copy, client).ship() == (1, 0)
        assert client.count() == {"ready": 1}
    assert left(copy) == []
    copy.close()


def test_what_can_never_be_a_task_stays_with_its_error_and_holds_up_nobody(
    database: sqlite3.Connection, quarterdeck_server: Server
) -> None:
    with database:
        bad = outbox.enqueue(database, "no spaces allowed")
        outbox.enqueue(database, "fine")
        database.execute(f"INSERT INTO {outbox.TABLE} (id, spec) VALUES ('zz', '%%%')")
    with quarterdeck.Client(quarterdeck_server.address) as client:
        relay = outbox.Relay(database, client)
        assert relay.ship() == (1, 2)
        assert relay.ship() == (0, 0)
    (first, second) = left(database)
    assert first[0] == bad and "name" in str(first[1])
    assert second == ("zz", "it is no task: the entry is damaged")


def test_while_the_server_is_away_nothing_is_lost(database: sqlite3.Connection) -> None:
    with database:
        entry = outbox.enqueue(database, "bill")
    with (
        quarterdeck.Client("127.0.0.1:1", timeout=0.1) as client,
        pytest.raises(quarterdeck.UnavailableError),
    ):
        outbox.Relay(database, client).ship()
    assert left(database) == [(entry, None)]


def test_an_entry_cannot_depend_on_its_neighbour(database: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="depends_on"):
        outbox.enqueue(database, "bill", depends_on=["#0"])
    assert left(database) == []


def test_the_command_sends_until_nothing_is_left(
    database: sqlite3.Connection, quarterdeck_server: Server, tmp_path: Path
) -> None:
    with database:
        for number in range(outbox.BATCH + 1):
            outbox.enqueue(database, "bill", number)
    command = [sys.executable, "-m", "quarterdeck.cli", "outbox", "relay", str(tmp_path / "app.db")]
    run = subprocess.run(
        [*command, "--once"],
        env={**os.environ, "QUARTERDECK_SERVER": quarterdeck_server.address},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stderr.split("\n")[:2] == ["500 sent", "1 sent"]
    assert left(database) == []


def test_a_file_that_is_no_database_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be taken for one\n" * 100)
    result = CliRunner().invoke(root, ["outbox", "relay", str(path), "--once"])
    assert result.exit_code == 2
    assert result.stderr == "Error: the database cannot be used: file is not a database\n"
