"""Submit tasks in the transaction of your own database.

A task that belongs to a row must exist exactly when the row does. `enqueue` writes the task into a table of your
database, inside your transaction; a `Relay` sends what is committed there to the server and removes it. A relay that
dies between the two sends it again, and the entry's idempotency key makes that harmless: each entry becomes one task.

```python
with connection:                                   # your transaction
    connection.execute("INSERT INTO orders ...")
    outbox.enqueue(connection, "bill", {"order": 7})
```

Works with every DB-API 2.0 connection whose module has the parameter style `qmark`, `format` or `pyformat`, such as
sqlite3 and psycopg.
"""

from __future__ import annotations

import base64
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Unpack

from google.protobuf.message import DecodeError

from quarterdeck._calls import Call, _new_id
from quarterdeck._client import Client
from quarterdeck._core import Core
from quarterdeck._errors import UnavailableError
from quarterdeck._link import MAX_BATCH_BYTES
from quarterdeck._specs import TaskOptions, task_spec
from quarterdeck._status import error_from_status
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck.v1.task_service_pb2 import SubmitRequest

TABLE = "quarterdeck_outbox"
"""The table's name."""

BATCH = 500
"""Entries that are sent in one call, at most."""

_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s"}


class Shipped(NamedTuple):
    """What one round of a relay did.

    Attributes:
        accepted: Entries that are tasks now, and no longer in the table.
        refused: Entries that can never be tasks; they stay in the table with their error.
    """

    accepted: int
    refused: int


def create_table(connection: Any) -> None:
    """Create the table where it does not exist; the caller commits."""
    connection.cursor().execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (id TEXT PRIMARY KEY, spec TEXT NOT NULL, error TEXT)"
    )


def enqueue(connection: Any, name: str, input: Any = None, **options: Unpack[TaskOptions]) -> str:
    """Write a task into the table, as part of the caller's transaction.

    Args:
        connection: An open DB-API connection; neither committed nor rolled back here.
        name: What is to be done.
        input: The handler's input, as in `Client.submit`.
        options: How it is to be run, as in `Client.submit`. A delay counts from the relay's call.

    Returns:
        The entry's id, which is also the task's idempotency key unless `options` has one.

    Raises:
        PayloadError: The input has no JSON form.
        ValueError: An option has a value that it cannot have.
    """
    spec = task_spec(name, input, options)
    entry_id = f"{time.time_ns():016x}{secrets.token_hex(6)}"
    spec.idempotency_key = spec.idempotency_key or f"outbox-{entry_id}"
    if any(reference.startswith("#") for reference in spec.depends_on):
        raise ValueError("depends_on: `#n` names items of one call; an outbox entry stands alone")
    text = base64.b64encode(spec.SerializeToString()).decode("ascii")
    mark = _mark(connection)
    connection.cursor().execute(
        f"INSERT INTO {TABLE} (id, spec) VALUES ({mark}, {mark})", (entry_id, text)
    )
    return entry_id


class Relay:
    """Sends what is committed in the table, oldest first.

    Several relays on one table are harmless: what both send becomes one task.

    Args:
        connection: A DB-API connection of the relay's own, which it commits.
        client: Where the tasks go.
        poll: Seconds between two looks at an empty table.
    """

    def __init__(self, connection: Any, client: Client, *, poll: float = 1.0) -> None:
        self._connection = connection
        self._core: Core = client._core
        self._poll = poll
        self._mark = _mark(connection)

    def run(self, stop: threading.Event, shipped: Callable[[Shipped], None] | None = None) -> None:
        """Send until `stop` is set; while the server is away, wait for it.

        Args:
            stop: Ends the relay after the round that is under way.
            shipped: Called with every round that did something.
        """
        while not stop.is_set():
            try:
                done = self.ship()
            except UnavailableError:
                done = Shipped(0, 0)
            if done.accepted or done.refused:
                if shipped is not None:
                    shipped(done)
            else:
                stop.wait(self._poll)

    def ship(self) -> Shipped:
        """Send the oldest entries once.

        Raises:
            UnavailableError: The server stayed away; everything is still in the table.
            ApiError: The server refused the call as a whole.
        """
        entries = self._oldest()
        if not entries:
            return Shipped(0, 0)
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        sent: list[tuple[str, TaskSpec]] = []
        size = 0
        for entry_id, text in entries:
            spec = _parse(text)
            if spec is None:
                refused.append(("it is no task: the entry is damaged", entry_id))
                continue
            size += len(spec.input.data)
            if sent and size > MAX_BATCH_BYTES:
                break
            sent.append((entry_id, spec))
        for entry_id, error in self._submit(sent):
            if error is None:
                accepted.append(entry_id)
            else:
                refused.append((error, entry_id))
        self._settle(accepted, refused)
        return Shipped(len(accepted), len(refused))

    def _oldest(self) -> Sequence[tuple[str, str]]:
        cursor = self._connection.cursor()
        cursor.execute(
            f"SELECT id, spec FROM {TABLE} WHERE error IS NULL ORDER BY id LIMIT {BATCH}"
        )
        entries: Sequence[tuple[str, str]] = cursor.fetchall()
        # The call below may take long: no transaction of the database waits for it.
        self._connection.commit()
        return entries

    def _submit(self, sent: Sequence[tuple[str, TaskSpec]]) -> list[tuple[str, str | None]]:
        if not sent:
            return []
        request = SubmitRequest(
            namespace=self._core.namespace, tasks=[spec for _, spec in sent], request_id=_new_id()
        )
        call = Call("tasks", "Submit", request, lambda response: response.results)
        results = self._core.control.run(self._core.do(call))
        return [
            (entry_id, str(error_from_status(found.error)) if found.HasField("error") else None)
            for (entry_id, _), found in zip(sent, results, strict=True)
        ]

    def _settle(self, accepted: Sequence[str], refused: Sequence[tuple[str, str]]) -> None:
        cursor, mark = self._connection.cursor(), self._mark
        if accepted:
            cursor.executemany(f"DELETE FROM {TABLE} WHERE id = {mark}", [(i,) for i in accepted])
        if refused:
            cursor.executemany(f"UPDATE {TABLE} SET error = {mark} WHERE id = {mark}", refused)
        self._connection.commit()


def _parse(text: str) -> TaskSpec | None:
    try:
        return TaskSpec.FromString(base64.b64decode(text, validate=True))
    except (ValueError, DecodeError):
        return None


def _mark(connection: Any) -> str:
    """How the connection's module marks a parameter."""
    package = type(connection).__module__.partition(".")[0]
    style = getattr(sys.modules.get(package), "paramstyle", None)
    if style not in _MARKS:
        raise ValueError(
            f"connection: {package} has the parameter style {style!r}; expected one of {', '.join(_MARKS)}"
        )
    return _MARKS[style]
