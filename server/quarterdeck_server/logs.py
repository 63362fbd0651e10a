"""The server's own log: one event per line on stderr, for people or for machines.

An event is a constant text with fields beside it, never a text with values formatted into it, so
that nothing a user or an agent sent can pass for a line of the log. Whatever is not printable is
escaped. Built on `logging`, so libraries that log there come out the same way.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

_MAX_VALUE = 8192
_BARE = re.compile(r"[A-Za-z0-9_.:/@+%-]+")
_ROOT = "quarterdeck_server"


class Log:
    """Writes events under the name of one module."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Log what happened as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Log what an operator should look at some time."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Log what an operator must look at; inside an `except` block, with the traceback."""
        self._write(logging.ERROR, event, fields, exc_info=sys.exc_info()[0] is not None)

    def _write(
        self, level: int, event: str, fields: Mapping[str, object], exc_info: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            # The event goes in as an argument: a per cent sign in it must not be formatted.
            self._logger.log(level, "%s", event, exc_info=exc_info, extra={"fields": fields})


class _TextFormatter(logging.Formatter):
    """`2026-01-01T00:00:00.000Z INFO    instance started  pool=a pid=7`."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [f"{_time(record)} {record.levelname:<7} {escape(_cut(record.getMessage()))}"]
        if record.name.partition(".")[0] != _ROOT:
            parts.append(f"logger={record.name}")
        parts += [f"{name}={_text(value)}" for name, value in _fields(record).items()]
        lines = ["  ".join([parts[0], " ".join(parts[1:])]).rstrip()]
        if record.exc_info:
            # Indented, so that no line of an exception's text can pass for an event.
            trace = self.formatException(record.exc_info)
            lines += ["    " + escape(line) for line in trace.splitlines()]
        return "\n".join(lines)


class _JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, event, and the fields beside them."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            name: value if isinstance(value, int | float | bool | None) else _cut(str(value))
            for name, value in _fields(record).items()
        }
        entry |= {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _cut(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)  # ASCII only: every control character comes out escaped


def configure(
    form: Literal["text", "json"], level: str, stream: TextIO | None = None
) -> logging.Handler:
    """Send the log to `stream`, stderr by default; replaces what an earlier call set up.

    Args:
        form: `text` for people, `json` for one JSON object per line.
        level: The least that is logged: debug, info, warning or error. Libraries are held to
            warning, for their lower levels tell of themselves and not of the server.
        stream: Where to.

    Returns:
        The handler, for `logging.getLogger().removeHandler`.
    """
    root = logging.getLogger()
    for handler in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(handler)
    handler = _Handler(stream)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())
    return handler


def escape(text: str) -> str:
    """Replace what is not printable by its escape: ESC becomes `\\x1b`, a newline `\\n`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure` made."""


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = record.__dict__.get("fields", {})
    return fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"


def _text(value: object) -> str:
    text = _cut(str(value))
    return text if _BARE.fullmatch(text) else escape(json.dumps(text, ensure_ascii=False))
