"""A table as a file that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from quarterdeck_console.model.columns import Column, Context

R = TypeVar("R")

_FORMULA = ("=", "+", "-", "@")


def as_csv(columns: Sequence[Column[R]], rows: Iterable[R], context: Context) -> str:
    """All columns of rows as they read on the screen.

    A spreadsheet takes a cell that begins like a formula for one; such a cell gets an apostrophe,
    because agents and producers write what stands in cells.
    """
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    writer.writerow(column.key for column in columns)
    for row in rows:
        writer.writerow(_plain(column.cell(row, context).text) for column in columns)
    return into.getvalue()


def _plain(text: str) -> str:
    text = text.strip()
    return f"'{text}" if len(text) > 1 and text.startswith(_FORMULA) else text


def file_name(view: str, now: float) -> str:
    """Such as `quarterdeck-tasks-20260822T120431Z.csv`."""
    return f"quarterdeck-{view}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.csv"
