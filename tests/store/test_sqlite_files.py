"""A data directory that cannot be used is refused at start, with what to do; a full disk loses nothing.

These are of the SQLite store alone: they look at its files.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck_server.store.base import StoreError, StoreUnavailable
from quarterdeck_server.store.sqlite import SqliteStore
from quarterdeck_server.store.sqlite.files import migrations

from ..engine import make
from .desk import Desk


async def _refused(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        await SqliteStore(path).open()
    return str(caught.value)


async def test_a_second_server_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    await first.open()
    message = await _refused(tmp_path)
    assert "another server holds it" in message and str(os.getpid()) in message
    await first.close()
    second = SqliteStore(tmp_path)
    await second.open()
    await second.close()


async def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    with sqlite3.connect(tmp_path / "quarterdeck.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = (tmp_path / "quarterdeck.db").read_bytes()
    assert "newer version" in await _refused(tmp_path)
    assert (tmp_path / "quarterdeck.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.db").write_text("not a database, but longer than a header of one" * 9)
    before = (tmp_path / "quarterdeck.db").read_bytes()
    assert "not a database" in await _refused(tmp_path)
    assert (tmp_path / "quarterdeck.db").read_bytes() == before


async def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "it is not a directory" in await _refused(tmp_path / "file")
    assert "a part of the path is not a directory" in await _refused(tmp_path / "file" / "data")


def _take_rights(path: Path) -> None:
    path.chmod(0o500)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    _take_rights(tmp_path)
    assert "may not write there" in await _refused(tmp_path)


async def test_a_log_of_the_first_schema_is_not_read_and_its_revisions_go_on(
    tmp_path: Path,
) -> None:
    connection = sqlite3.connect(tmp_path / "quarterdeck.db")
    connection.executescript(migrations()[0])
    rows = [(3, 1, 0, b"of another shape"), (7, 4, 0, b"of another shape")]
    connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", rows)
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    store = SqliteStore(tmp_path)
    await store.open()
    assert await store.revision() == 7
    for revision in range(7):
        assert await store.changes_after(revision, 100) is None
    assert await store.changes_after(7, 100) == []
    await Desk(store).do(make.submit())
    changes = await store.changes_after(7, 100)
    assert changes is not None and changes[0].revision == 8
    assert await store.changes_after(6, 100) is None
    await store.close()


@pytest.mark.parametrize("version", range(len(migrations())))
async def test_every_older_schema_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    connection = sqlite3.connect(tmp_path / "quarterdeck.db", isolation_level=None)
    for script in migrations()[:version]:
        connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    store = SqliteStore(tmp_path)
    await store.open()
    assert len(await Desk(store).submit(make.spec())) == 1
    await store.close()


async def test_a_migration_that_fails_leaves_the_version_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "CREATE TABLE half (x INTEGER) STRICT; CREATE TABLE half (x INTEGER) STRICT;"
    scripts = [*migrations(), broken]
    with monkeypatch.context() as patched:
        patched.setattr("quarterdeck_server.store.sqlite.files.migrations", lambda: scripts)
        assert "already exists" in await _refused(tmp_path)
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    with sqlite3.connect(tmp_path / "quarterdeck.db") as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]
    connection.close()
    assert "tasks" in names and "half" not in names


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    await store.open()
    await Desk(store).submit(make.spec())
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "quarterdeck.db").stat().st_mode & 0o077 == 0
    await store.close()


async def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck_server.store.sqlite.files._file_system", lambda path: "nfs4")
    assert "lies on nfs4" in await _refused(tmp_path)


def _mount(path: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting is not permitted")


def _make_read_only(path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    _mount(path, "size=2m")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


async def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    _make_read_only(small_disk)
    assert "it is read-only" in await _refused(small_disk / "data")


async def test_a_full_disk_is_refused_at_start(small_disk: Path) -> None:
    with (small_disk / "ballast").open("wb", 0) as ballast, pytest.raises(OSError, match="space"):
        while True:
            ballast.write(b"x" * 4096)
    message = await _refused(small_disk / "data")
    assert "full" in message


async def test_a_disk_that_fills_up_loses_nothing_and_is_used_again(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "data")
    await store.open()
    desk = Desk(store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    acknowledged: list[int] = []
    with pytest.raises(StoreUnavailable):
        while True:
            acknowledged += await desk.submit(make.spec(data=os.urandom(15_000)))
    with pytest.raises(StoreUnavailable):
        while True:
            await store.probe()
            acknowledged += await desk.submit(make.spec(data=os.urandom(15_000)))
    before = await store.revision()
    rows = (await store.list_tasks("default", None, "create_time", False, 999, None, 0)).rows
    assert [task.id for task in rows] == acknowledged
    ballast.unlink()
    await store.probe()
    acknowledged += await desk.submit(make.spec())
    assert await store.revision() == before + 2
    await store.close()
    store = SqliteStore(small_disk / "data")
    await store.open()
    rows = (await store.list_tasks("default", None, "create_time", False, 999, None, 0)).rows
    assert [task.id for task in rows] == acknowledged
    await store.close()


async def test_a_database_that_was_removed_takes_no_writes_until_it_is_back(tmp_path: Path) -> None:
    # Its open file would take every write and lose them all at the end.
    store = SqliteStore(tmp_path / "data")
    await store.open()
    desk = Desk(store)
    await desk.submit(make.spec())
    (tmp_path / "data").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="removed"):
        await desk.submit(make.spec())
    with pytest.raises(StoreUnavailable, match="removed"):
        await store.probe()
    (tmp_path / "away").rename(tmp_path / "data")
    await store.probe()
    await desk.submit(make.spec())
    await store.close()
