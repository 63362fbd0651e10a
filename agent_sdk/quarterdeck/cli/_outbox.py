"""What `quarterdeck outbox` does."""

from __future__ import annotations

import importlib
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import click

from quarterdeck import outbox
from quarterdeck._client import Client
from quarterdeck._errors import ApiError, UnavailableError
from quarterdeck._text import sanitize
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Settings


def relay(settings: Settings, database: str, *, once: bool) -> None:
    """Sends entries until a signal, or until none is left."""
    connection = _connect(database)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Client(settings.server, settings.namespace) as client:
        sender = outbox.Relay(connection, client)
        try:
            if once:
                _until_empty(sender, stop)
            else:
                sender.run(stop, _tell)
        except UnavailableError as error:
            raise CommandError(str(error), ExitCode.UNREACHABLE) from error
        except ApiError as error:
            raise CommandError(str(error), ExitCode.REFUSED) from error
        finally:
            connection.close()


def _until_empty(sender: outbox.Relay, stop: threading.Event) -> None:
    while not stop.is_set():
        done = sender.ship()
        if not (done.accepted or done.refused):
            return
        _tell(done)


def _tell(done: outbox.Shipped) -> None:
    refused = f", {done.refused} refused" if done.refused else ""
    click.echo(f"{done.accepted} sent{refused}", err=True)


def _connect(database: str) -> Any:
    if database.startswith(("postgresql://", "postgres://")):
        psycopg = _psycopg()
        try:
            return psycopg.connect(database)
        except psycopg.Error as error:
            raise _useless(error) from error
    if not Path(database).is_file():
        raise CommandError(f"there is no file {database!r}", ExitCode.USAGE)
    connection = sqlite3.connect(database)
    try:
        with connection:
            outbox.create_table(connection)
    except sqlite3.Error as error:
        connection.close()
        raise _useless(error) from error
    return connection


def _psycopg() -> Any:
    try:
        return importlib.import_module("psycopg")
    except ModuleNotFoundError as error:
        hint = "pip install psycopg"
        raise CommandError("psycopg is not installed", ExitCode.USAGE, hint) from error


def _useless(error: Exception) -> CommandError:
    # Without the address of the database, which may hold a password.
    return CommandError(f"the database cannot be used: {sanitize(str(error))}", ExitCode.USAGE)
