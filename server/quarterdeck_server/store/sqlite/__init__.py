"""The SQLite store: one file, one connection that writes."""

from __future__ import annotations

from quarterdeck_server.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
