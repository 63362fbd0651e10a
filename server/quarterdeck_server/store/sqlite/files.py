"""The data directory: one server at a time, on a disk that SQLite can trust, with a schema this version knows."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sqlite3
from pathlib import Path

from quarterdeck_server.store.base import StoreError, StoreUnavailable

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "ceph", "glusterfs"}
)
"""SQLite's write-ahead log needs memory shared by all its processes, which these do not give."""


class DataDirectory:
    """Where a server keeps its state, and the lock that keeps a second server out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "quarterdeck.db"
        self._lock: int | None = None
        self._opened: tuple[int, int] | None = None

    def lock(self) -> None:
        """Create the directory and lock it.

        Raises:
            StoreError: it cannot be written, is held by another server, or lies on a network file system.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(_unusable(self.path, error)) from error
        try:
            _refuse_network(self.path)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StoreError(
                f"data directory {self.path}: another server holds it (process {holder}); "
                "stop that one, or give this one another directory with --data"
            ) from error
        except BaseException:
            os.close(handle)
            raise
        self._lock = handle
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self.unlock()
            raise StoreError(_unusable(self.path, error)) from error

    def unlock(self) -> None:
        """Let another server in. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def note_opened(self) -> None:
        """Remember which file the database is."""
        self._opened = self._identity()

    def check(self) -> None:
        """Make sure that what is written now will be found later.

        A file that was removed or replaced still takes every write, and loses them all when it is closed.

        Raises:
            StoreUnavailable: the database is not where it was opened.
        """
        if self._identity() != self._opened:
            raise StoreUnavailable(f"the database was removed from {self.path}")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.database.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _unusable(path: Path, error: OSError) -> str:
    hint = {
        errno.EROFS: "it is read-only; give a directory that can be written with --data",
        errno.EACCES: "this user may not write there; give another directory with --data",
        errno.EPERM: "this user may not write there; give another directory with --data",
        errno.ENOSPC: "the disk is full; free some space and start again",
        errno.ENOTDIR: "a part of the path is not a directory",
        errno.EEXIST: "it is not a directory",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"data directory {path}: {hint}"


def _refuse_network(path: Path) -> None:
    kind = _file_system(path)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"data directory {path}: it lies on {kind}, where SQLite loses data; "
            "give a directory on a local disk with --data"
        )


def _file_system(path: Path) -> str:
    """Return the name of the file system, empty where the platform does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    target, best, kind = str(path.resolve()), "", ""
    for mount in mounts:
        _, point, name, *_ = mount.split(" ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind


def connect(database: Path) -> sqlite3.Connection:
    """Open the one connection that writes and checkpoints, with the schema brought up to date.

    Raises:
        StoreError: the file cannot be used, or a newer version wrote it.
    """
    new = not database.exists()
    try:
        # SQLite gives its side files the mode of the database.
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            database, isolation_level=None, cached_statements=512, check_same_thread=False
        )
        try:
            _configure(connection)
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"database {database}: {error}; if the disk is full or read-only mend that, "
            "if the file is damaged restore a backup"
        ) from error
    if new:
        _sync_directory(database.parent)
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"the database's journal mode is {mode}, write-ahead logging is needed")
    for pragma in (
        "synchronous = FULL",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "temp_store = MEMORY",
        "cache_size = -65536",
        "wal_autocheckpoint = 4000",
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise StoreError("SQLite does not sync every commit; use another build of SQLite")


def migrations() -> list[str]:
    """Return the scripts that bring a database from version 0 to the newest, in order."""
    folder = Path(__file__).with_name("migrations")
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, each step in a transaction of its own."""
    scripts = migrations()
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(scripts):
        raise StoreError(
            f"a newer version of the server wrote this database (schema {version}, this server knows up to "
            f"{len(scripts)}); start that version, or restore a backup made before the upgrade"
        )
    for number in range(version, len(scripts)):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{scripts[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', ?)", (secrets.token_hex(8),))


def _sync_directory(path: Path) -> None:
    """Make the creation of a file in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
